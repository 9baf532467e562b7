"""The video and the audio track of a file, each with exact time stamps."""

from fractions import Fraction
from typing import cast

import av
import numpy as np
from av import AudioStream, VideoStream
from av.container import OutputContainer
from numpy.typing import NDArray

from ..arrays import Frame, Frames
from ..encoder_settings import configure_video
from .formats import EncoderOptions, VideoError

AudioSamples = NDArray[np.float32] | NDArray[np.int16]
"""Audio (n,) or (n, channels): float32 in [-1, 1], or int16."""

_FALLBACK_SAMPLE_RATE = 48_000
_LAYOUTS = {1: "mono", 2: "stereo"}
# x264's output depends on the number of threads; a fixed number makes equal frames equal files.
_THREADS = 2


class VideoTrack:
    """Encodes RGB frames; frame number `i` is at time `i / fps`.

    Attributes:
        fps: Frames per second.
        count: Number of frames so far.
    """

    def __init__(
        self, container: OutputContainer, encoder: EncoderOptions, width: int, height: int, fps: int
    ) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise VideoError(f"a 4:2:0 video has an even width and height, got {width} x {height}")
        self.fps = fps
        self.count = 0
        self._shape = (height, width, 3)
        self._track = cast(VideoStream, container.add_stream(encoder.name, rate=fps))
        configure_video(self._track.codec_context, width, height, fps)
        self._track.options = {**encoder.options, "threads": str(_THREADS)}

    def check(self, frames: Frames) -> None:
        """Raise VideoError unless frames are uint8 (F, H, W, 3) of this track's size."""
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != self._shape:
            height, width, _ = self._shape
            raise VideoError(
                f"expected uint8 frames (F, {height}, {width}, 3), got {frames.dtype} {frames.shape}"
            )

    def encode(self, frame: Frame) -> "list[av.Packet[av.VideoStream]]":
        """Encode a frame (H, W, 3); return the packets that are ready, often of earlier frames."""
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        yuv = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        yuv.pts, yuv.time_base = self.count, Fraction(1, self.fps)
        self.count += 1
        return self._track.encode(yuv)

    def flush(self) -> "list[av.Packet[av.VideoStream]]":
        """Return the packets that the encoder held back."""
        return self._track.encode(None)


class AudioTrack:
    """Encodes samples, never more than the frames so far cover."""

    def __init__(
        self, container: OutputContainer, encoder: EncoderOptions, sample_rate: int, channels: int, fps: int
    ) -> None:
        if channels not in _LAYOUTS:
            raise VideoError(f"expected audio of 1 or 2 channels, got {channels}; mix it down first")
        if sample_rate < 1:
            raise VideoError(f"expected a sample rate above 0 Hz, got {sample_rate}")
        self._rate, self._channels, self._fps = sample_rate, channels, fps
        self._waiting = np.zeros((0, channels), np.float32)
        self._count = 0
        rate = sample_rate if sample_rate in encoder.sample_rates else _FALLBACK_SAMPLE_RATE
        self._track = cast(
            AudioStream, container.add_stream(encoder.name, rate=rate, layout=_LAYOUTS[channels])
        )
        self._track.bit_rate = encoder.bit_rate

    def check(self, samples: AudioSamples) -> NDArray[np.float32]:
        """Return the samples as float32 (n, channels) in [-1, 1]. Raises VideoError where type, shape or values do not fit."""
        shaped = samples[:, None] if samples.ndim == 1 else samples
        supported = samples.dtype in (np.dtype(np.float32), np.dtype(np.int16))
        if not supported or shaped.ndim != 2 or shaped.shape[1] != self._channels:
            shapes = "(n,) or (n, 1)" if self._channels == 1 else f"(n, {self._channels})"
            raise VideoError(
                f"expected float32 or int16 samples {shapes}, got {samples.dtype} {samples.shape}"
            )
        if shaped.dtype == np.int16:
            return shaped.astype(np.float32) / np.float32(32768)
        if not np.isfinite(shaped).all():
            raise VideoError("the samples hold NaN or infinity; expected float32 in [-1, 1]")
        return np.clip(shaped, -1, 1).astype(np.float32)

    def encode(self, samples: NDArray[np.float32], frames: int) -> "list[av.Packet[av.AudioStream]]":
        """Encode samples (n, channels); return packets of what the first `frames` frames cover."""
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

    def flush(self, frames: int) -> "list[av.Packet[av.AudioStream]]":
        """Cut or pad the audio to exactly `frames` frames, and return the remaining packets."""
        missing = max(0, self._due(frames) - len(self._waiting))
        silence = np.zeros((missing, self._channels), np.float32)
        return self.encode(silence, frames) + self._track.encode(None)

    def _due(self, frames: int) -> int:
        """Return how many more samples the first `frames` frames cover."""
        return round(Fraction(frames * self._rate, self._fps)) - self._count
