"""`python -m lipstream_bench.presets.formats`: the same window in another number format, batched, or partly decoded."""

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
from lipstream_models.pipeline import Sampling, TalkingHeadPipeline
from lipstream_models.quality.image_quality import psnr
from lipstream_training.data.dataset import Clip

from ..evaluate_model import held_out_clips
from ..machine.machine import machine
from .speed import clip_window

BATCHES = (2, 4)
BORDER = 2  # latent tokens around the face that a cut-out is decoded with


@dataclass(frozen=True)
class Way:
    """Something to time, and how far its frames are from the usual ones, in decibels (None: nothing to compare)."""

    run: Callable[[], object]
    windows: int = 1
    psnr_db: float | None = None


def ways(clip: Clip) -> dict[str, Way]:
    """By name. Windows are made by the model's own preset."""
    fast, plain = TalkingHeadPipeline(load_bundled()), TalkingHeadPipeline(load_bundled(dtype=torch.float32))
    found: dict[str, Way] = {}
    usual = None
    for name, engine in {f"{fast.model.dtype}": fast, "torch.float32": plain}.items():
        avatar, window = clip_window(engine, clip)
        stream = engine.initial_state(avatar, Sampling.of(engine.model))
        frames = engine.generate_windows([(stream, window)])[0][1]
        usual = frames if usual is None else usual
        found[name.removeprefix("torch.")] = Way(
            partial(engine.generate_windows, [(stream, window)]), 1, psnr(frames, usual)
        )
    avatar, window = clip_window(fast, clip)
    stream = fast.initial_state(avatar, Sampling.of(fast.model))
    for count in BATCHES:
        requests = [(stream, window)] * count
        found[f"{count} sessions in one batch"] = Way(partial(fast.generate_windows, requests), count)
    return found | _decoding(fast, clip)


def _decoding(engine: TalkingHeadPipeline, clip: Clip) -> dict[str, Way]:
    """Whole frames, and only the tokens around the face."""
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
        "decoding alone, whole frames": Way(partial(codec.decode, latents)),
        f"decoding alone, the face's {100 * share:.0f} %": Way(partial(codec.decode, face)),
    }


def measure(found: Mapping[str, Way], turns: int) -> dict[str, float]:
    """Milliseconds a window, medians; taken in turns."""
    order, shuffle = list(found), random.Random(0)  # noqa: S311  # nothing secret
    taken: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(turns + 1):
        shuffle.shuffle(order)
        for name in order:
            begin = time.perf_counter()
            found[name].run()
            if turn:  # the first pays for what is made lazily
                taken[name].append(1000 * (time.perf_counter() - begin) / found[name].windows)
    return {name: median(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--clips", type=Path, default=Path("runs/heldout"), help="rendered here if not there yet"
    )
    parser.add_argument("--turns", type=int, default=9, help="timings of each")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    found = ways(held_out_clips(arguments.clips)[0])
    taken = measure(found, arguments.turns)
    rows = {name: {"ms_a_window": taken[name], "psnr_db": found[name].psnr_db} for name in found}
    (arguments.out / "formats.json").write_text(json.dumps({"machine": machine(), **rows}, indent=2) + "\n")
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
