"""Frames and sound into an MP4 or a WebM file, which its name tells.

While it is being made the file has a name of its own (`talk.part.mp4` for `talk.mp4`) and consists of
fragments, so that even a killed process leaves something that plays. At the end its packets are copied,
unchanged, into an ordinary file with the index in front, and that takes the real name.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from .formats import VideoError, VideoFormat, format_of
from .video_tracks import Pictures, Samples, Sound


class VideoWriter:
    """A context manager that writes `path` as frames and samples come.

    width, height: pixels, both even (4:2:0 colour). sample_rate, channels: what `write` will be given;
    an MP4 keeps the rate where AAC knows it (the usual ones from 8 to 96 kHz), else it becomes 48 kHz.

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
        fps: int = 25,
    ) -> None:
        self.path = Path(path)
        self.part = part_path(self.path)
        self.saved: Path | None = None
        self._format = made = format_of(self.path)
        _check_place(self.path)
        self._container = av.open(str(self.part), "w", format=made.name, options=dict(made.growing))
        # Everything that touches the container runs in this one thread. Ctrl-C is raised in the main
        # thread only, so it cannot fall between encoding a packet and writing it, which would tear a
        # hole into the video.
        self._worker = ThreadPoolExecutor(1, "video")
        try:
            self._container.metadata.update(made.tags)
            self._pictures = Pictures(self._container, made.pictures, width, height, fps)
            self._sound = Sound(self._container, made.sound, sample_rate, channels, fps)
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
            copy_packets(self.part, whole, self._format)
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


def copy_packets(source: Path, target: Path, made: VideoFormat) -> None:
    """Write the packets of `source`, not decoded, as a finished file."""
    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", format=made.name, options=dict(made.whole)) as new,
    ):
        new.metadata.update(made.tags)
        tracks = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if packet.dts is not None:  # the demuxer ends every track with an empty packet
                packet.stream = tracks[packet.stream.index]
                new.mux(packet)
    with target.open("ab") as file:
        file.write(made.end)


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise VideoError(f"expected the name of a file to write, {path} is a folder")
    if not path.parent.is_dir():
        raise VideoError(f"the folder {path.parent} does not exist; make it first")
