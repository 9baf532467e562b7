"""`python -m lipstream_models.checkpoints.golden FILE [--json]`: print the largest difference of every output.

Exit status 0: all within tolerance; 1: not; 2: the file cannot be run. fp32 on the CPU.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ..conditioning import (
    build_session_conditions,
    build_window_conditions,
    identity_tokens,
    motion_features,
)
from ..config import ConfigError
from ..networks import Network
from ..networks.conditions import Conditions
from .golden_file import (
    GoldenError,
    GoldenFile,
    build_network,
    build_vae,
    read_golden,
    scheduler_config,
)

TOLERANCES = {"video": 1e-3}
TOLERANCE = 1e-4

Report = dict[str, dict[str, float | bool]]


@torch.no_grad()
def run_golden(golden: GoldenFile, *, project: bool = True) -> dict[str, Tensor]:
    """All outputs that a golden file may hold, computed from its inputs; project False: at the released cost."""
    network, vae = build_network(golden), build_vae(golden)
    guidance = float(golden.settings["guidance_scale"])
    guided = guidance > 1.0
    audio_tokens: Tensor = network.audioproj(golden.inputs["audio"])
    latents = vae.encode(golden.inputs["ref_image"])
    identity = identity_tokens(network, golden.inputs["face_embedding"])
    motion = motion_features(network, latents[:, 1:], identity, guided) if latents.shape[1] > 1 else None
    session = build_session_conditions(
        network,
        latents[:, 0],
        identity,
        golden.masks(),
        golden.inputs["face_region"],
        guided=guided,
        motion_scale=golden.settings["motion_scale"],
        project=project,
    )
    conditions = build_window_conditions(network, session, audio_tokens, motion)
    uncut = None if motion is None else motion[network.denoising_unet.layer_names[-2]]
    outputs, final = _denoise(network, golden, conditions, guidance, uncut)
    outputs["audio_tokens"] = audio_tokens
    outputs["video"] = vae.decode(final.transpose(1, 2)).transpose(1, 2)
    return outputs


def _denoise(
    network: Network, golden: GoldenFile, conditions: Conditions, guidance: float, uncut: Tensor | None
) -> tuple[dict[str, Tensor], Tensor]:
    """The whole DDIM loop: what the first and the last step saw, and the final latents."""
    denoiser = network.denoising_unet
    scheduler: Any = cast(Any, DDIMScheduler)(**dataclasses.asdict(scheduler_config(golden)))
    scheduler.set_timesteps(int(golden.settings["steps"]))
    steps = scheduler.timesteps
    latents = golden.inputs["initial_latents"] * scheduler.init_noise_sigma
    outputs = {"timesteps": steps}
    for index, t in enumerate(steps):
        z = latents.repeat(conditions.rows, 1, 1, 1, 1)
        if index == 0:
            outputs["f_u31.first"] = denoiser.trunk(z, t, conditions, uncut).transpose(1, 2)
        prediction = denoiser.whole(z, t, conditions)
        for name in ["first"] * (index == 0) + ["last"] * (index == len(steps) - 1):
            outputs[f"latents_in.{name}"] = z
            outputs[f"model_output.{name}"] = prediction
        if conditions.unconditional:
            without, with_conditions = prediction.chunk(2)
            prediction = without + guidance * (with_conditions - without)
        latents = scheduler.step(prediction, t, latents, eta=0.0).prev_sample
    return outputs, latents


def compare(golden: GoldenFile, outputs: dict[str, Tensor]) -> Report:
    """Largest absolute difference per output of the file; an output that is missing or shaped otherwise, or
    not finite, counts as infinitely far.
    """
    report: Report = {}
    for name, expected in golden.outputs.items():
        got = outputs.get(name)
        difference = torch.inf
        if got is not None and got.shape == expected.shape:
            largest = (got.double() - expected.double()).abs().max().item()
            difference = largest if largest == largest else torch.inf
        tolerance = TOLERANCES.get(name, TOLERANCE)
        report[name] = {"difference": difference, "tolerance": tolerance, "passed": difference <= tolerance}
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lipstream_models.checkpoints.golden", description=__doc__
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="golden .safetensors file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        golden = read_golden(options.file)
        report = compare(golden, run_golden(golden))
    except (GoldenError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    passed = all(row["passed"] for row in report.values())
    if options.json:
        finite = {
            n: row if row["difference"] < torch.inf else row | {"difference": None}
            for n, row in report.items()
        }
        print(json.dumps({"file": str(options.file), "passed": passed, "outputs": finite}, indent=2))
    else:
        print_report(report)
    return 0 if passed else 1


def print_report(report: Report) -> None:
    for name, row in sorted(report.items()):
        print(
            f"output.{name:<22} max abs diff {row['difference']:.3g}  "
            f"(tolerance {row['tolerance']:.0e})  {'ok' if row['passed'] else 'FAILED'}"
        )


if __name__ == "__main__":
    sys.exit(main())
