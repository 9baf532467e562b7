"""`lipstream analyse`: plots and numbers for the choice of key steps, threshold and layers of a plan."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from ..analysis.analysis import Analysis, analyse
from ..analysis.plots import Frames, plot_analysis, plot_frames
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
from ..model import Model
from ..pipeline import TalkingHeadPipeline
from ..portrait import FaceLandmarker, prepare_portrait
from ..sampling import Sampling
from .device_option import Device, announce_device

_PRESETS = ("base", "deepcache", "fasterdiffusion", "lightningcp", "paper", "balanced", "realtime")


def analyse_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the plots and analysis.json.")],
    portrait: Annotated[
        str, typer.Option(help="Image of a face, or the name of a bundled avatar.")
    ] = "amara",
    audio: Annotated[
        Path | None, typer.Option(help="Recording of speech. Without it, the bundled one.")
    ] = None,
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
    start: Annotated[
        float,
        typer.Option(help="Time in seconds; the window of the recording that has it is analysed.", min=0),
    ] = 0.0,
    device: Device = "auto",
) -> None:
    """Plot features and attentions over the steps of a window (figures 1, 2, 4 and 5 of LightningCP)."""
    chosen = announce_device(device)
    loaded = load_bundled(chosen) if model is None else load_hallo(model, chosen)
    sampling = Sampling.for_model(loaded, "exact", steps, guidance)
    window = _window(loaded, audio or recording_path(), start)
    source = (
        avatar_path(portrait)
        if portrait in avatar_names() and not Path(portrait).exists()
        else Path(portrait)
    )
    pipeline = TalkingHeadPipeline(loaded)
    encoded_portrait = pipeline.encode_portrait(prepare_portrait(source, FaceLandmarker(), loaded.portrait))
    out.mkdir(parents=True, exist_ok=True)
    inputs = pipeline.sampling_inputs(pipeline.initial_state(encoded_portrait, sampling), window)
    analysis = analyse(
        loaded.network.denoising_unet,
        inputs.schedule,
        inputs.noise,
        inputs.conditions,
        sampling.guidance,
        encoded_portrait.foreground,
    )
    rows: dict[str, Frames] = {}
    for name in _PRESETS:
        state = pipeline.initial_state(encoded_portrait, Sampling.for_model(loaded, name, steps, guidance))
        rows[name] = pipeline.generate_windows([(state, window)])[0][1]
    (out / "analysis.json").write_text(json.dumps(as_dict(analysis, loaded.name, sampling), indent=2) + "\n")
    for path in [
        *plot_analysis(analysis, out),
        plot_frames(rows, out / "figure5.png"),
        out / "analysis.json",
    ]:
        typer.echo(str(path))


def as_dict(analysis: Analysis, model: str, sampling: Sampling) -> dict[str, object]:
    """Return JSON values; null where the first step has no previous one."""
    numbers = json.loads(json.dumps(asdict(analysis)).replace("NaN", "null"))
    return {"model": model, "steps": sampling.steps, "guidance": sampling.guidance, **numbers}


def _window(model: Model, audio: Path, start: float) -> NDArray[np.float32]:
    """Return audio features (F, 5, blocks, channels) of the window of a recording at a time in seconds."""
    windows = iter_windows(model.audio.stream(), iter_audio(audio), model.defaults.window)
    number = int(start * model.fps / model.defaults.window)
    window = next(islice(windows, number, None), None)
    if window is None:
        raise LipstreamError(
            f"{audio}: expected audio at {start:g} s, but the recording ends before; lower --start"
        )
    return window
