"""Rendered clips into latents, audio features and portraits.

python -m lipstream_training.data.encode_clips --clips DIR --run DIR --out DIR
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipstream_models.audio.features import FeatureConfig, WhisperFeatures
from lipstream_models.autoencoders.patch_autoencoder import Autoencoder
from lipstream_models.device.precision import autocast
from lipstream_models.portrait import (
    FaceLandmarker,
    ImageError,
    Portrait,
    PortraitSettings,
    prepare_portrait,
)
from lipstream_models.warping.flow_warp import FlowWarp

from ..autoencoder.training import trained_autoencoder
from ..bundled_config import NETWORK
from ..optimisation.checkpoint import load_state, save_state
from ..optimisation.workers import Workers, launch
from .dataset import Clip, load_clip
from .latent_dataset import LatentClip, save_latent_clip
from .warp_components import (
    channels_of,
    flow_of,
    leading_components,
    mouths_of,
)

FLOW_UNIT = 0.6
"""What a flow channel is inside faces on average, and others in mouths, in the unit of latents: about what those are whose distance
is diffused.
"""


def normalised_autoencoder(run: Path) -> Autoencoder:
    """The trained autoencoder with the latent statistics."""
    autoencoder = trained_autoencoder(run)
    state = load_state(run / "latent_statistics.pt")
    if state is None:
        raise FileNotFoundError(f"{run / 'latent_statistics.pt'}: encode the clips first")
    autoencoder.latent_mean.copy_(state["mean"])
    autoencoder.latent_std.copy_(state["std"])
    return autoencoder


def trained_warp(run: Path) -> FlowWarp:
    """The components of flow."""
    state = load_state(run / "warp.pt")
    if state is None:
        raise FileNotFoundError(f"{run / 'warp.pt'}: encode the clips first")
    warp = FlowWarp(NETWORK.flow_channels)
    warp.load_state_dict(state)
    return warp


def hearing(run: Path) -> FeatureConfig:
    """How the run's audio features are made."""
    state = load_state(run / "latent_statistics.pt")
    if state is None:
        raise FileNotFoundError(f"{run / 'latent_statistics.pt'}: encode the clips first")
    values = state["hearing"]
    return FeatureConfig(**{**values, "layers": tuple(values["layers"])})


