"""`python -m lipstream_bench.presets.formats`: a window in other number formats, in batches, or partly decoded."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from lipstream_models.bundled import load_bundled
from lipstream_models.device.allocator import keep_freed_memory
from lipstream_models.pipeline import TalkingHeadPipeline
from lipstream_models.quality.image_quality import psnr
from lipstream_models.sampling import Sampling
from lipstream_training.data.dataset import RenderedClip

from ..evaluate_model import held_out_clips
from ..machine.machine import describe_machine
from .speed import clip_window

BATCHES = (2, 4)
BORDER = 2  # latent tokens around the face that are decoded with it


@dataclass(frozen=True)
class TimedVariant:
    """A variant of a computation to time.

    Attributes:
        run: The computation.
        windows: Windows that it generates.
        psnr_db: PSNR of its frames to the usual ones; None where there is nothing to compare.
    """

    run: Callable[[], object]
    windows: int = 1
    psnr_db: float | None = None


def build_variants(clip: RenderedClip) -> dict[str, TimedVariant]:
    """Return the variants by name; windows are sampled by the model's own preset."""
    fast, plain = TalkingHeadPipeline(load_bundled()), TalkingHeadPipeline(load_bundled(dtype=torch.float32))
    variants: dict[str, TimedVariant] = {}
    usual = None
    for name, engine in {f"{fast.model.dtype}": fast, "torch.float32": plain}.items():
        avatar, window = clip_window(engine, clip)
        stream = engine.initial_state(avatar, Sampling.for_model(engine.model))
        frames = engine.generate_windows([(stream, window)])[0][1]
        usual = frames if usual is None else usual
        variants[name.removeprefix("torch.")] = TimedVariant(
            partial(engine.generate_windows, [(stream, window)]), 1, psnr(frames, usual)
        )
    avatar, window = clip_window(fast, clip)
    stream = fast.initial_state(avatar, Sampling.for_model(fast.model))
    for count in BATCHES:
        requests = [(stream, window)] * count
        variants[f"{count} sessions in one batch"] = TimedVariant(
            partial(fast.generate_windows, requests), count
        )
    return variants | _decoding(fast, clip)


def _decoding(engine: TalkingHeadPipeline, clip: RenderedClip) -> dict[str, TimedVariant]:
    """Return variants that decode whole frames, and only the tokens around the face."""
    codec, model = engine.model.codec, engine.model
    frames = np.array(clip.frames[: model.defaults.window])
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).to(model.dtype) / 127.5 - 1
    latents = codec.encode(images)
    box = np.asarray(clip.truth.face_box[: len(frames)])
    low = np.floor(box[:, :2].min(0) / codec.factor).astype(int) - BORDER
    high = np.ceil(box[:, 2:].max(0) / codec.factor).astype(int) + BORDER
    (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, latents.shape[-1])
    face = latents[..., top:bottom, left:right]
    share = face.shape[-1] * face.shape[-2] / latents.shape[-1] ** 2
    return {
        "decoding alone, whole frames": TimedVariant(partial(codec.decode, latents)),
        f"decoding alone, the face's {100 * share:.0f} %": TimedVariant(partial(codec.decode, face)),
    }


def time_variants(variants: Mapping[str, TimedVariant], turns: int) -> dict[str, float]:
    """Return the median milliseconds per window of each variant, timed in turns."""
    order, shuffle = list(variants), random.Random(0)  # noqa: S311  # nothing secret
    milliseconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(turns + 1):
        shuffle.shuffle(order)
        for name in order:
            start = time.perf_counter()
            variants[name].run()
            if turn:  # the first one includes lazy initialisation
                milliseconds[name].append(1000 * (time.perf_counter() - start) / variants[name].windows)
    return {name: median(times) for name, times in milliseconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--clips",
        type=Path,
        default=Path("runs/heldout"),
        help="Folder of held-out clips, which are rendered if they are missing.",
    )
    parser.add_argument("--turns", type=int, default=9, help="Number of timings of each variant.")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="Folder for the results.")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    variants = build_variants(held_out_clips(arguments.clips)[0])
    milliseconds = time_variants(variants, arguments.turns)
    rows = {name: {"ms_a_window": milliseconds[name], "psnr_db": variants[name].psnr_db} for name in variants}
    (arguments.out / "formats.json").write_text(
        json.dumps({"machine": describe_machine(), **rows}, indent=2) + "\n"
    )
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
