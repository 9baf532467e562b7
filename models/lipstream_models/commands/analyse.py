"""`lipstream analyse`: pictures and numbers to choose key steps, threshold and layers of a plan by."""

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
from ..analysis.plots import Frames, draw, draw_frames
from ..audio import iter_audio, windowed
from ..bundled import (
    avatar_names,
    avatar_path,
    load_bundled,
    recording_path,
)
from ..checkpoints.hallo import load_hallo
from ..errors import LipstreamError
from ..model import Model
from ..pipeline import Sampling, TalkingHeadPipeline
from ..portrait import FaceLandmarker, prepare_portrait
from .device_option import Device, announce_device

_PRESETS = ("base", "deepcache", "fasterdiffusion", "lightningcp", "paper", "balanced", "realtime")


def analyse_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the pictures and analysis.json")],
    portrait: Annotated[
        str, typer.Option(help="a picture of a face, or the name of a bundled avatar")
    ] = "amara",
    audio: Annotated[Path | None, typer.Option(help="a recording; the bundled one without it")] = None,
    model: Annotated[
        Path | None, typer.Option(help="directory of Hallo weights; the bundled model without it")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="DDIM steps; the model's own number without it")] = None,
    guidance: Annotated[float | None, typer.Option(help="guidance scale; the model's own without it")] = None,
    start: Annotated[float, typer.Option(help="a second of the recording that the clip holds", min=0)] = 0.0,
    device: Device = "auto",
) -> None:
    """What features and attentions do over the steps of a clip (the paper's figures 1, 2, 4 and 5), as PNG and JSON."""
    chosen = announce_device(device)
    loaded = load_bundled(chosen) if model is None else load_hallo(model, chosen)
    sampling = Sampling.of(loaded, "exact", steps, guidance)
    window = _window(loaded, audio or recording_path(), start)
    source = (
        avatar_path(portrait)
        if portrait in avatar_names() and not Path(portrait).exists()
        else Path(portrait)
    )
    engine = TalkingHeadPipeline(loaded)
    avatar = engine.encode_portrait(prepare_portrait(source, FaceLandmarker(), loaded.portrait))
    out.mkdir(parents=True, exist_ok=True)
    case = engine.sampling_inputs(engine.initial_state(avatar, sampling), window)
    found = analyse(
        loaded.network.denoising_unet,
        case.schedule,
        case.noise,
        case.conditions,
        sampling.guidance,
        avatar.foreground,
    )
    rows: dict[str, Frames] = {}
    for name in _PRESETS:
        stream = engine.initial_state(avatar, Sampling.of(loaded, name, steps, guidance))
        rows[name] = engine.generate_windows([(stream, window)])[0][1]
    (out / "analysis.json").write_text(json.dumps(as_dict(found, loaded.name, sampling), indent=2) + "\n")
    for path in [*draw(found, out), draw_frames(rows, out / "figure5.png"), out / "analysis.json"]:
        typer.echo(str(path))


def as_dict(found: Analysis, model: str, sampling: Sampling) -> dict[str, object]:
    """JSON values; null where there is no step before the first."""
    numbers = json.loads(json.dumps(asdict(found)).replace("NaN", "null"))
    return {"model": model, "steps": sampling.steps, "guidance": sampling.guidance, **numbers}


def _window(model: Model, audio: Path, start: float) -> NDArray[np.float32]:
    """Audio features (F, 5, blocks, channels) of the clip window of the recording that holds this second."""
    windows = windowed(model.audio.stream(), iter_audio(audio), model.defaults.window)
    number = int(start * model.fps / model.defaults.window)
    found = next(islice(windows, number, None), None)
    if found is None:
        raise LipstreamError(f"{audio}: expected sound at {start:g} s, but the recording ends before")
    return found
