"""Encode rendered clips: latents, audio features and portraits.

python -m lipstream_training.stages.encode_clips --clips DIR --run DIR --out DIR
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

from ..autoencoder.training import load_autoencoder
from ..bundled_config import NETWORK
from ..data.dataset import RenderedClip, load_clip
from ..data.latent_dataset import LatentClip, save_latent_clip
from ..data.warp_components import (
    fit_channels,
    measure_mouths,
    portrait_flow,
    principal_components,
)
from ..optimisation.checkpoint import require_state, save_state
from ..optimisation.workers import Workers, launch

STATISTICS = "latent_statistics.pt"
WARP = "warp.pt"
REMEDY = "encode the clips first"
FLOW_UNIT = 0.6
"""Root mean square of a flow channel inside faces, and of the other channels inside mouths.

About that of the latents whose residual is diffused, so that all diffused channels have about the same size.
"""
BATCH = 32


def load_normalised_autoencoder(run: Path) -> Autoencoder:
    """Return the run's autoencoder with its latent statistics."""
    autoencoder = load_autoencoder(run)
    state = require_state(run / STATISTICS, REMEDY)
    autoencoder.latent_mean.copy_(state["mean"])
    autoencoder.latent_std.copy_(state["std"])
    return autoencoder


def load_warp(run: Path) -> FlowWarp:
    """Return the run's components of flow."""
    warp = FlowWarp(NETWORK.flow_channels)
    warp.load_state_dict(require_state(run / WARP, REMEDY))
    return warp


def load_feature_config(run: Path) -> FeatureConfig:
    """Return the configuration of the run's audio features."""
    values = require_state(run / STATISTICS, REMEDY)["features"]
    return FeatureConfig(**{**values, "layers": tuple(values["layers"])})


