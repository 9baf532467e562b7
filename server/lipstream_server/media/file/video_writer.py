"""Frames and audio into an MP4 or a WebM file, by its suffix.

While it is written the file has another name (`talk.part.mp4` for `talk.mp4`) and consists of fragments, so that even a killed
process leaves something that plays. At the end its packets are copied, unchanged, into an ordinary file with the index in front,
which takes the real name.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from ..arrays import Frames
from .formats import VideoError, VideoFormat, format_for_path
from .video_tracks import AudioSamples, AudioTrack, VideoTrack


class VideoWriter:
    """A context manager that writes a video as frames and samples come.

    Leaving the block puts the finished file at `path`. Leaving it early keeps what was written: after Ctrl-C or SystemExit it
    takes the name `path` too; after an error it does so only if `path` did not exist, and else stays beside it as
    `NAME.part.mp4`, so that no good file is lost to a bad input. Nothing is left if no frame came.

    Args:
        path: The file to write.
        width: In pixels, even (4:2:0 colour).
        height: In pixels, even.
        sample_rate: Sample rate in Hz of the audio given to `write`. An MP4 keeps the rates that AAC knows (the usual ones from
            8 to 96 kHz); others become 48 kHz.
        channels: Channels of that audio, 1 or 2.
        fps: Frames per second.

    Attributes:
        path: The file to write.
        part: Its name while it is written.
        saved: The file that was left; None before the end, or where none was.
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
        self._format = video_format = format_for_path(self.path)
        _check_path(self.path)
        self._container = av.open(
            str(self.part), "w", format=video_format.name, options=dict(video_format.growing_options)
        )
        # Everything that touches the container runs in this one thread. Ctrl-C is raised in the main thread only, so it cannot
        # fall between encoding a packet and writing it, which would leave a gap in the video.
        self._worker = ThreadPoolExecutor(1, "video")
        try:
            self._container.metadata.update(video_format.tags)
            self._video = VideoTrack(self._container, video_format.video, width, height, fps)
            self._audio = AudioTrack(self._container, video_format.audio, sample_rate, channels, fps)
        except BaseException:
            self._discard()
            raise

    @property
    def frames(self) -> int:
        """Number of frames written so far."""
        return self._video.count

    @property
    def seconds(self) -> float:
        """Length of the video so far."""
        return self._video.count / self._video.fps

    def write(self, frames: Frames, samples: AudioSamples) -> None:
        """Append frames with their audio.

        Audio that runs ahead of the frames waits for them; at the end it is cut, or padded with silence, to their length.

        Args:
            frames: RGB frames, uint8 (F, H, W, 3).
            samples: Audio (n,) or (n, channels), float32 in [-1, 1] or int16; n is meant to be F * sample_rate / fps.

        Raises:
            VideoError: A shape, a type or a value does not fit; nothing was written.
        """
        self._video.check(frames)
        audio = self._audio.check(samples)
        self._worker.submit(self._encode, frames, audio).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._worker:
            replace = not isinstance(error, Exception) or not self.path.exists()
            try:
                self._worker.submit(self._finalize, replace).result()
            except OSError as failed:
                if error is None:
                    raise
                error.add_note(f"{self.part} could not be finished either: {failed}")
        if self.saved is None and error is None:
            raise VideoError(f"{self.path}: not one frame was written, so there is no video to keep")

    def _encode(self, frames: Frames, audio: NDArray[np.float32]) -> None:
        for frame in frames:
            self._container.mux(self._video.encode(frame))
        self._container.mux(self._audio.encode(audio, self._video.count))

    def _finalize(self, replace: bool) -> None:
        """Flush the encoders, turn the fragments into one ordinary file and rename it."""
        if not self._video.count:
            self._discard()
            return
        self.saved = self.part
        self._container.mux(self._video.flush())
        self._container.mux(self._audio.flush(self._video.count))
        self._container.close()
        final = self.part.with_suffix(f".final{self.part.suffix}")
        try:
            copy_packets(self.part, final, self._format)
            os.replace(final, self.part)
        finally:
            final.unlink(missing_ok=True)
        if replace:
            os.replace(self.part, self.path)
            self.saved = self.path

    def _discard(self) -> None:
        self._container.close()
        self.part.unlink(missing_ok=True)


def part_path(path: Path) -> Path:
    """Return the name of `path` while it is written; it keeps the suffix, so that a leftover opens."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def copy_packets(source: Path, target: Path, video_format: VideoFormat) -> None:
    """Copy the packets of `source` into a finished file, without decoding them."""
    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", format=video_format.name, options=dict(video_format.final_options)) as new,
    ):
        new.metadata.update(video_format.tags)
        tracks = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if packet.dts is not None:  # the demuxer ends every track with an empty packet
                packet.stream = tracks[packet.stream.index]
                new.mux(packet)
    with target.open("ab") as file:
        file.write(video_format.trailer)


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise VideoError(f"expected the name of a file to write, {path} is a folder")
    if not path.parent.is_dir():
        raise VideoError(f"the folder {path.parent} does not exist; make it first")
