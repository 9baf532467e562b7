"""`lipstream render`: a talking video from a portrait and a recording; the composition root of the offline path.

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

_AUDIO_RATE = 16_000


@dataclass(frozen=True)
class RenderedVideo:
    """A finished file: its frames, and the seconds that denoising, decoding and encoding took."""

    path: Path
    frames: int
    fps: int
    elapsed_seconds: float

    def __str__(self) -> str:
        duration = self.frames / self.fps
        speed = self.frames / max(self.elapsed_seconds, 1e-9)
        return (
            f"{self.path}: {self.frames} frames, {duration:.2f} s of video in {self.elapsed_seconds:.1f} s, "
            f"{speed:.1f} frames per second"
        )


def render(
    portrait: Annotated[str, typer.Argument(help="Image of a face, or the name of a bundled avatar.")],
    audio: Annotated[Path, typer.Argument(help="Recording: any file with an audio track.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .mp4 or .webm.")],
    model: Annotated[
        Path | None, typer.Option(help="Directory of Hallo weights; the bundled model is used if not set.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset, or the JSON file of a plan, see `lipstream plan`; the model's own if not set."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Number of DDIM steps; the model's own if not set.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Classifier-free guidance scale; 1 switches guidance off.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise; the same seed gives the same frames.")] = 0,
    device: Annotated[
        str,
        typer.Option(
            help="Device that runs the model: auto (CUDA if there is a GPU, else the CPU), cpu, cuda or cuda:N."
        ),
    ] = "auto",
) -> None:
    """Render a talking video from a portrait and a recording."""
    from lipstream_models.pipeline import Sampling, TalkingHeadPipeline

    loaded = _load_model(model, device)
    sampling = Sampling.of(loaded, preset, steps, guidance, seed)
    face = _prepare_portrait(portrait, loaded)
    for note in face.notes:
        typer.echo(note, err=True)
    typer.echo(str(render_video(TalkingHeadPipeline(loaded), face, audio, output, sampling)))


def render_video(
    engine: TalkingHeadPipeline, portrait: Portrait, audio: Path, output: Path, sampling: Sampling
) -> RenderedVideo:
    """Render a whole recording; windows are encoded as they are generated, so that memory does not grow with its length.

    Interrupting leaves a playable file of the frames so far.
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
    return RenderedVideo(output, film.frames, model.fps, time.perf_counter() - start)


def count_frames(audio: Path, model: Model) -> int:
    """Return the number of frames of a recording, found by decoding it: lengths in headers are not reliable."""
    from lipstream_models.audio import iter_audio

    samples = sum(len(block) for block in iter_audio(audio))
    if not samples:
        raise MediaError(f"{audio}: expected a recording, but it holds no audio")
    return -(-samples * model.fps // _AUDIO_RATE)


def audio_windows(audio: Path, model: Model) -> Iterator[NDArray[np.float32]]:
    """Yield the feature windows of a recording, (F, 5, blocks, channels), F the model's window; the last one is padded."""
    from lipstream_models.audio import iter_audio, windowed

    yield from windowed(model.audio.stream(), iter_audio(audio), model.defaults.window)


def _load_model(directory: Path | None, device: str) -> Model:
    from lipstream_models.commands.device_option import announce_device
    from lipstream_models.device.allocator import keep_freed_memory

    chosen = announce_device(device)
    keep_freed_memory()
    if directory is None:
        from lipstream_models.bundled import load_bundled

        return load_bundled(chosen)
    from lipstream_models.checkpoints.hallo import load_hallo

    return load_hallo(directory, chosen)


def _prepare_portrait(source: str, model: Model) -> Portrait:
    from lipstream_models.bundled import avatar_names, avatar_path
    from lipstream_models.portrait import FaceLandmarker, prepare_portrait

    path = avatar_path(source) if source in avatar_names() and not Path(source).exists() else Path(source)
    return prepare_portrait(path, FaceLandmarker(), model.portrait)
