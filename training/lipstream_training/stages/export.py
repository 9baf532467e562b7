"""Export a run's averaged weights as the bundled model.

python -m lipstream_training.stages.export --run DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from lipstream_models.bundled import bundled_model_path, save_bundled
from lipstream_models.model import SamplingDefaults

from ..diffusion.training import load_network
from .encode_clips import load_feature_config, load_normalised_autoencoder, load_warp

DEFAULTS = SamplingDefaults(
    preset="realtime",
    steps=20,
    guidance=1.0,
    window=16,
    motion_scale=(1.0, 1.0, 1.3),  # lips more than the rest: predicted ones move a little less than true ones
    last_timestep=400,
    realtime_steps=2,
    noise_floor=0.03,
)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Export a run's averaged weights as the bundled model.")
    parser.add_argument("--run", type=Path, required=True, help="Folder of the run.")
    parser.add_argument(
        "--out", type=Path, default=bundled_model_path(), help="File to write; the package's own by default."
    )
    arguments = parser.parse_args()
    run, out = arguments.run, arguments.out
    with torch.no_grad():
        network, residual_scale = load_network(run)
        save_bundled(
            out,
            network,
            load_normalised_autoencoder(run),
            DEFAULTS,
            residual_scale,
            load_feature_config(run),
            load_warp(run),
        )
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
