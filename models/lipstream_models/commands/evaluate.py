"""`lipstream evaluate`: presets on a folder of videos, as HDTF or MEAD have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from lipstream_accel.presets import PRESETS

from ..bundled import load_bundled
from ..checkpoints.hallo import load_hallo
from ..device.allocator import keep_freed_memory
from ..errors import LipstreamError
from ..evaluation.runner import Evaluation, Judges, evaluate
from ..evaluation.table import as_table, as_values
from ..model import Model
from ..pipeline import Sampling, TalkingHeadPipeline
from ..portrait import FaceLandmarker
from ..quality.feature_networks import CLIP, frame_features, video_features
from ..quality.fidelity import TrueClip
from ..quality.image_quality import require_similarity
from ..quality.syncnet import load_syncnet
from ..quality.video_clip import find_videos, read_clip
from .device_option import Device, announce_device

_PRESETS = "base,fasterdiffusion,deepcache,lightningcp,paper,realtime"


def evaluate_command(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="videos, each with its sound; folders in it are searched")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for evaluation.json and evaluation.md")],
    presets: Annotated[
        str, typer.Option(help="names or plans' JSON files, with commas between; or all; base comes first")
    ] = _PRESETS,
    model: Annotated[
        Path | None, typer.Option(help="directory of Hallo weights; the bundled model without it")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="DDIM steps; the model's own number without it")] = None,
    guidance: Annotated[float | None, typer.Option(help="guidance scale; the model's own without it")] = None,
    seed: Annotated[int, typer.Option(help="of the noise, the same for all presets")] = 0,
    seconds: Annotated[float, typer.Option(help="at most this much of each video", min=0.1)] = 8.0,
    limit: Annotated[int | None, typer.Option(help="at most this many videos", min=1)] = None,
    inception: Annotated[
        Path | None, typer.Option(help="for FID: inception-2015-12-05.pt of StyleGAN's metrics")
    ] = None,
    i3d: Annotated[Path | None, typer.Option(help="for FVD: i3d_torchscript.pt of StyleGAN-V")] = None,
    syncnet: Annotated[Path | None, typer.Option(help="for Sync: syncnet_v2.model of SyncNet")] = None,
    device: Device = "auto",
) -> None:
    """Presets on real videos: first frame and sound go in; what comes out is compared with base and with the video."""
    chosen = announce_device(device)
    require_similarity()
    videos = find_videos(_folder(directory))
    keep_freed_memory()
    loaded = load_bundled(chosen) if model is None else load_hallo(model, chosen)
    samplings = _samplings(loaded, presets, steps, guidance, seed)
    judges = Judges(
        None if inception is None else frame_features(inception, loaded.device),
        None if i3d is None else video_features(i3d, loaded.device),
        None if syncnet is None else load_syncnet(syncnet, loaded.device),
    )
    out.mkdir(parents=True, exist_ok=True)
    skipped: dict[str, str] = {}
    clips = islice(_clips(videos, directory, loaded, seconds, skipped), limit)
    found = evaluate(TalkingHeadPipeline(loaded), clips, samplings, judges)
    settings = {
        "model": loaded.name,
        "device": str(loaded.device),
        "guidance": next(iter(samplings.values())).guidance,
        "steps": {name: sampling.steps for name, sampling in samplings.items()},
        "seed": seed,
        "seconds": seconds,
    }
    notes = _notes(found, judges, skipped)
    values = {"settings": settings, "skipped": skipped, "notes": notes, **as_values(found)}
    (out / "evaluation.json").write_text(json.dumps(values, indent=2) + "\n")
    text = "\n\n".join([as_table(found), "\n".join(f"- {note}" for note in notes)])
    (out / "evaluation.md").write_text(text + "\n")
    typer.echo(text)


def _samplings(
    model: Model, names: str, steps: int | None, guidance: float | None, seed: int
) -> dict[str, Sampling]:
    """By name, base first. Raises SamplingError for a preset that does not exist."""
    asked = PRESETS if names.strip() == "all" else [name for name in names.replace(",", " ").split() if name]
    ordered = dict.fromkeys(["base", *asked])
    samplings = {name: Sampling.of(model, name, steps, guidance, seed) for name in ordered}
    for sampling in samplings.values():
        sampling.plan()
    return samplings


def _clips(
    videos: Sequence[Path], directory: Path, model: Model, seconds: float, skipped: dict[str, str]
) -> Iterator[TrueClip]:
    """Those that can be used; why the others cannot is said and noted."""
    landmarker = FaceLandmarker()
    for number, path in enumerate(videos, 1):
        name = path.relative_to(directory).as_posix()
        try:
            clip = read_clip(path, name, model, landmarker, seconds)
        except LipstreamError as error:
            skipped[name] = str(error)
            typer.echo(f"{name}: skipped: {error}", err=True)
            continue
        typer.echo(f"{name}: {len(clip.frames)} frames (video {number} of {len(videos)})", err=True)
        yield clip


def _notes(found: Evaluation, judges: Judges, skipped: dict[str, str]) -> list[str]:
    """What the figures rest on, and what was left out."""
    notes = [f"videos: {len(found.videos)}, frames: {found.frames}, skipped: {len(skipped)}"]
    if judges.inception is None:
        notes.append("FID left out: --inception FILE supplies its network (inception-2015-12-05.pt)")
    else:
        notes.append(f"FID over {found.frames} frames; below some thousand it says little")
    if judges.i3d is None:
        notes.append("FVD left out: --i3d FILE supplies its network (i3d_torchscript.pt)")
    else:
        notes.append(f"FVD over {found.clips} clips of {CLIP} frames; below some thousand it says little")
    if judges.syncnet is None:
        notes.append("Sync left out: --syncnet FILE supplies its network (syncnet_v2.model)")
    else:
        notes.append(f"Sync of the videos themselves: {found.video_sync:.2f}")
    return notes


def _folder(directory: Path) -> Path:
    if not directory.is_dir():
        raise LipstreamError(f"{directory}: expected a folder with videos, but there is no such folder")
    return directory
