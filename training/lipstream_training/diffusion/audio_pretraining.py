"""Teaches the audio projection which mouth belongs to a sound, before any picture is seen.

    python -m lipstream_training.diffusion.audio_pretraining --speech DIR --run DIR

The projection's tokens have to predict the blendshapes of the frame through one linear layer. This needs no rendering, so it can
hear far more speech, in far more voices, than the rendered clips hold; the diffusion model then starts from tokens that already
say what the mouth does.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lipstream_models.networks.projections import AudioProjection

from ..bundled_config import NETWORK
from ..motion.visemes import ARKIT_NAMES
from ..optimisation.checkpoint import log_line, save_state


class TrackReader(nn.Module):
    """Audio windows (B, 5, blocks, channels) -> blendshapes (B, 52), through the tokens that the denoiser will see."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        config = NETWORK.audio_projection
        self.projection = AudioProjection(config)
        self.head = nn.Linear(config.context_tokens * config.output_dim, outputs)

    def forward(self, audio: Tensor) -> Tensor:
        tracks: Tensor = self.head(self.projection(audio).flatten(1))
        return tracks


def load_speech(folder: Path, tracks: str = "blendshapes") -> list[tuple[Tensor, Tensor]]:
    """Per clip: features (T, blocks, channels) and blendshapes, or other ``tracks``, (T, 52)."""
    clips = []
    for path in sorted(folder.glob("[0-9]*.npz")):
        with np.load(path) as arrays:
            clips.append((torch.from_numpy(arrays["features"]), torch.from_numpy(arrays[tracks]).float()))
    return clips


def batches(clips: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """All features (N, blocks, channels), the five indices of every frame's window (N, 5), all blendshapes (N, 52)."""
    index, start = [], 0
    for features, _ in clips:
        frames = torch.arange(len(features))[:, None] + torch.arange(-2, 3)
        index.append(frames.clamp(0, len(features) - 1) + start)
        start += len(features)
    return torch.cat([f for f, _ in clips]), torch.cat(index), torch.cat([t for _, t in clips])


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def train(speech: Path, run: Path, steps: int, jaw: int) -> None:
    run.mkdir(parents=True, exist_ok=True)
    features, index, tracks = batches(load_speech(speech / "train"))
    check_features, check_index, check_tracks = batches(load_speech(speech / "heldout"))
    scale = tracks.std(0).clamp(min=0.02)
    torch.manual_seed(0)
    reader = TrackReader(tracks.shape[1])
    optimizer = torch.optim.AdamW(reader.parameters(), 2e-3, weight_decay=0.05)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    noise = 0.2 * features[:: max(1, len(features) // 2000)].float().std()
    start = time.monotonic()
    for step in range(steps):
        rows = torch.randint(len(index), (512,))
        audio = features[index[rows]].float()
        # Noise and dropped neighbours against learning the training voices by heart.
        audio = audio + noise * torch.randn_like(audio) if step % 2 else audio
        error = (reader(audio) - tracks[rows]) / scale
        loss = nn.functional.smooth_l1_loss(error, torch.zeros_like(error))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        if (step + 1) % 500 == 0 or step + 1 == steps:
            with torch.no_grad():
                heard = torch.cat([reader(check_features[rows].float()) for rows in check_index.split(2048)])
            log_line(
                run / "audio_projection.jsonl",
                step=step + 1,
                loss=loss.item(),
                jaw_correlation=correlation(heard[:, jaw], check_tracks[:, jaw]),
                seconds=time.monotonic() - start,
            )
    save_state(run / "audio_projection.pt", reader.projection.state_dict())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    arguments = parser.parse_args()
    train(arguments.speech, arguments.run, arguments.steps, ARKIT_NAMES.index("jawOpen"))


if __name__ == "__main__":
    main()
