"""A portrait and a recording become a talking video: the composition root of the offline command.

The models room is imported inside functions, when a command runs, so that the server itself never loads torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from ..errors import MediaError
from ..media.file.clip_writer import ClipFormat, ClipWriter
from .progress import progress

if TYPE_CHECKING:
    from lipstream_models.model import Model
    from lipstream_models.pipeline import Sampling, TalkingHeadPipeline
    from lipstream_models.portrait import Portrait


@dataclass(frozen=True)
class Rendered:
    """What was made: frames, seconds of video, seconds it took to denoise, decode and encode them."""

    path: Path
    frames: int
    fps: int
    elapsed: float

    def __str__(self) -> str:
        length = self.frames / self.fps
        speed = self.frames / max(self.elapsed, 1e-9)
        return f"{self.path}: {self.frames} frames, {length:.2f} s of video in {self.elapsed:.1f} s, {speed:.1f} frames a second"


def render(
    portrait: Annotated[str, typer.Argument(help="a picture of a face, or the name of a bundled avatar")],
    audio: Annotated[Path, typer.Argument(help="a recording; any file with a sound track")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the file to write, .mp4 or .webm")],
    model: Annotated[
        Path | None, typer.Option(help="directory of Hallo weights; the bundled model without it")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="see `lipstream plan`, or a plan's JSON file; the model's own without it"),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="DDIM steps; the model's own number without it")] = None,
    guidance: Annotated[float | None, typer.Option(help="guidance scale; 1 switches guidance off")] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same frames")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """A portrait and a recording become a talking video."""
    from lipstream_models.pipeline import Sampling, TalkingHeadPipeline

    loaded = _load(model, device)
    sampling = Sampling.for_model(loaded, preset, steps, guidance, seed)
    face = _portrait(portrait, loaded)
    for note in face.notes:
        typer.echo(note, err=True)
    typer.echo(str(make_video(TalkingHeadPipeline(loaded), face, audio, output, sampling)))


def make_video(
    engine: TalkingHeadPipeline, portrait: Portrait, audio: Path, output: Path, sampling: Sampling
) -> Rendered:
    """Renders the whole recording; windows are encoded as they are made, so that memory does not grow with its length.

    Interrupting leaves a playable file of what was done.
    """
    model = engine.model
    avatar = engine.encode_portrait(portrait)
    stream = engine.initial_state(avatar, sampling)
    total = count_frames(audio, model)
    start = time.perf_counter()
    size = ClipFormat(model.size, model.size, model.fps, total)
    with ClipWriter(audio, output, size) as film, progress("render", total) as advance:
        for window in audio_windows(audio, model):
            stream, frames = engine.generate_windows([(stream, window)])[0]
            advance(film.add(frames))
    return Rendered(output, film.frames, model.fps, time.perf_counter() - start)


def count_frames(audio: Path, model: Model) -> int:
    """Frames that a recording gives, found by decoding it once: what a header says of its length is not believed."""
    from lipstream_models.audio.decode import iter_audio
    from lipstream_models.audio.samples import SAMPLE_RATE

    samples = sum(len(block) for block in iter_audio(audio))
    if not samples:
        raise MediaError(f"{audio}: expected a recording, but it holds no sound")
    return -(-samples * model.fps // SAMPLE_RATE)


def audio_windows(audio: Path, model: Model) -> Iterator[NDArray[np.float32]]:
    """Feature windows (F, 5, blocks, channels) of a recording, F the model's clip length; the last is filled up with its end."""
    from lipstream_models.audio.decode import iter_audio
    from lipstream_models.audio.windows import iter_windows

    yield from iter_windows(model.audio.stream(), iter_audio(audio), model.defaults.window)


def _load(model: Path | None, device: str) -> Model:
    from lipstream_models.device.allocator import keep_freed_memory

    keep_freed_memory()
    if model is None:
        from lipstream_models.bundled import load_bundled

        return load_bundled(device)
    from lipstream_models.checkpoints.hallo import load_hallo

    return load_hallo(model, device)


def _portrait(source: str, model: Model) -> Portrait:
    from lipstream_models.bundled import avatar_names, avatar_path
    from lipstream_models.portrait import FaceLandmarker, prepare_portrait

    path = avatar_path(source) if source in avatar_names() and not Path(source).exists() else Path(source)
    return prepare_portrait(path, FaceLandmarker(), model.portrait)
