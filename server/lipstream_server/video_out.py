"""Frames and sound into an MP4 file that every player opens.

While it is being made the file is a fragmented MP4 under a name of its own (`talk.part.mp4` for
`talk.mp4`), so that even a killed process leaves something that plays. At the end its packets are
copied, unchanged, into an ordinary MP4 with the index in front, and that takes the real name.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from .mp4_tracks import Pictures, Samples, Sound, VideoError
from .provenance import MADE_BY_AI, xmp_box

# The index (moov) waits for the first fragment: only then is the delay of the sound encoder known and
# can be written as an edit list; an index written at once shifts the pictures by that delay instead.
# `frag_every_frame` looks simpler, but with two tracks it repeats time stamps and frames get lost.
# `flush_packets`: a fragment that is finished is in the file, for whoever plays it meanwhile.
_FRAGMENTED = {
    "movflags": "delay_moov+default_base_moof+frag_keyframe",
    "frag_duration": "1000000",
    "flush_packets": "1",
}
_INDEX_FIRST = {"movflags": "faststart"}


@dataclass(frozen=True)
class Mp4Settings:
    """How the file is encoded: frames a second, x264 quality and preset, AAC bits a second, tags."""

    fps: int = 25
    crf: int = 18
    preset: str = "veryfast"
    audio_bit_rate: int = 128_000
    metadata: Mapping[str, str] = field(default_factory=lambda: MADE_BY_AI)


class Mp4Writer:
    """A context manager that writes `path` as frames and samples come.

    width, height: pixels, both even (4:2:0 colour). sample_rate, channels: what `write` will be given;
    the rate is kept where AAC knows it (the usual ones from 8 to 96 kHz), else resampled to 48 kHz.

    Leaving the block puts the finished file at `path`. Leaving it early keeps what was done: after
    Ctrl-C or SystemExit it takes the name `path` too; after an error it does so only if `path` did not
    exist, and else stays beside it as `NAME.part.mp4`, so that no good file is lost to a bad input.
    Nothing is left if not one frame came. `saved` names the file that was left, or is None.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        sample_rate: int,
        channels: int = 1,
        settings: Mp4Settings | None = None,
    ) -> None:
        settings = settings or Mp4Settings()
        self.path = Path(path)
        self.part = part_path(self.path)
        self.saved: Path | None = None
        _check_place(self.path)
        self._metadata = dict(settings.metadata)
        self._container = av.open(str(self.part), "w", format="mp4", options=_FRAGMENTED)
        # Everything that touches the container runs in this one thread. Ctrl-C is raised in the main
        # thread only, so it cannot fall between encoding a packet and writing it, which would tear a
        # hole into the video.
        self._worker = ThreadPoolExecutor(1, "mp4")
        try:
            self._container.metadata.update(self._metadata)
            self._pictures = Pictures(
                self._container, width, height, settings.fps, settings.crf, settings.preset
            )
            self._sound = Sound(self._container, sample_rate, channels, settings.fps, settings.audio_bit_rate)
        except BaseException:
            self._discard()
            raise

    @property
    def frames(self) -> int:
        """How many frames were written so far."""
        return self._pictures.count

    @property
    def seconds(self) -> float:
        """How long the video is so far."""
        return self._pictures.count / self._pictures.fps

    def write(self, frames: NDArray[np.uint8], samples: Samples) -> None:
        """Append frames uint8 (F, H, W, 3), RGB, and the sound that goes with them.

        samples: (n,) or (n, channels), float32 in [-1, 1] or int16; n is meant to be F * rate / fps.
        Sound that runs ahead of the pictures waits for them; at the end it is cut, or filled up with
        silence, to their length. Raises VideoError, having written nothing, when a shape, a type or a
        value does not fit.
        """
        self._pictures.check(frames)
        sound = self._sound.check(samples)
        self._worker.submit(self._encode, frames, sound).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._worker:
            replace = not isinstance(error, Exception) or not self.path.exists()
            try:
                self._worker.submit(self._finish, replace).result()
            except OSError as failed:
                if error is None:
                    raise
                error.add_note(f"{self.part} could not be finished either: {failed}")
        if self.saved is None and error is None:
            raise VideoError(f"{self.path}: not one frame was written, so there is no video to keep")

    def _encode(self, frames: NDArray[np.uint8], sound: NDArray[np.float32]) -> None:
        for picture in frames:
            self._container.mux(self._pictures.encode(picture))
        self._container.mux(self._sound.encode(sound, self._pictures.count))

    def _finish(self, replace: bool) -> None:
        """Drain the encoders, make the fragments one ordinary file and give it its name."""
        if not self._pictures.count:
            self._discard()
            return
        self.saved = self.part
        self._container.mux(self._pictures.finish())
        self._container.mux(self._sound.finish(self._pictures.count))
        self._container.close()
        whole = self.part.with_suffix(f".whole{self.part.suffix}")
        try:
            copy_packets(self.part, whole, self._metadata)
            os.replace(whole, self.part)
        finally:
            whole.unlink(missing_ok=True)
        if replace:
            os.replace(self.part, self.path)
            self.saved = self.path

    def _discard(self) -> None:
        self._container.close()
        self.part.unlink(missing_ok=True)


def part_path(path: Path) -> Path:
    """The name under which `path` is made; it keeps the suffix, so that what is left behind opens."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def copy_packets(source: Path, target: Path, metadata: Mapping[str, str]) -> None:
    """Write the packets of `source`, not decoded, as an MP4 with its index in front and the label last."""
    with av.open(str(source)) as old, av.open(str(target), "w", format="mp4", options=_INDEX_FIRST) as new:
        new.metadata.update(metadata)
        tracks = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if packet.dts is not None:  # the demuxer ends every track with an empty packet
                packet.stream = tracks[packet.stream.index]
                new.mux(packet)
    with target.open("ab") as file:
        file.write(xmp_box())


def _check_place(path: Path) -> None:
    if path.suffix.lower() not in (".mp4", ".m4v"):
        raise VideoError(f"the video is an MP4 file: expected a name that ends in .mp4, got {path.name!r}")
    if path.is_dir():
        raise VideoError(f"expected the name of a file to write, {path} is a folder")
    if not path.parent.is_dir():
        raise VideoError(f"the folder {path.parent} does not exist; make it first")
