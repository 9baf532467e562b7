"""Puts a training run's averaged weights into the package: `python -m lipstream_training.export --run DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from lipstream_models.bundled import bundled_model_path, save_bundled
from lipstream_models.model import SamplingDefaults
from lipstream_models.networks import Network

from .bundled_config import NETWORK
from .data.encode_clips import hearing, normalised_autoencoder, trained_warp
from .optimisation.checkpoint import DIFFUSION, load_state

DEFAULTS = SamplingDefaults(
    preset="realtime",
    steps=20,
    guidance=1.0,
    window=16,
    motion_scale=(1.0, 1.0, 1.3),  # of the lips: what is learnt moves a little less than what is shown
    last_timestep=400,
    realtime_steps=2,
    noise_floor=0.03,
)


def trained_network(run: Path) -> tuple[Network, float]:
    """The averaged weights of a run's diffusion model, and the spread of what it diffuses."""
    state = load_state(run / f"{DIFFUSION}.pt")
    if state is None:
        raise FileNotFoundError(f"{run / DIFFUSION}.pt: train the diffusion model first")
    network = Network(NETWORK)
    values = {**state["model"], **state["average"]}
    network.load_state_dict({name.removeprefix("network."): value for name, value in values.items()})
    return network, float(state["spread"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=None, help="the package's own file without it")
    arguments = parser.parse_args()
    out = arguments.out or bundled_model_path()
    with torch.no_grad():
        network, spread = trained_network(arguments.run)
        autoencoder = normalised_autoencoder(arguments.run)
        warp = trained_warp(arguments.run)
        save_bundled(out, network, autoencoder, DEFAULTS, spread, hearing(arguments.run), warp)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
