"""The mouth that a sound lets expect, for clips of which nothing has to be guessed.

    python -m lipstream_training.diffusion.audio_to_blendshapes --speech DIR --run DIR

A sound fits many mouths, and a network that is to draw the right one draws their mean, which is a smear. So the mouths of training
clips are themselves what can be heard: what a small network makes of the audio tokens of each frame, stretched so that every
blendshape has the spread that it has in speech. What is left to the diffusion model is to draw it.
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
from ..motion.script import Listener
from ..motion.visemes import ARKIT_NAMES
from ..optimisation.checkpoint import load_state, save_state
from .audio_pretraining import batches, correlation, load_speech

WIDTH = 512
QUANTILES = 201
STATE = "heard_mouth.pt"


class MouthReader(nn.Module):
    """Audio tokens (N, T, C) of frames -> their mouths (N, 52)."""

    mean: Tensor
    deviation: Tensor
    said: Tensor
    meant: Tensor

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
        self.register_buffer("said", torch.zeros(outputs, QUANTILES))
        self.register_buffer("meant", torch.zeros(outputs, QUANTILES))

    def forward(self, tokens: Tensor) -> Tensor:
        """What is to be expected: moves less than mouths do."""
        mouths: Tensor = self.layers((tokens.flatten(1) - self.mean) / self.deviation)
        return mouths

    def stretched(self, tokens: Tensor) -> NDArray[np.float32]:
        """The same with each blendshape's quantiles those of speech (N, 52), 0 to 1."""
        expected = self(tokens).numpy()
        columns = [
            np.interp(column, said, meant)
            for column, said, meant in zip(expected.T, self.said.numpy(), self.meant.numpy(), strict=True)
        ]
        return np.stack(columns, axis=1).clip(0, 1).astype(np.float32)

    def stretch(self, expected: Tensor, true: Tensor) -> None:
        """Remembers the quantiles of what was expected and of what it was, (N, 52) each."""
        steps = np.linspace(0, 1, QUANTILES)
        said = np.quantile(expected.numpy(), steps, axis=0).T
        self.said.copy_(torch.from_numpy(said + np.arange(QUANTILES) * 1e-7))
        self.meant.copy_(torch.from_numpy(np.quantile(true.numpy(), steps, axis=0).T))


def trained_projection(run: Path) -> AudioProjection:
    """The run's audio projection."""
    state = load_state(run / "audio_projection.pt")
    if state is None:
        raise FileNotFoundError(f"{run / 'audio_projection.pt'}: train the audio projection first")
    projection = AudioProjection(NETWORK.audio_projection).eval()
    projection.load_state_dict(state)
    return projection


def heard_mouth(run: Path) -> Listener:
    """What the run's reader hears in a sound."""
    state = load_state(run / STATE)
    if state is None:
        raise FileNotFoundError(
            f"{run / STATE}: run `python -m lipstream_training.diffusion.audio_to_blendshapes` first"
        )
    reader, projection, whisper = MouthReader().eval(), trained_projection(run), WhisperFeatures.bundled()
    reader.load_state_dict(state)

    @torch.no_grad()
    def listen(audio: NDArray[np.float32]) -> NDArray[np.float32]:
        features, index, _ = batches([(torch.from_numpy(whisper.offline(audio)), torch.zeros(0))])
        return reader.stretched(projection(features[index].float()[None])[0])

    return listen


@torch.no_grad()
def tokens_of(projection: AudioProjection, features: Tensor, index: Tensor) -> Tensor:
    """(N, tokens * channels) of all frames."""
    return torch.cat([projection(features[rows].float()[None])[0].flatten(1) for rows in index.split(2048)])


def train(speech: Path, run: Path, steps: int) -> None:
    projection = trained_projection(run)
    features, index, mouths = batches(load_speech(speech / "train", "mouth"))
    tokens = tokens_of(projection, features, index)
    check_features, check_index, check_mouths = batches(load_speech(speech / "heldout", "mouth"))
    scale = mouths.std(0).clamp(min=0.02)
    torch.manual_seed(0)
    reader = MouthReader()
    reader.mean.copy_(tokens.mean(0))
    reader.deviation.copy_(tokens.std(0))
    optimizer = torch.optim.AdamW(reader.parameters(), 1e-3, weight_decay=0.1)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(tokens), (512,))
        # Squared: the mean is wanted, which the quantiles then stretch.
        loss = ((reader(tokens[rows]) - mouths[rows]) / scale).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    reader.eval()
    with torch.no_grad():
        reader.stretch(reader(tokens), mouths)
        heard = torch.from_numpy(reader.stretched(tokens_of(projection, check_features, check_index)))
    jaw = ARKIT_NAMES.index("jawOpen")
    print(
        f"jaw of unheard voices: correlation {correlation(heard[:, jaw], check_mouths[:, jaw]):.3f}",
        flush=True,
    )
    save_state(run / STATE, reader.state_dict())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    train(arguments.speech, arguments.run, arguments.steps)


if __name__ == "__main__":
    main()
