"""`lipstream tune`: a plan for a model, found by search against a budget of fidelity."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor

from lipstream_accel.plan import Plan
from lipstream_accel.plan_json import to_json
from lipstream_accel.plan_text import describe

from ..analysis.meta_models import full_size, price_plan
from ..analysis.tuning import tune
from ..audio import iter_audio, windowed
from ..bundled import (
    avatar_names,
    avatar_path,
    load_bundled,
    recording_path,
)
from ..checkpoints.hallo import load_hallo
from ..errors import LipstreamError
from ..pipeline import Sampling, SamplingInputs, TalkingHeadPipeline
from ..portrait import FaceLandmarker, prepare_portrait
from .device_option import Device, announce_device


def tune_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="the plan, a JSON file for --preset")],
    model: Annotated[
        Path | None, typer.Option(help="directory of Hallo weights; the bundled model without it")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="DDIM steps; the model's own number without it")] = None,
    guidance: Annotated[float | None, typer.Option(help="guidance scale; the model's own without it")] = None,
    budget: Annotated[
        float, typer.Option(help="least signal-to-noise ratio against full sampling, in the face, dB")
    ] = 15.0,
    foreground: Annotated[
        bool, typer.Option(help="steps between key steps attend inside the face only")
    ] = True,
    forecast: Annotated[
        bool, typer.Option(help="also try forecasts of f_U31, which takes twice as long")
    ] = False,
    portraits: Annotated[int, typer.Option(help="bundled avatars to judge plans on", min=1)] = 2,
    frames: Annotated[int, typer.Option(help="of each avatar that plans are judged on", min=1)] = 4,
    audio: Annotated[Path | None, typer.Option(help="a recording; the bundled one without it")] = None,
    device: Device = "auto",
) -> None:
    """Leaves out key steps and guidance, piece by piece, where it costs the least, and writes the plan that is left."""
    chosen = announce_device(device)
    loaded = load_bundled(chosen) if model is None else load_hallo(model, chosen)
    sampling = Sampling.of(loaded, "exact", steps, guidance)
    size = full_size("bundled" if model is None else "hallo")

    def cost(plan: Plan) -> float:
        return price_plan(plan, size).tflop

    cases = _cases(TalkingHeadPipeline(loaded), audio or recording_path(), sampling, portraits, frames)
    found = None
    search = tune(
        loaded.network.denoising_unet,
        cases,
        sampling.guidance,
        cost,
        budget,
        foreground=foreground,
        forecast=forecast,
        judged=_Count(),
    )
    for found in search:
        keys = len(found.plan.segments)
        typer.echo(f"{keys:3} key steps, {found.fidelity:6.2f} dB, {found.cost:.4g} TFLOP a clip", err=True)
    if found is None:
        raise LipstreamError(
            f"nothing can be left out within {budget:g} dB; a lower --budget allows more (5 to 30 are usual)"
        )
    out.write_text(to_json(found.plan) + "\n")
    typer.echo(f"{describe(found.plan)}\n{out}: {found.fidelity:.2f} dB, {found.cost:.4g} TFLOP a clip")


class _Count:
    """Says now and then how many plans were judged: the first round takes the longest and ends in one line."""

    every = 10

    def __init__(self) -> None:
        self._plans = 0

    def __call__(self) -> None:
        self._plans += 1
        if self._plans % self.every == 0:
            typer.echo(f"{self._plans} plans judged", err=True)


def _cases(
    engine: TalkingHeadPipeline, audio: Path, sampling: Sampling, portraits: int, frames: int
) -> list[tuple[SamplingInputs, Tensor]]:
    """A window of the recording, so many frames long, for each of some bundled avatars, one after the other."""
    landmarker = FaceLandmarker()
    windows = windowed(engine.model.audio.stream(), iter_audio(audio), frames)
    cases = []
    for name, window in zip(avatar_names()[:portraits], islice(windows, 1, None), strict=False):
        avatar = engine.encode_portrait(
            prepare_portrait(avatar_path(name), landmarker, engine.model.portrait)
        )
        cases.append(
            (engine.sampling_inputs(engine.initial_state(avatar, sampling), window), avatar.foreground)
        )
    if not cases:
        raise LipstreamError(f"{audio}: expected at least {2 * frames} frames of sound")
    return cases
