"""`lipstream evaluate`: presets on a folder of videos, such as HDTF or MEAD."""

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
from ..evaluation.runner import Evaluation, MetricNetworks, evaluate
from ..evaluation.table import as_table, as_values
from ..model import Model
from ..pipeline import TalkingHeadPipeline
from ..portrait import FaceLandmarker
from ..quality.feature_networks import CLIP_FRAMES, frame_features, video_features
from ..quality.fidelity import ReferenceClip
from ..quality.image_quality import require_ssim
from ..quality.syncnet import load_syncnet
from ..quality.video_clip import find_videos, read_clip
from ..sampling import Sampling
from .device_option import Device, announce_device

_PRESETS = "base,fasterdiffusion,deepcache,lightningcp,paper,realtime"


def evaluate_command(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of videos with audio; its subfolders are searched too."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for evaluation.json and evaluation.md.")],
    presets: Annotated[
        str,
        typer.Option(
            help="Names of presets or JSON files of plans, separated by commas, or `all`. Base is always included."
        ),
    ] = _PRESETS,
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
    seed: Annotated[int, typer.Option(help="Seed of the noise, the same for all presets.")] = 0,
    seconds: Annotated[float, typer.Option(help="Longest part of each video in seconds.", min=0.1)] = 8.0,
    limit: Annotated[int | None, typer.Option(help="Most videos. Without it, all.", min=1)] = None,
    inception: Annotated[
        Path | None,
        typer.Option(
            help="Network for FID: inception-2015-12-05.pt of StyleGAN's metrics. Without it, no FID."
        ),
    ] = None,
    i3d: Annotated[
        Path | None,
        typer.Option(help="Network for FVD: i3d_torchscript.pt of StyleGAN-V. Without it, no FVD."),
    ] = None,
    syncnet: Annotated[
        Path | None, typer.Option(help="Network for Sync: syncnet_v2.model of SyncNet. Without it, no Sync.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Evaluate presets on real videos: animate the first frame by the audio, compare with base and video."""
    chosen = announce_device(device)
    require_ssim()
    videos = find_videos(_folder(directory))
    keep_freed_memory()
    loaded = load_bundled(chosen) if model is None else load_hallo(model, chosen)
    samplings = _samplings(loaded, presets, steps, guidance, seed)
    networks = MetricNetworks(
        None if inception is None else frame_features(inception, loaded.device),
        None if i3d is None else video_features(i3d, loaded.device),
        None if syncnet is None else load_syncnet(syncnet, loaded.device),
    )
    out.mkdir(parents=True, exist_ok=True)
    skipped: dict[str, str] = {}
    clips = islice(_clips(videos, directory, loaded, seconds, skipped), limit)
    evaluation = evaluate(TalkingHeadPipeline(loaded), clips, samplings, networks)
    settings = {
        "model": loaded.name,
        "device": str(loaded.device),
        "guidance": next(iter(samplings.values())).guidance,
        "steps": {name: sampling.steps for name, sampling in samplings.items()},
        "seed": seed,
        "seconds": seconds,
    }
    notes = _notes(evaluation, networks, skipped)
    values = {"settings": settings, "skipped": skipped, "notes": notes, **as_values(evaluation)}
    (out / "evaluation.json").write_text(json.dumps(values, indent=2) + "\n")
    text = "\n\n".join([as_table(evaluation), "\n".join(f"- {note}" for note in notes)])
    (out / "evaluation.md").write_text(text + "\n")
    typer.echo(text)


def _samplings(
    model: Model, names: str, steps: int | None, guidance: float | None, seed: int
) -> dict[str, Sampling]:
    """Return samplings by name, base first.

    Raises:
        SamplingError: A preset does not exist.
    """
    requested = (
        PRESETS if names.strip() == "all" else [name for name in names.replace(",", " ").split() if name]
    )
    ordered = dict.fromkeys(["base", *requested])
    samplings = {name: Sampling.for_model(model, name, steps, guidance, seed) for name in ordered}
    for sampling in samplings.values():
        sampling.plan()
    return samplings


def _clips(
    videos: Sequence[Path], directory: Path, model: Model, seconds: float, skipped: dict[str, str]
) -> Iterator[ReferenceClip]:
    """Yield the usable videos; print and record why others are skipped."""
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


def _notes(evaluation: Evaluation, networks: MetricNetworks, skipped: dict[str, str]) -> list[str]:
    """Return remarks on the basis of the metrics, and on those left out."""
    notes = [f"videos: {len(evaluation.videos)}, frames: {evaluation.frames}, skipped: {len(skipped)}"]
    if networks.inception is None:
        notes.append("FID left out: --inception FILE supplies its network (inception-2015-12-05.pt)")
    else:
        notes.append(f"FID over {evaluation.frames} frames; below some thousands it is not meaningful")
    if networks.i3d is None:
        notes.append("FVD left out: --i3d FILE supplies its network (i3d_torchscript.pt)")
    else:
        notes.append(
            f"FVD over {evaluation.clips} clips of {CLIP_FRAMES} frames; below some thousands it is not meaningful"
        )
    if networks.syncnet is None:
        notes.append("Sync left out: --syncnet FILE supplies its network (syncnet_v2.model)")
    else:
        notes.append(f"Sync of the videos themselves: {evaluation.video_sync:.2f}")
    return notes


def _folder(directory: Path) -> Path:
    if not directory.is_dir():
        raise LipstreamError(f"{directory}: expected a folder with videos, but there is no such folder")
    return directory
