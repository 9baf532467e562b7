"""Trains the bundled model from nothing to the file in the package: `python -m lipstream_training.train --run DIR`.

Every stage continues where it stopped, so the command may be interrupted and given again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Large tensors of the training steps are kept by the allocator instead of going back to the kernel (glibc).
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "8000000000"}


GPU_FRAMES = 512  # a step of the diffusion model on a GPU
GPU_PARTS = 64  # a step of the decoder there
FINAL = ["--shift", "30", "--mouth-weight", "10"]
"""The last steps are of noisy timesteps, of which the preset "realtime" has no others, and of mouths."""


@dataclass(frozen=True)
class Scale:
    """How much of everything. The defaults are those of the shipped model; `tiny` runs through in minutes, to try the stages."""

    clips: int = 600
    validation_clips: int = 16
    heldout_clips: int = 12
    speech_minutes: float = 60.0
    autoencoder_steps: int = 4000
    projection_steps: int = 6000
    reader_steps: int = 1500
    diffusion_steps: int = 20000
    final_steps: int = 2000


TINY = Scale(4, 2, 1, 0.5, 20, 20, 20, 20, 20)


def stages(run: Path, scale: Scale, parts: int, device: str) -> list[list[list[str]]]:
    """The commands of each stage; those of one stage run side by side."""
    clips, latents, speech = (str(run / name) for name in ("clips", "latents", "speech"))
    into = ["--run", str(run)]
    counts = {"validation": scale.validation_clips, "heldout": scale.heldout_clips, "train": scale.clips}
    renders = [
        [
            ["render_clips", "--out", clips, "--split", split, "--clips", str(count)]
            + (["--seconds", "5.16"] if split == "heldout" else into)
            + ["--part", str(part), "--parts", str(parts)]
            for part in range(parts)
        ]
        for split, count in counts.items()
    ]
    minutes = {"train": scale.speech_minutes, "heldout": scale.speech_minutes / 15}
    projection = [["audio_pretraining", "--speech", speech, *into, "--steps", str(scale.projection_steps)]]
    hearing = [
        [
            ["speech_features", "--out", speech, "--split", split, "--minutes", str(length)]
            for split, length in minutes.items()
        ],
        *([] if (run / "audio_projection.pt").exists() else [projection]),
        [["heard_mouth", "--speech", speech, *into, "--steps", str(scale.reader_steps)]],
    ]
    on_cpu = device == "cpu"
    frames = [] if on_cpu else ["--device", device, "--frames", str(GPU_FRAMES)]
    batch = [] if on_cpu else ["--device", device, "--batch", str(GPU_PARTS)]
    decoder = ["autoencoder_training", "--clips", clips, *into, *batch]
    diffusion = ["diffusion_training", "--latents", latents, *into, *frames]
    return [
        *([] if (run / "heard_mouth.pt").exists() else hearing),
        *renders,
        [[*decoder, "--steps", str(scale.autoencoder_steps)]],
        [["encode_clips", "--clips", clips, *into, "--out", latents]],
        [[*diffusion, "--steps", str(scale.diffusion_steps)]],
        [[*diffusion, "--steps", str(scale.diffusion_steps + scale.final_steps), *FINAL]],
        [["export", *into]],
    ]


def run_stage(commands: list[list[str]]) -> None:
    environment = {**ALLOCATOR, **os.environ}
    processes = [
        subprocess.Popen([sys.executable, "-m", f"lipstream_training.{name}", *rest], env=environment)  # noqa: S603
        for name, *rest in commands
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"{commands[0][0]} failed; mend what it says above and give the command again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/bundled"))
    parser.add_argument(
        "--parts", type=int, default=os.cpu_count() or 1, help="processes that render side by side"
    )
    parser.add_argument("--tiny", action="store_true", help="a few clips and steps, to try the stages")
    parser.add_argument(
        "--device", default="cpu", help="where decoder and diffusion model train, for instance cuda"
    )
    arguments = parser.parse_args()
    scale = TINY if arguments.tiny else Scale()
    for commands in stages(arguments.run, scale, arguments.parts, arguments.device):
        print("stage:", commands[0][0], flush=True)
        run_stage(commands)


if __name__ == "__main__":
    main()
