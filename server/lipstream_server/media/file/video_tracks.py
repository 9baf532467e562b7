"""The two tracks of a talking video, pictures and sound, each with exact time stamps."""

from fractions import Fraction
from typing import cast

import av
import numpy as np
from av import AudioStream, VideoStream
from av.container import OutputContainer
from numpy.typing import NDArray

from .formats import Codec, VideoError

Samples = NDArray[np.float32] | NDArray[np.int16]
"""Sound (n,) or (n, channels): float32 in [-1, 1], or int16."""

_FALLBACK_RATE = 48000
_LAYOUTS = {1: "mono", 2: "stereo"}
_BT709 = 1  # ISO/IEC 23091-2: the code of BT.709 for primaries, transfer and matrix alike
_LIMITED = 1  # FFmpeg's AVCOL_RANGE_MPEG: 16 to 235, what players expect
_KEY_EVERY_SECONDS = 2  # how finely a player can seek
# x264 gives other bits for another number of threads; a fixed number makes equal frames equal files.
_THREADS = 2


class Pictures:
    """The video track: RGB frames in, packets out, frame number `i` at time `i / fps`."""

    def __init__(self, container: OutputContainer, codec: Codec, width: int, height: int, fps: int) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise VideoError(f"a 4:2:0 video has an even width and height, got {width} x {height}")
        self.fps = fps
        self.count = 0
        self._shape = (height, width, 3)
        self._track = cast(VideoStream, container.add_stream(codec.name, rate=fps))
        self._track.width, self._track.height, self._track.pix_fmt = width, height, "yuv420p"
        self._track.options = {**codec.options, "threads": str(_THREADS)}
        context = self._track.codec_context
        context.gop_size = _KEY_EVERY_SECONDS * fps
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED

    def check(self, frames: NDArray[np.uint8]) -> None:
        """Raise VideoError unless frames are uint8 (F, H, W, 3) of this track's size."""
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != self._shape:
            height, width, _ = self._shape
            raise VideoError(
                f"expected uint8 frames (F, {height}, {width}, 3), got {frames.dtype} {frames.shape}"
            )

    def encode(self, pixels: NDArray[np.uint8]) -> "list[av.Packet[av.VideoStream]]":
        """One frame uint8 (H, W, 3) in; out come the packets that are ready, often of earlier frames."""
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = self.count, Fraction(1, self.fps)
        self.count += 1
        return self._track.encode(frame)

    def finish(self) -> "list[av.Packet[av.VideoStream]]":
        """The packets that the encoder still held back."""
        return self._track.encode(None)


class Sound:
    """The audio track: samples in, packets out, never longer than the pictures."""

    def __init__(
        self, container: OutputContainer, codec: Codec, sample_rate: int, channels: int, fps: int
    ) -> None:
        if channels not in _LAYOUTS:
            raise VideoError(f"expected sound of 1 or 2 channels, got {channels}; mix it down first")
        if sample_rate < 1:
            raise VideoError(f"expected a sample rate above 0 Hz, got {sample_rate}")
        self._rate, self._channels, self._fps = sample_rate, channels, fps
        self._waiting = np.zeros((0, channels), np.float32)
        self._count = 0
        kept = sample_rate if sample_rate in codec.rates else _FALLBACK_RATE
        self._track = cast(
            AudioStream, container.add_stream(codec.name, rate=kept, layout=_LAYOUTS[channels])
        )
        self._track.bit_rate = codec.bit_rate

    def check(self, samples: Samples) -> NDArray[np.float32]:
        """The samples as float32 (n, channels) in [-1, 1]; raises VideoError when they do not fit."""
        shaped = samples[:, None] if samples.ndim == 1 else samples
        known = samples.dtype in (np.dtype(np.float32), np.dtype(np.int16))
        if not known or shaped.ndim != 2 or shaped.shape[1] != self._channels:
            wanted = "(n,) or (n, 1)" if self._channels == 1 else f"(n, {self._channels})"
            raise VideoError(
                f"expected float32 or int16 samples {wanted}, got {samples.dtype} {samples.shape}"
            )
        if shaped.dtype == np.int16:
            return shaped.astype(np.float32) / np.float32(32768)
        if not np.isfinite(shaped).all():
            raise VideoError("the samples hold NaN or infinity; expected float32 in [-1, 1]")
        return np.clip(shaped, -1, 1).astype(np.float32)

    def encode(self, samples: NDArray[np.float32], frames: int) -> "list[av.Packet[av.AudioStream]]":
        """Samples (n, channels) in; out come packets of what the first `frames` pictures cover."""
        self._waiting = np.concatenate([self._waiting, samples])
        due = self._due(frames)
        ready, self._waiting = self._waiting[:due], self._waiting[due:]
        if not len(ready):
            return []
        planes = np.ascontiguousarray(ready.T)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=_LAYOUTS[self._channels])
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._count, Fraction(1, self._rate)
        self._count += len(ready)
        return self._track.encode(frame)

    def finish(self, frames: int) -> "list[av.Packet[av.AudioStream]]":
        """Cut or fill the sound to exactly `frames` pictures and drain the encoder."""
        missing = max(0, self._due(frames) - len(self._waiting))
        silence = np.zeros((missing, self._channels), np.float32)
        return self.encode(silence, frames) + self._track.encode(None)

    def _due(self, frames: int) -> int:
        """How many more samples the first `frames` pictures cover."""
        return round(Fraction(frames * self._rate, self._fps)) - self._count
