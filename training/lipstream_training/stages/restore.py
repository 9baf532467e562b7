"""Create a run's folder from shipped weights, so that training can continue from them.

    python -m lipstream_training.stages.restore --run DIR

The clips have to be rendered and encoded again. A clip's number determines its content, and the autoencoder is the
shipped one, so the latents are the same.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from torch import nn

from lipstream_models.bundled import BundledWeights, read_bundled

from ..autoencoder.training import NAME as AUTOENCODER
from ..diffusion.audio_pretraining import NAME as AUDIO_PROJECTION
from ..diffusion.training import NAME as DIFFUSION
from ..optimisation.checkpoint import save_state
from .encode_clips import STATISTICS, WARP


def initial_state(name: str, module: nn.Module) -> dict[str, object]:
    """Return the training state of a module as attribute ``name``, at step 0 and without optimisers."""
    values = {f"{name}.{key}": value.detach() for key, value in module.state_dict().items()}
    return {"step": 0, "model": values, "average": values}


def restore(weights: BundledWeights, run: Path) -> None:
    """Write the checkpoints of a run that starts from these weights."""
    run.mkdir(parents=True, exist_ok=True)
    autoencoder, network = weights.autoencoder, weights.network
    state = initial_state("autoencoder", autoencoder)
    save_state(run / f"{AUTOENCODER}.pt", {**state, "config": asdict(autoencoder.config)})
    statistics = {"mean": autoencoder.latent_mean, "std": autoencoder.latent_std}
    save_state(run / STATISTICS, {**statistics, "features": asdict(weights.feature_config)})
    if weights.warp is not None:
        save_state(run / WARP, weights.warp.state_dict())
    save_state(run / f"{AUDIO_PROJECTION}.pt", network.audioproj.state_dict())
    save_state(
        run / f"{DIFFUSION}.pt", {**initial_state("network", network), "spread": weights.residual_scale}
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Create a run's folder from shipped weights.")
    parser.add_argument("--run", type=Path, required=True, help="Folder that no training has used yet.")
    parser.add_argument("--model", type=Path, help="Weights to start from; the package's own by default.")
    arguments = parser.parse_args()
    if (arguments.run / f"{DIFFUSION}.pt").exists():
        raise SystemExit(
            f"expected a new folder, but {arguments.run} has a diffusion training; name another one"
        )
    restore(read_bundled(arguments.model), arguments.run)


if __name__ == "__main__":
    main()
