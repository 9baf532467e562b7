"""Reading of real videos of talking heads as references for evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from ..audio.decode import iter_audio
from ..audio.samples import SAMPLE_RATE
from ..errors import LipstreamError
from ..model import Model
from ..portrait import Face, FaceLandmarker, Framing
from ..portrait.crop import (
    choose_face,
    frame_head,
    outline_box,
    resample_square,
)
from .fidelity import ReferenceClip
from .image_quality import Boxes, Frames
from .lip_sync import face_track, lip_openings

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")
T = TypeVar("T")


class ClipError(LipstreamError):
    """A video cannot be used for evaluation; the message says why."""


def find_videos(folder: Path) -> list[Path]:
    """Return all videos under a folder by their suffix, sorted, without hidden files and folders.

    Raises:
        ClipError: There is no video.
    """
    videos = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not videos:
        raise ClipError(
            f"{folder}: expected videos ({', '.join(SUFFIXES)}), found none; use a flat folder like HDTF's,"
            " or folders like MEAD's (M003/video/front/angry/level_1/001.mp4)"
        )
    return videos


def read_clip(
    path: Path, name: str, model: Model, landmarker: FaceLandmarker, seconds: float
) -> ReferenceClip:
    """Read a video at the model's frame rate and size.

    The face of the first frame determines the crop, as for a portrait, and all frames are cropped there, so
    that a moving head moves in the crop too. Lip closures are unknown.

    Args:
        path: The video.
        name: Name of the clip.
        model: Gives frame rate, size and framing.
        landmarker: Finds the face.
        seconds: Longest part of the video that is read.

    Raises:
        ClipError: The video cannot be decoded, is too short or has no audio.
        ImageError: The first frame has no usable face.
        AudioError: The audio cannot be used.
    """
    count = round(seconds * model.fps)
    try:
        frames, start = _frames(path, model, landmarker, count)
    except (av.FFmpegError, OSError) as error:
        raise ClipError(f"{path}: expected a video, but it cannot be decoded ({error.strerror})") from error
    audio = _read_audio(path, start, count / model.fps)
    length = min(len(frames), len(audio) * model.fps // SAMPLE_RATE)
    if length < model.defaults.window:
        raise ClipError(
            f"{path}: expected at least {model.defaults.window} frames with audio, got {len(frames)} frames and"
            f" {len(audio) / SAMPLE_RATE:.2f} s of audio"
        )
    faces = face_track(frames[:length], landmarker)
    if faces[0] is None:
        raise ClipError(
            f"{path}: the face of the first frame is not found in its crop; use a video with a larger face"
        )
    return ReferenceClip(
        name,
        frames[:length],
        audio[: length * SAMPLE_RATE // model.fps],
        lip_openings(faces),
        np.zeros(0, np.int64),
        face_boxes(faces),
    )


def face_boxes(faces: Iterable[Face | None]) -> Boxes:
    """Return (T, 4) boxes from hairline to chin; the previous box where a face is lost, zeros before the first."""
    boxes, box = [], np.zeros(4, np.float32)
    for face in faces:
        box = box if face is None else outline_box(face.landmarks)
        boxes.append(box)
    return np.array(boxes, np.float32)


def resample_frames(frames: Iterable[tuple[float, T]], fps: float) -> Iterator[T]:
    """Yield, for each tick of a frame rate from the first time on, the nearest of (seconds, frame) pairs."""
    ticks = 0
    start_time: float | None = None
    last: tuple[float, T] | None = None
    gap = 1 / fps
    for time, frame in frames:
        start_time = time if start_time is None else start_time
        if last is not None:
            gap = time - last[0]
            while start_time + ticks / fps <= (last[0] + time) / 2:
                yield last[1]
                ticks += 1
        last = (time, frame)
    # The last frame lasts as long as the one before it.
    while last is not None and start_time is not None and start_time + ticks / fps < last[0] + gap - 1e-6:
        yield last[1]
        ticks += 1


def _frames(path: Path, model: Model, landmarker: FaceLandmarker, count: int) -> tuple[Frames, float]:
    """Return (T, size, size, 3), T at most `count`, and the time of the first frame in seconds."""
    crops: list[NDArray[np.uint8]] = []
    square = None
    # Read through a file object with every protocol forbidden, so that a playlist cannot fetch other files.
    with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
        if not container.streams.video:
            raise ClipError(f"{path}: expected a video, but there are no frames in this file")
        times: list[float] = []
        for frame in resample_frames(_timed(container, times), model.fps):
            image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            if square is None:
                framing = model.portrait.framing or Framing()
                face, _ = choose_face(landmarker.detect(image), framing)
                square = frame_head(face.landmarks, image.shape[1], image.shape[0], framing)
            crops.append(resample_square(image, square, model.size))
            if len(crops) == count:
                break
    if not crops:
        raise ClipError(f"{path}: expected a video, but not one of its frames can be decoded")
    return np.stack(crops), times[0]


def _timed(
    container: av.container.InputContainer, times: list[float]
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield frames with their times, and append the times to `times`.

    Frames without a time follow at the stream's rate.
    """
    stream = container.streams.video[0]
    step = 1 / float(stream.average_rate or 25)
    for frame in container.decode(stream):
        times.append(frame.time if frame.time is not None else times[-1] + step if times else 0.0)
        yield times[-1], frame


def _read_audio(path: Path, start: float, seconds: float) -> NDArray[np.float32]:
    """Return (N,) at 16 kHz from the first frame on, of the video or of the recording beside it."""
    source, offset = _find_audio(path)
    needed = int(seconds * SAMPLE_RATE)
    late = round((offset - start) * SAMPLE_RATE)
    blocks, available = [np.zeros(max(0, late), np.float32)], late
    for block in iter_audio(source):
        blocks.append(block)
        available += len(block)
        if available >= needed:
            break
    return np.concatenate(blocks)[max(0, -late) :][:needed]


def _find_audio(path: Path) -> tuple[Path, float]:
    """Return the file with a video's audio, and the time at which it starts.

    MEAD has it in another file: M003/audio/angry/level_1/001.m4a.
    """
    with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
        if container.streams.audio:
            stream = container.streams.audio[0]
            offset = float((stream.start_time or 0) * (stream.time_base or 0))
            return path, max(0.0, offset)  # before zero is the encoder's padding, which is not decoded
    parts = path.parts
    if len(parts) > 5 and parts[-5] == "video":
        beside = Path(*parts[:-5], "audio", *parts[-3:]).with_suffix(".m4a")
        if beside.is_file():
            return beside, 0.0
    raise ClipError(f"{path}: expected a video with audio, but there is no audio in this file")
