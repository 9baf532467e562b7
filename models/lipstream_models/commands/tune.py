"""`lipstream tune`: search for the cheapest plan within a fidelity budget."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor

from lipstream_accel.plan import Plan
from lipstream_accel.plan_json import plan_to_json
from lipstream_accel.plan_text import describe_plan

from ..analysis.meta_models import meta_model, price_plan
from ..analysis.tuning import tune
from ..audio.decode import iter_audio
from ..audio.windows import iter_windows
from ..bundled import (
    avatar_names,
    avatar_path,
    load_bundled,
    recording_path,
)
from ..checkpoints.hallo import load_hallo
from ..errors import LipstreamError
from ..pipeline import SamplingInputs, TalkingHeadPipeline
from ..portrait import FaceLandmarker, prepare_portrait
from ..sampling import Sampling
from .device_option import Device, announce_device


def tune_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file for the plan, which --preset takes.")],
    model: Annotated[
        Path | None, typer.Option(help="Directory of Hallo weights. Without it, the bundled model.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Number of DDIM steps. Without it, the model's own number.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Guidance scale of classifier-free guidance. Without it, the model's own."),
    ] = None,
    budget: Annotated[
        float, typer.Option(help="Lowest signal-to-noise ratio to full sampling in the face, in dB.")
    ] = 15.0,
    foreground: Annotated[
        bool, typer.Option(help="Whether steps between key steps attend inside the face only.")
    ] = True,
    forecast: Annotated[
        bool, typer.Option(help="Whether to try forecasts of f_U31 too, which takes twice as long.")
    ] = False,
    portraits: Annotated[
        int, typer.Option(help="Number of bundled avatars that plans are rated on.", min=1)
    ] = 2,
    frames: Annotated[
        int, typer.Option(help="Number of frames of each avatar that plans are rated on.", min=1)
    ] = 4,
    audio: Annotated[
        Path | None, typer.Option(help="Recording of speech. Without it, the bundled one.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Remove key steps and guidance step by step where it costs least fidelity, and write the final plan."""
    chosen = announce_device(device)
    loaded = load_bundled(chosen) if model is None else load_hallo(model, chosen)
    sampling = Sampling.for_model(loaded, "exact", steps, guidance)
    size = meta_model("bundled" if model is None else "hallo")

    def cost(plan: Plan) -> float:
        return price_plan(plan, size).tflop

    cases = _cases(TalkingHeadPipeline(loaded), audio or recording_path(), sampling, portraits, frames)
    rated = None
    search = tune(
        loaded.network.denoising_unet,
        cases,
        sampling.guidance,
        cost,
        budget,
        foreground=foreground,
        forecast=forecast,
        on_rated=_RatedPlanCounter(),
    )
    for rated in search:
        keys = len(rated.plan.segments)
        typer.echo(f"{keys:3} key steps, {rated.fidelity:6.2f} dB, {rated.cost:.4g} TFLOP a clip", err=True)
    if rated is None:
        raise LipstreamError(
            f"no step can be left out within {budget:g} dB; lower --budget (5 to 30 are usual)"
        )
    out.write_text(plan_to_json(rated.plan) + "\n")
    typer.echo(f"{describe_plan(rated.plan)}\n{out}: {rated.fidelity:.2f} dB, {rated.cost:.4g} TFLOP a clip")


class _RatedPlanCounter:
    """Prints the number of rated plans now and then, because the first round takes long."""

    every = 10

    def __init__(self) -> None:
        self._plans = 0

    def __call__(self) -> None:
        self._plans += 1
        if self._plans % self.every == 0:
            typer.echo(f"{self._plans} plans rated", err=True)


def _cases(
    pipeline: TalkingHeadPipeline, audio: Path, sampling: Sampling, portraits: int, frames: int
) -> list[tuple[SamplingInputs, Tensor]]:
    """Return inputs for each of some bundled avatars: consecutive windows of a recording, with face tokens."""
    landmarker = FaceLandmarker()
    windows = iter_windows(pipeline.model.audio.stream(), iter_audio(audio), frames)
    cases = []
    for name, window in zip(avatar_names()[:portraits], islice(windows, 1, None), strict=False):
        avatar = pipeline.encode_portrait(
            prepare_portrait(avatar_path(name), landmarker, pipeline.model.portrait)
        )
        cases.append(
            (pipeline.sampling_inputs(pipeline.initial_state(avatar, sampling), window), avatar.foreground)
        )
    if not cases:
        raise LipstreamError(f"{audio}: expected at least {2 * frames} frames of audio")
    return cases
