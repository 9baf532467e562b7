"""A video with a talking head as what a model should have made of its first frame and its sound."""

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
from .fidelity import TrueClip
from .image_quality import Boxes, Frames
from .lip_sync import face_track, lip_openings

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")
T = TypeVar("T")


class ClipError(LipstreamError):
    """A video that cannot be evaluated on; the message says why."""


def find_videos(folder: Path) -> list[Path]:
    """All videos under a folder by their suffix, sorted; hidden files and folders are left out."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise ClipError(
            f"{folder}: expected videos ({', '.join(SUFFIXES)}), found none; a flat folder as HDTF's will do,"
            " or folders as MEAD's (M003/video/front/angry/level_1/001.mp4)"
        )
    return found


def read_clip(path: Path, name: str, model: Model, landmarker: FaceLandmarker, seconds: float) -> TrueClip:
    """At most this much of a video, at the model's rate and size.

    The face of the first frame decides the square, as for a portrait, and all frames are cut there, so that a head that moves
    does so in the crop too. When the lips are closed is not known. Raises ClipError, ImageError or AudioError.
    """
    count = round(seconds * model.fps)
    try:
        frames, start = _frames(path, model, landmarker, count)
    except (av.FFmpegError, OSError) as error:
        raise ClipError(f"{path}: expected a video, but it cannot be decoded ({error.strerror})") from error
    audio = _sound(path, start, count / model.fps)
    length = min(len(frames), len(audio) * model.fps // SAMPLE_RATE)
    if length < model.defaults.window:
        raise ClipError(
            f"{path}: expected at least {model.defaults.window} frames with sound, got {len(frames)} frames and"
            f" {len(audio) / SAMPLE_RATE:.2f} s of sound"
        )
    faces = face_track(frames[:length], landmarker)
    if faces[0] is None:
        raise ClipError(f"{path}: the face of the first frame is not found again once it is cut out")
    return TrueClip(
        name,
        frames[:length],
        audio[: length * SAMPLE_RATE // model.fps],
        lip_openings(faces),
        np.zeros(0, np.int64),
        face_boxes(faces),
    )


def face_boxes(faces: Iterable[Face | None]) -> Boxes:
    """(T, 4) from hairline to chin; where a face is lost, the last one's, and before the first nothing."""
    boxes, box = [], np.zeros(4, np.float32)
    for face in faces:
        box = box if face is None else outline_box(face.landmarks)
        boxes.append(box)
    return np.array(boxes, np.float32)


def at_rate(frames: Iterable[tuple[float, T]], fps: float) -> Iterator[T]:
    """Frames with their times in seconds -> for each tick of the new rate, from the first time on, the frame nearest to it."""
    ticks = 0
    begin: float | None = None
    last: tuple[float, T] | None = None
    gap = 1 / fps
    for time, frame in frames:
        begin = time if begin is None else begin
        if last is not None:
            gap = time - last[0]
            while begin + ticks / fps <= (last[0] + time) / 2:
                yield last[1]
                ticks += 1
        last = (time, frame)
    # The last one lasts as long as the one before it.
    while last is not None and begin is not None and begin + ticks / fps < last[0] + gap - 1e-6:
        yield last[1]
        ticks += 1


def _frames(path: Path, model: Model, landmarker: FaceLandmarker, count: int) -> tuple[Frames, float]:
    """(T, size, size, 3), T at most count, and the first one's time in seconds."""
    crops: list[NDArray[np.uint8]] = []
    square = None
    # Read through a file object with every protocol forbidden, so that a playlist cannot fetch other files.
    with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
        if not container.streams.video:
            raise ClipError(f"{path}: expected a video, but there are no pictures in this file")
        times: list[float] = []
        for frame in at_rate(_timed(container, times), model.fps):
            picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            if square is None:
                framing = model.portrait.framing or Framing()
                face, _ = choose_face(landmarker.detect(picture), framing)
                square = frame_head(face.landmarks, picture.shape[1], picture.shape[0], framing)
            crops.append(resample_square(picture, square, model.size))
            if len(crops) == count:
                break
    if not crops:
        raise ClipError(f"{path}: expected a video, but not one of its frames can be decoded")
    return np.stack(crops), times[0]


def _timed(
    container: av.container.InputContainer, times: list[float]
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Decoded frames with their times, which are noted in the list too; frames without one follow at the stream's rate."""
    stream = container.streams.video[0]
    step = 1 / float(stream.average_rate or 25)
    for frame in container.decode(stream):
        times.append(frame.time if frame.time is not None else times[-1] + step if times else 0.0)
        yield times[-1], frame


def _sound(path: Path, start: float, seconds: float) -> NDArray[np.float32]:
    """(N,) at 16 kHz from the time of the first frame on, of the video or of the recording beside it."""
    source, offset = _recording(path)
    wanted = int(seconds * SAMPLE_RATE)
    late = round((offset - start) * SAMPLE_RATE)
    blocks, held = [np.zeros(max(0, late), np.float32)], late
    for block in iter_audio(source):
        blocks.append(block)
        held += len(block)
        if held >= wanted:
            break
    return np.concatenate(blocks)[max(0, -late) :][:wanted]


def _recording(path: Path) -> tuple[Path, float]:
    """Where a video's sound is, and the time at which it begins. MEAD keeps it apart: M003/audio/angry/level_1/001.m4a."""
    with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
        if container.streams.audio:
            stream = container.streams.audio[0]
            begin = float((stream.start_time or 0) * (stream.time_base or 0))
            return path, max(0.0, begin)  # what lies before zero is the encoder's delay, which is not decoded
    parts = path.parts
    if len(parts) > 5 and parts[-5] == "video":
        beside = Path(*parts[:-5], "audio", *parts[-3:]).with_suffix(".m4a")
        if beside.is_file():
            return beside, 0.0
    raise ClipError(f"{path}: expected a video with sound, but there is none in this file")
