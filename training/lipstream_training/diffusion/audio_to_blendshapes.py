"""Train the network that predicts a mouth from audio; training clips show the mouths that it predicts.

    python -m lipstream_training.diffusion.audio_to_blendshapes --speech DIR --run DIR

Many mouths fit the same audio, and a network that has to draw the right one draws their mean, which is blurred.
Therefore the mouths of training clips are a function of the audio: what a small network predicts from the audio
tokens of each frame, stretched so that every blendshape has the distribution that it has in speech. The diffusion
model has nothing to guess then; it only learns to draw.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lipstream_models.audio.features import WhisperFeatures
from lipstream_models.networks.projections import AudioProjection

from ..bundled_config import NETWORK
from ..motion.script import MouthPredictor
from ..motion.visemes import ARKIT_NAMES
from ..optimisation.checkpoint import require_state, save_state
from ..optimisation.one_cycle import OneCycle, fit_one_cycle
from .audio_pretraining import MIN_DEVIATION, load_projection
from .speech_data import SpeechData, correlation, window_index

WIDTH = 512
QUANTILES = 201
STATE = "audio_to_blendshapes.pt"


class AudioToBlendshapes(nn.Module):
    """Predicts the blendshapes of frames from their audio tokens."""

    mean: Tensor
    deviation: Tensor
    predicted_quantiles: Tensor
    target_quantiles: Tensor

    def __init__(self) -> None:
        super().__init__()
        config, outputs = NETWORK.audio_projection, len(ARKIT_NAMES)
        inputs = config.context_tokens * config.output_dim
        self.layers = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(inputs, WIDTH),
            nn.GELU(),
            nn.Dropout(0.3),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, outputs),
        )
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.register_buffer("predicted_quantiles", torch.zeros(outputs, QUANTILES))
        self.register_buffer("target_quantiles", torch.zeros(outputs, QUANTILES))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the expected blendshapes (N, 52) of audio tokens (N, T, C); they move less than real ones do."""
        blendshapes: Tensor = self.layers((tokens.flatten(1) - self.mean) / self.deviation)
        return blendshapes

    def stretched(self, tokens: Tensor) -> NDArray[np.float32]:
        """Return blendshapes (N, 52) in [0, 1] of audio tokens (N, T, C), with the quantiles of speech."""
        expected = self(tokens).numpy()
        columns = [
            np.interp(column, predicted, target)
            for column, predicted, target in zip(
                expected.T, self.predicted_quantiles.numpy(), self.target_quantiles.numpy(), strict=True
            )
        ]
        return np.stack(columns, axis=1).clip(0, 1).astype(np.float32)

    def set_quantiles(self, predicted: Tensor, target: Tensor) -> None:
        """Store the quantiles of predicted and of true blendshapes, (N, 52) each."""
        shares = np.linspace(0, 1, QUANTILES)
        # Quantiles that are equal are set apart a little, because `np.interp` wants them to increase.
        increasing = np.quantile(predicted.numpy(), shares, axis=0).T + np.arange(QUANTILES) * 1e-7
        self.predicted_quantiles.copy_(torch.from_numpy(increasing))
        self.target_quantiles.copy_(torch.from_numpy(np.quantile(target.numpy(), shares, axis=0).T))


def load_mouth_predictor(run: Path) -> MouthPredictor:
    """Return the run's function from audio (N,) at 16 kHz to the blendshapes (T, 52) of its frames.

    Raises:
        FileNotFoundError: The network has not been trained in this run.
    """
    state = require_state(
        run / STATE, "run `python -m lipstream_training.diffusion.audio_to_blendshapes` first"
    )
    network, projection = AudioToBlendshapes().eval(), load_projection(run)
    network.load_state_dict(state)
    whisper = WhisperFeatures.bundled()

    @torch.no_grad()
    def predict(audio: NDArray[np.float32]) -> NDArray[np.float32]:
        features = torch.from_numpy(whisper.offline(audio))
        return network.stretched(projection(features[window_index([len(features)])].float()[None])[0])

    return predict


@torch.no_grad()
def audio_tokens(projection: AudioProjection, data: SpeechData) -> Tensor:
    """Return the audio tokens (N, tokens * channels) of all frames."""
    return torch.cat([projection(data.windows(rows)[None])[0].flatten(1) for rows in data.chunks()])


def train(speech: Path, run: Path, steps: int) -> None:
    """Train on the features below ``speech``/train, print the fit on ``speech``/heldout, save into ``run``."""
    projection = load_projection(run)
    data, validation = (SpeechData.from_folder(speech / name, "mouth") for name in ("train", "heldout"))
    tokens = audio_tokens(projection, data)
    scale = data.targets.std(0).clamp(min=MIN_DEVIATION)
    torch.manual_seed(0)
    network = AudioToBlendshapes()
    network.mean.copy_(tokens.mean(0))
    network.deviation.copy_(tokens.std(0))

    def loss(rows: Tensor, step: int) -> Tensor:
        # The squared error gives the mean, whose quantiles are stretched afterwards.
        error: Tensor = (network(tokens[rows]) - data.targets[rows]) / scale
        return error.square().mean()

    fit_one_cycle(network, loss, len(tokens), OneCycle(steps, 1e-3, 0.1))
    network.eval()
    with torch.no_grad():
        network.set_quantiles(network(tokens), data.targets)
        predicted = torch.from_numpy(network.stretched(audio_tokens(projection, validation)))
    jaw = ARKIT_NAMES.index("jawOpen")
    fit = correlation(predicted[:, jaw], validation.targets[:, jaw])
    print(f"jaw opening of held-out voices: correlation {fit:.3f}", flush=True)
    save_state(run / STATE, network.state_dict())


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Train the network that predicts mouths from audio.")
    parser.add_argument("--speech", type=Path, required=True, help="Folder of the speech features.")
    parser.add_argument("--run", type=Path, required=True, help="Folder of the audio projection, to save in.")
    parser.add_argument("--steps", type=int, default=1500, help="Updates in all.")
    arguments = parser.parse_args()
    train(arguments.speech, arguments.run, arguments.steps)


if __name__ == "__main__":
    main()