@torch.no_grad()
def encode_frames(autoencoder: Autoencoder, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Return the normalised latents (T, C, h, w) of frames (T, H, W, 3)."""
    parts = []
    for start in range(0, len(frames), BATCH):
        part = torch.from_numpy(np.array(frames[start : start + BATCH]))
        images = part.permute(0, 3, 1, 2).float() / 127.5 - 1
        with autocast("cpu"):
            parts.append(autoencoder.encode(images).float())
    return torch.cat(parts).numpy().astype(np.float16)


@torch.no_grad()
def normalise(autoencoder: Autoencoder, clips: list[RenderedClip]) -> None:
    """Set the autoencoder's latent statistics: a mean for each channel, one standard deviation for all of them.

    One for all, because strong channels have to stay stronger than weak ones.
    """
    frames = np.stack([clip.frames[len(clip.frames) // 2] for clip in clips])
    latents = torch.from_numpy(encode_frames(autoencoder, frames).astype(np.float32))
    autoencoder.latent_mean.copy_(latents.mean(dim=(0, 2, 3)))
    autoencoder.latent_std.fill_(float(latents.var(dim=(0, 2, 3)).mean().sqrt()))


def token_shares(boxes: NDArray[np.float32], side: int, tokens: int) -> NDArray[np.float16]:
    """Return the share (T, h, w) of each latent token that is inside a box.

    Args:
        boxes: (T, 4) left, top, right, bottom in pixels.
        side: Pixels per side of a frame.
        tokens: Tokens per side of a frame.
    """
    edges = np.arange(tokens + 1) * side / tokens
    left, top, right, bottom = (boxes[:, i, None] for i in range(4))
    across = np.clip(np.minimum(right, edges[1:]) - np.maximum(left, edges[:-1]), 0, None)
    down = np.clip(np.minimum(bottom, edges[1:]) - np.maximum(top, edges[:-1]), 0, None)
    share = down[:, :, None] * across[:, None, :] * (tokens / side) ** 2
    return np.asarray(share, np.float16)


def find_portraits(clip: RenderedClip, landmarker: FaceLandmarker) -> dict[int, Portrait]:
    """Return the prepared portraits of the clip's references in which a face is found, by number of the reference."""
    settings = PortraitSettings(framing=None)
    portraits = {}
    for number, frame in enumerate(clip.truth.references):
        try:
            portraits[number] = prepare_portrait(np.array(clip.frames[frame]), landmarker, settings)
        except ImageError:
            continue
    return portraits


@torch.no_grad()
def residual_samples(
    autoencoder: Autoencoder,
    warp: FlowWarp,
    portrait: Portrait,
    latents: NDArray[np.float16],
    tokens: Tensor,
) -> NDArray[np.float16]:
    """Return what the diffusion model predicts for a portrait: residual latents and flow channels (T, C + K, h, w).

    Args:
        autoencoder: Encodes the warped portrait.
        warp: Warps the portrait.
        portrait: The prepared portrait.
        latents: (T, C, h, w) latents of the frames.
        tokens: (T, D, h, w) fields of the frames, see `MouthFields.tokens`.
    """
    channels = fit_channels(warp, tokens)
    image = torch.from_numpy(portrait.image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    warped = torch.cat([autoencoder.encode(warp(image, part)) for part in channels.split(16)])
    return torch.cat([torch.from_numpy(latents) - warped, channels], dim=1).numpy().astype(np.float16)


def encode_clip(
    clip: RenderedClip,
    autoencoder: Autoencoder,
    warp: FlowWarp,
    whisper: WhisperFeatures,
    landmarker: FaceLandmarker,
) -> LatentClip | None:
    """Return the encoded clip, or None if no face is found in any of its references."""
    found = find_portraits(clip, landmarker)
    if not found:
        return None
    latents, mouths = encode_frames(autoencoder, clip.frames), measure_mouths(clip)
    side, tokens = clip.frames.shape[1], latents.shape[-1]
    numbers, portraits = list(found), list(found.values())
    samples = [
        residual_samples(
            autoencoder, warp, portrait, latents, mouths.tokens(portrait_flow(clip, number), warp.inside)
        )
        for number, portrait in found.items()
    ]
    levels = range(len(portraits[0].masks))
    masks = [
        [np.concatenate([p.masks[i].full, p.masks[i].face, p.masks[i].lip]) for p in portraits]
        for i in levels
    ]
    return LatentClip(
        latents=latents,
        features=whisper.offline(clip.truth.audio).astype(np.float16),
        samples=np.stack(samples),
        reference_frames=clip.truth.references[numbers],
        embeddings=np.stack([p.embedding for p in portraits]).astype(np.float16),
        face_regions=np.stack([p.face_region[..., 0] for p in portraits]),
        masks=tuple(np.stack(level).astype(np.float16) for level in masks),
        mouth=token_shares(clip.truth.mouth_box, side, tokens),
        face=token_shares(clip.truth.face_box, side, tokens),
    )


def ensure_statistics(run: Path, folders: list[Path]) -> None:
    """Measure latent statistics and flow components of the training clips, unless the run has them.

    Clips that are added later are encoded with the same ones.
    """
    statistics_path, warp_path = run / STATISTICS, run / WARP
    if statistics_path.exists() and warp_path.exists():
        return
    clips = [load_clip(folder) for folder in folders if folder.parent.name == "train"]
    if not statistics_path.exists():
        autoencoder = load_autoencoder(run)
        normalise(autoencoder, clips)
        statistics = {"mean": autoencoder.latent_mean, "std": autoencoder.latent_std}
        save_state(statistics_path, {**statistics, "features": asdict(FeatureConfig())})
    if not warp_path.exists():
        save_state(warp_path, principal_components(clips, FLOW_UNIT).state_dict())


@dataclass(frozen=True)
class EncodingJob:
    """Encodes clip folders into files of the same names below ``out``; the workers share out the clips."""

    folders: list[Path]
    run: Path
    out: Path

    def __call__(self, workers: Workers) -> None:
        """Encode this worker's clips that have no file yet."""
        autoencoder, warp = load_normalised_autoencoder(self.run), load_warp(self.run)
        whisper, landmarker = WhisperFeatures.bundled(load_feature_config(self.run)), FaceLandmarker()
        for number in range(workers.rank, len(self.folders), workers.count):
            folder = self.folders[number]
            out = self.out / folder.parent.name / f"{folder.name}.npz"
            if out.exists():
                continue
            out.parent.mkdir(parents=True, exist_ok=True)
            encoded = encode_clip(load_clip(folder), autoencoder, warp, whisper, landmarker)
            if encoded is None:
                print(f"{folder.name}: skipped, no face was found", flush=True)
                continue
            save_latent_clip(out, encoded)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Encode rendered clips for the diffusion training.")
    parser.add_argument("--clips", type=Path, required=True, help="Folder of the rendered clips.")
    parser.add_argument("--run", type=Path, required=True, help="Folder of the trained autoencoder.")
    parser.add_argument("--out", type=Path, required=True, help="Folder to write encoded clips to.")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="Processes of one thread each."
    )
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.clips.glob("*/*/truth.npz"))
    ensure_statistics(arguments.run, folders)
    launch(arguments.workers, EncodingJob(folders, arguments.run, arguments.out))
    print(f"{len(folders)} clips encoded", flush=True)


if __name__ == "__main__":
    main()
