"""`python -m lipstream_bench`: every preset's speed and fidelity, as JSON, a Markdown table and a picture.

The bundled model on this machine; with `--device cuda` Hallo at its full size too, with random weights. Needs no network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from lipstream_accel.presets import PRESETS, preset
from lipstream_accel.price import Price
from lipstream_models.analysis.meta_models import full_size, price_plan
from lipstream_models.bundled import load_bundled
from lipstream_models.device.allocator import keep_freed_memory
from lipstream_models.pipeline import Sampling, TalkingHeadPipeline

from .evaluate_model import held_out_clips
from .machine.machine import machine
from .presets.fidelity import measure_fidelity
from .presets.full_size_speed import measure_full_size
from .presets.speed import by_presets, clip_window, measure_speed
from .presets.table import bundled_table, draw, full_size_table


def prices(name: str, presets: Sequence[str]) -> dict[str, Price]:
    """What a window of the model at its full size costs by each preset."""
    size = full_size(name)
    return {each: price_plan(preset(each, size.defaults.steps_for(each)), size) for each in presets}


def write(out: Path, figures: Mapping[str, object], tables: Sequence[str]) -> None:
    (out / "presets.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "presets.md").write_text("\n\n".join(tables) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--clips", type=Path, default=Path("runs/heldout"), help="rendered here if not there yet"
    )
    parser.add_argument("--limit", type=int, default=4, help="clips for fidelity; 0 leaves that part out")
    parser.add_argument("--turns", type=int, default=9, help="timings of each preset")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--device", default="cpu", help="cuda: Hallo at its full size too")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4], help="sessions at once on a GPU")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, object] = {"machine": machine()}
    tables = []
    presets = ["base", *(name for name in arguments.presets if name != "base")]
    if arguments.device != "cpu":
        gpu = measure_full_size(
            full_size("hallo"), arguments.device, presets, arguments.batches, arguments.turns
        )
        figures |= {
            "gpu": torch.cuda.get_device_name(arguments.device),
            "hallo": [asdict(row) for row in gpu],
        }
        tables.append(full_size_table(gpu))
        print(tables[0], flush=True)
        write(arguments.out, figures, tables)  # whatever becomes of the rest
    keep_freed_memory()
    model = load_bundled(arguments.device)
    engine = TalkingHeadPipeline(model)
    settings = by_presets(engine, Sampling.of(model, "base"), presets)
    clips = held_out_clips(arguments.clips)
    fast = measure_speed(engine, *clip_window(engine, clips[0]), settings, arguments.turns)
    figures["speed"] = [asdict(row) for row in fast]
    if arguments.limit:
        close = measure_fidelity(engine, clips[: arguments.limit], settings)
        figures["fidelity"] = [asdict(row) for row in close]
        own = prices("bundled", presets)
        hallo = prices("hallo", presets)
        tables.append(bundled_table(fast, close, own, hallo))
        draw(fast, close, arguments.out / "presets.png")
    write(arguments.out, figures, tables)
    print("\n\n".join(tables) or json.dumps(figures["speed"], indent=2))


if __name__ == "__main__":
    main()
