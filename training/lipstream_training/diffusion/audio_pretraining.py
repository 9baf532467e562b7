"""Pretrain the audio projection: its tokens have to predict the blendshapes of the frame through one linear layer.

    python -m lipstream_training.diffusion.audio_pretraining --speech DIR --run DIR

This needs no rendered frames, so it can use far more speech and far more voices than the rendered clips have. The
diffusion model then starts with audio tokens that already determine the mouth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from lipstream_models.networks.projections import AudioProjection

from ..bundled_config import NETWORK
from ..motion.visemes import ARKIT_NAMES
from ..optimisation.checkpoint import append_metrics, require_state, save_state
from ..optimisation.one_cycle import OneCycle, fit_one_cycle
from .speech_data import SpeechData, correlation

NAME = "audio_projection"
VALIDATE_EVERY = 500
NOISE_SHARE = 0.2
"""Standard deviation of noise on the features, relative to theirs."""
MIN_DEVIATION = 0.02
"""Blendshapes that move less than this are not scaled up any further."""


class BlendshapeProbe(nn.Module):
    """The audio projection with a linear layer on its tokens.

    Args:
        outputs: Number of blendshapes.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        config = NETWORK.audio_projection
        self.projection = AudioProjection(config)
        self.head = nn.Linear(config.context_tokens * config.output_dim, outputs)

    def forward(self, audio: Tensor) -> Tensor:
        """Return the blendshapes (B, 52) of audio windows (B, 5, blocks, channels)."""
        blendshapes: Tensor = self.head(self.projection(audio).flatten(1))
        return blendshapes


def load_projection(run: Path) -> AudioProjection:
    """Return the run's pretrained audio projection."""
    projection = AudioProjection(NETWORK.audio_projection).eval()
    projection.load_state_dict(require_state(run / f"{NAME}.pt", "pretrain the audio projection first"))
    return projection


def train(speech: Path, run: Path, steps: int) -> None:
    """Train on the features below ``speech``/train, validate on those below ``speech``/heldout, save into ``run``."""
    run.mkdir(parents=True, exist_ok=True)
    data, validation = SpeechData.from_folder(speech / "train"), SpeechData.from_folder(speech / "heldout")
    scale = data.targets.std(0).clamp(min=MIN_DEVIATION)
    noise = NOISE_SHARE * data.features[:: max(1, len(data.features) // 2000)].float().std()
    jaw = ARKIT_NAMES.index("jawOpen")
    torch.manual_seed(0)
    probe = BlendshapeProbe(data.targets.shape[1])
    start = time.monotonic()

    def loss(rows: Tensor, step: int) -> Tensor:
        audio = data.windows(rows)
        # Noise in every second step, against memorising the training voices.
        audio = audio + noise * torch.randn_like(audio) if step % 2 else audio
        error = (probe(audio) - data.targets[rows]) / scale
        return nn.functional.smooth_l1_loss(error, torch.zeros_like(error))

    def validate(step: int, last_loss: Tensor) -> None:
        if step % VALIDATE_EVERY and step != steps:
            return
        with torch.no_grad():
            predicted = torch.cat([probe(validation.windows(rows)) for rows in validation.chunks()])
        append_metrics(
            run / f"{NAME}.jsonl",
            step=step,
            loss=last_loss.item(),
            jaw_correlation=correlation(predicted[:, jaw], validation.targets[:, jaw]),
            seconds=time.monotonic() - start,
        )

    fit_one_cycle(probe, loss, len(data.index), OneCycle(steps, 2e-3, 0.05), validate)
    save_state(run / f"{NAME}.pt", probe.projection.state_dict())


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Pretrain the audio projection on speech features.")
    parser.add_argument("--speech", type=Path, required=True, help="Folder of the speech features.")
    parser.add_argument("--run", type=Path, required=True, help="Folder to save the audio projection in.")
    parser.add_argument("--steps", type=int, default=6000, help="Updates in all.")
    arguments = parser.parse_args()
    train(arguments.speech, arguments.run, arguments.steps)


if __name__ == "__main__":
    main()