@torch.no_grad()
def encode_frames(autoencoder: Autoencoder, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """(T, H, W, 3) uint8 -> normalised latents (T, C, h, w)."""
    parts = []
    for start in range(0, len(frames), 32):
        images = (
            torch.from_numpy(np.array(frames[start : start + 32])).permute(0, 3, 1, 2).float() / 127.5 - 1
        )
        with autocast("cpu"):
            parts.append(autoencoder.encode(images).float())
    return torch.cat(parts).numpy().astype(np.float16)


@torch.no_grad()
def normalise(autoencoder: Autoencoder, clips: list[Clip]) -> None:
    """Measures the mean of each latent channel, and one spread for all: strong channels are to stay the strong ones."""
    frames = np.stack([clip.frames[len(clip.frames) // 2] for clip in clips])
    latents = torch.from_numpy(encode_frames(autoencoder, frames).astype(np.float32))
    autoencoder.latent_mean.copy_(latents.mean(dim=(0, 2, 3)))
    autoencoder.latent_std.fill_(float(latents.var(dim=(0, 2, 3)).mean().sqrt()))


def token_share(boxes: NDArray[np.float32], side: int, latent: int) -> NDArray[np.float16]:
    """How much of each latent token lies inside a frame's box: (T, 4) pixels -> (T, h, w)."""
    edges = np.arange(latent + 1) * side / latent
    left, top, right, bottom = (boxes[:, i, None] for i in range(4))
    across = np.clip(np.minimum(right, edges[1:]) - np.maximum(left, edges[:-1]), 0, None)
    down = np.clip(np.minimum(bottom, edges[1:]) - np.maximum(top, edges[:-1]), 0, None)
    share = down[:, :, None] * across[:, None, :] * (latent / side) ** 2
    return np.asarray(share, np.float16)


def portraits_of(clip: Clip, landmarker: FaceLandmarker) -> dict[int, Portrait]:
    """Those of the clip's references in which a face is found, by their number."""
    settings = PortraitSettings(framing=None)
    found = {}
    for number, frame in enumerate(clip.truth.references):
        try:
            found[number] = prepare_portrait(np.array(clip.frames[frame]), landmarker, settings)
        except ImageError:
            continue
    return found


@torch.no_grad()
def samples_of(
    autoencoder: Autoencoder,
    warp: FlowWarp,
    portrait: Portrait,
    latents: NDArray[np.float16],
    tokens: Tensor,
) -> NDArray[np.float16]:
    """What is diffused for a portrait (T, C + K, h, w): how far latents (T, C, h, w) are from the portrait as moved and painted,
    and the channels that say how; tokens: see `Mouths.tokens`.
    """
    channels = channels_of(warp, tokens)
    picture = torch.from_numpy(portrait.image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    moved = torch.cat([autoencoder.encode(warp(picture, part)) for part in channels.split(16)])
    return torch.cat([torch.from_numpy(latents) - moved, channels], dim=1).numpy().astype(np.float16)


def encode_clip(
    clip: Clip, autoencoder: Autoencoder, warp: FlowWarp, whisper: WhisperFeatures, landmarker: FaceLandmarker
) -> LatentClip | None:
    """None when none of the clip's references shows a face that can be found."""
    views = portraits_of(clip, landmarker)
    if not views:
        return None
    latents, mouths = encode_frames(autoencoder, clip.frames), mouths_of(clip)
    side, latent = clip.frames.shape[1], latents.shape[-1]
    numbers, portraits = list(views), list(views.values())
    levels = range(len(portraits[0].masks))
    return LatentClip(
        latents=latents,
        features=whisper.offline(clip.truth.audio).astype(np.float16),
        samples=np.stack(
            [
                samples_of(
                    autoencoder, warp, portrait, latents, mouths.tokens(flow_of(clip, number), warp.inside)
                )
                for number, portrait in views.items()
            ]
        ),
        reference_frames=clip.truth.references[numbers],
        embeddings=np.stack([p.embedding for p in portraits]).astype(np.float16),
        face_regions=np.stack([p.face_region[..., 0] for p in portraits]),
        masks=tuple(
            np.stack(
                [np.concatenate([p.masks[i].full, p.masks[i].face, p.masks[i].lip]) for p in portraits]
            ).astype(np.float16)
            for i in levels
        ),
        mouth=token_share(clip.truth.mouth_box, side, latent),
        face=token_share(clip.truth.face_box, side, latent),
    )


def measure_statistics(run: Path, folders: list[Path]) -> None:
    """Once a run: clips that are added later are encoded with the same statistics and the same components of flow."""
    statistics_path, warp_path = run / "latent_statistics.pt", run / "warp.pt"
    if statistics_path.exists() and warp_path.exists():
        return
    clips = [load_clip(folder) for folder in folders if folder.parent.name == "train"]
    if not statistics_path.exists():
        autoencoder = trained_autoencoder(run)
        normalise(autoencoder, clips)
        statistics = {"mean": autoencoder.latent_mean, "std": autoencoder.latent_std}
        save_state(statistics_path, {**statistics, "hearing": asdict(FeatureConfig())})
    if not warp_path.exists():
        save_state(warp_path, leading_components(clips, FLOW_UNIT).state_dict())


@dataclass(frozen=True)
class Job:
    """Clip folders into files of the same name under ``out``; the workers share the clips."""

    folders: list[Path]
    run: Path
    out: Path

    def __call__(self, workers: Workers) -> None:
        autoencoder, warp = normalised_autoencoder(self.run), trained_warp(self.run)
        whisper, landmarker = WhisperFeatures.bundled(hearing(self.run)), FaceLandmarker()
        for number in range(workers.rank, len(self.folders), workers.count):
            folder = self.folders[number]
            out = self.out / folder.parent.name / f"{folder.name}.npz"
            if out.exists():
                continue
            out.parent.mkdir(parents=True, exist_ok=True)
            encoded = encode_clip(load_clip(folder), autoencoder, warp, whisper, landmarker)
            if encoded is None:
                print(f"{folder.name}: no face found, left out", flush=True)
                continue
            save_latent_clip(out, encoded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes, a thread each")
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.clips.glob("*/*/truth.npz"))
    measure_statistics(arguments.run, folders)
    launch(arguments.workers, Job(folders, arguments.run, arguments.out))
    print(f"{len(folders)} clips encoded", flush=True)


if __name__ == "__main__":
    main()
