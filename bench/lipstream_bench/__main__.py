"""`python -m lipstream_bench`: speed and fidelity of every preset, as JSON, a Markdown table and a plot.

Measures the bundled model on this machine, and with `--device cuda` also Hallo at full size with random weights.
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
from lipstream_models.analysis.meta_models import meta_model, price_plan
from lipstream_models.bundled import load_bundled
from lipstream_models.device.allocator import keep_freed_memory
from lipstream_models.pipeline import TalkingHeadPipeline
from lipstream_models.sampling import Sampling

from .evaluate_model import held_out_clips
from .machine.machine import describe_machine
from .presets.fidelity import measure_fidelity
from .presets.full_size_speed import measure_full_size
from .presets.speed import clip_window, measure_speed, samplings_by_preset
from .presets.table import bundled_table, full_size_table, plot_presets


def price_presets(name: str, presets: Sequence[str]) -> dict[str, Price]:
    """Return the FLOPs of a window of a model at full size by each preset."""
    size = meta_model(name)
    return {each: price_plan(preset(each, size.defaults.steps_for(each)), size) for each in presets}


def write_results(out: Path, figures: Mapping[str, object], tables: Sequence[str]) -> None:
    """Write presets.json and presets.md to a folder."""
    (out / "presets.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "presets.md").write_text("\n\n".join(tables) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--clips",
        type=Path,
        default=Path("runs/heldout"),
        help="Folder of held-out clips, which are rendered if they are missing.",
    )
    parser.add_argument(
        "--limit", type=int, default=4, help="Number of clips for fidelity; 0 leaves that part out."
    )
    parser.add_argument("--turns", type=int, default=9, help="Number of timings of each preset.")
    parser.add_argument(
        "--presets", nargs="+", choices=PRESETS, default=list(PRESETS), help="Presets to measure."
    )
    parser.add_argument(
        "--device", default="cpu", help="Device: cpu, or cuda, which measures Hallo at full size too."
    )
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 2, 4], help="Numbers of sessions at once on a GPU."
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="Folder for the results.")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, object] = {"machine": describe_machine()}
    tables = []
    presets = ["base", *(name for name in arguments.presets if name != "base")]
    if arguments.device != "cpu":
        gpu = measure_full_size(
            meta_model("hallo"), arguments.device, presets, arguments.batches, arguments.turns
        )
        figures |= {
            "gpu": torch.cuda.get_device_name(arguments.device),
            "hallo": [asdict(row) for row in gpu],
        }
        tables.append(full_size_table(gpu))
        print(tables[0], flush=True)
        write_results(arguments.out, figures, tables)  # even if the rest fails
    keep_freed_memory()
    model = load_bundled(arguments.device)
    engine = TalkingHeadPipeline(model)
    settings = samplings_by_preset(engine, Sampling.for_model(model, "base"), presets)
    clips = held_out_clips(arguments.clips)
    fast = measure_speed(engine, *clip_window(engine, clips[0]), settings, arguments.turns)
    figures["speed"] = [asdict(row) for row in fast]
    if arguments.limit:
        close = measure_fidelity(engine, clips[: arguments.limit], settings)
        figures["fidelity"] = [asdict(row) for row in close]
        own = price_presets("bundled", presets)
        hallo = price_presets("hallo", presets)
        tables.append(bundled_table(fast, close, own, hallo))
        plot_presets(fast, close, arguments.out / "presets.png")
    write_results(arguments.out, figures, tables)
    print("\n\n".join(tables) or json.dumps(figures["speed"], indent=2))


if __name__ == "__main__":
    main()
