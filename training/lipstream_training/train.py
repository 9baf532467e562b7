"""Train the bundled model: every stage from speech to the file in the package.

    python -m lipstream_training.train --run DIR

Every stage continues where it stopped, so the command can be interrupted and given again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .diffusion.audio_pretraining import NAME as AUDIO_PROJECTION
from .diffusion.audio_to_blendshapes import STATE as AUDIO_TO_BLENDSHAPES

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
"""Settings of glibc with which it keeps the memory of large tensors instead of returning it to the kernel."""
GPU_FRAMES = 512
"""Frames per step of the diffusion training on a GPU."""
GPU_CROPS = 64
"""Crops per step of the autoencoder training on a GPU."""
FINAL = ["--shift", "30", "--mouth-weight", "10"]
"""Options of the last diffusion steps: very noisy timesteps, the only ones of the preset "realtime", and mouths."""
HELDOUT_SECONDS = "5.16"

Command = list[str]
Stage = list[Command]


@dataclass(frozen=True)
class Scale:
    """Amounts of data and numbers of steps; by default those of the shipped model."""

    clips: int = 600
    validation_clips: int = 16
    heldout_clips: int = 12
    speech_minutes: float = 60.0
    autoencoder_steps: int = 4000
    projection_steps: int = 6000
    blendshape_steps: int = 1500
    diffusion_steps: int = 20000
    final_steps: int = 2000


TINY = Scale(4, 2, 1, 0.5, 20, 20, 20, 20, 20)
"""Runs through all stages in minutes, to try them."""


def audio_stages(run: Path, scale: Scale) -> list[Stage]:
    """Return the stages that train on speech alone, except those whose results are in the run."""
    if (run / AUDIO_TO_BLENDSHAPES).exists():
        return []
    speech = str(run / "speech")
    minutes = {"train": scale.speech_minutes, "heldout": scale.speech_minutes / 15}
    projection = ["diffusion.audio_pretraining", "--speech", speech, "--run", str(run)]
    blendshapes = ["diffusion.audio_to_blendshapes", "--speech", speech, "--run", str(run)]
    return [
        [
            ["stages.speech_features", "--out", speech, "--split", split, "--minutes", str(length)]
            for split, length in minutes.items()
        ],
        *(
            []
            if (run / f"{AUDIO_PROJECTION}.pt").exists()
            else [[[*projection, "--steps", str(scale.projection_steps)]]]
        ),
        [[*blendshapes, "--steps", str(scale.blendshape_steps)]],
    ]


def render_stages(run: Path, scale: Scale, parts: int) -> list[Stage]:
    """Return a stage for each split of clips, divided into parts that run side by side."""
    counts = {"validation": scale.validation_clips, "heldout": scale.heldout_clips, "train": scale.clips}
    # Held-out clips show the mouths of their phones, the others those that the run predicts from audio.
    options = {split: ["--run", str(run)] for split in counts} | {"heldout": ["--seconds", HELDOUT_SECONDS]}
    return [
        [
            ["stages.render_clips", "--out", str(run / "clips"), "--split", split, "--clips", str(count)]
            + options[split]
            + ["--part", str(part), "--parts", str(parts)]
            for part in range(parts)
        ]
        for split, count in counts.items()
    ]


def all_stages(run: Path, scale: Scale, parts: int, device: str) -> list[Stage]:
    """Return the commands of each stage: module below `lipstream_training`, and arguments.

    The commands of a stage run side by side, the stages one after the other. A tiny training exports into its own
    folder, so that it does not replace the package's weights.
    """
    out = ["--out", str(run / "model.safetensors")] if scale == TINY else []
    clips, latents, run_options = str(run / "clips"), str(run / "latents"), ["--run", str(run)]
    on_cpu = device == "cpu"
    crops = [] if on_cpu else ["--device", device, "--batch", str(GPU_CROPS)]
    frames = [] if on_cpu else ["--device", device, "--frames", str(GPU_FRAMES)]
    autoencoder = ["autoencoder.training", "--clips", clips, *run_options, *crops]
    diffusion = ["diffusion.training", "--latents", latents, *run_options, *frames]
    all_steps = scale.diffusion_steps + scale.final_steps
    return [
        *audio_stages(run, scale),
        *render_stages(run, scale, parts),
        [[*autoencoder, "--steps", str(scale.autoencoder_steps)]],
        [["stages.encode_clips", "--clips", clips, *run_options, "--out", latents]],
        [[*diffusion, "--steps", str(scale.diffusion_steps)]],
        [[*diffusion, "--steps", str(all_steps), *FINAL]],
        [["stages.export", *run_options, *out]],
    ]


def run_stage(stage: Stage) -> None:
    """Run the commands of a stage side by side.

    Raises:
        SystemExit: One of them failed.
    """
    environment = {**ALLOCATOR, **os.environ}
    processes = [
        subprocess.Popen([sys.executable, "-m", f"lipstream_training.{module}", *rest], env=environment)  # noqa: S603
        for module, *rest in stage
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"{stage[0][0]} failed; see its error above, then give the command again to resume")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Train the bundled model, from speech to the exported file.")
    parser.add_argument(
        "--run", type=Path, default=Path("runs/bundled"), help="Folder of clips, checkpoints and curves."
    )
    parser.add_argument(
        "--parts", type=int, default=os.cpu_count() or 1, help="Processes that render side by side."
    )
    parser.add_argument("--tiny", action="store_true", help="Use a few clips and steps, to try the stages.")
    parser.add_argument(
        "--device", default="cpu", help="Device of the autoencoder and diffusion trainings, such as cuda."
    )
    arguments = parser.parse_args()
    scale = TINY if arguments.tiny else Scale()
    for stage in all_stages(arguments.run, scale, arguments.parts, arguments.device):
        print("stage:", stage[0][0], flush=True)
        run_stage(stage)


if __name__ == "__main__":
    main()
