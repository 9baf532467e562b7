"""Makes a run's folder from shipped weights, so that training can go on from them.

python -m lipstream_training.restore --run DIR

The clips have to be rendered and encoded again; a clip's number fixes what is in it, and the autoencoder is the shipped one, so the
latents are the same.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from torch import nn

from lipstream_models.bundled import BundledWeights, read_bundled

from .optimisation.checkpoint import DIFFUSION, save_state


def as_state(name: str, module: nn.Module) -> dict[str, object]:
    """What a training of the module under that name would have saved, but for the optimiser's state."""
    parameters = {f"{name}.{key}": value.detach() for key, value in module.named_parameters()}
    buffers = {f"{name}.{key}": value for key, value in module.named_buffers()}
    return {"step": 0, "model": {**parameters, **buffers}, "average": parameters}


def restore(weights: BundledWeights, run: Path) -> None:
    run.mkdir(parents=True, exist_ok=True)
    autoencoder, network = weights.autoencoder, weights.network
    state = as_state("autoencoder", autoencoder)
    save_state(run / "autoencoder.pt", {**state, "config": asdict(autoencoder.config)})
    statistics = {"mean": autoencoder.latent_mean, "std": autoencoder.latent_std}
    save_state(run / "latent_statistics.pt", {**statistics, "hearing": asdict(weights.feature_config)})
    if weights.warp is not None:
        save_state(run / "warp.pt", weights.warp.state_dict())
    save_state(run / "audio_projection.pt", network.audioproj.state_dict())
    save_state(run / f"{DIFFUSION}.pt", {**as_state("network", network), "spread": weights.residual_scale})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="a folder that no training has used yet")
    parser.add_argument("--model", type=Path, default=None, help="the package's own file without it")
    arguments = parser.parse_args()
    if (arguments.run / f"{DIFFUSION}.pt").exists():
        raise SystemExit(f"{arguments.run} holds a training already; name a new folder")
    restore(read_bundled(arguments.model), arguments.run)


if __name__ == "__main__":
    main()
