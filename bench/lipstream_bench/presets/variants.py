"""`python -m lipstream_bench.presets.variants`: what each way to save evaluations brings by itself, and what it costs in fidelity.

Every row is `lightningcp` with one thing changed, or a plan of fewer steps; all are compared with every step in full.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from lipstream_accel.plan import Plan, Segment
from lipstream_accel.presets import key_steps, preset, sparing_guidance
from lipstream_models.bundled import load_bundled
from lipstream_models.device.allocator import keep_freed_memory
from lipstream_models.pipeline import Sampling, TalkingHeadPipeline

from ..evaluate_model import held_out_clips
from ..machine.machine import machine
from .fidelity import measure_fidelity
from .speed import clip_window, measure_speed
from .table import variants_table


def plans(steps: int, guided: bool) -> dict[str, Plan]:
    """By what was changed; the first is what the others are compared with. guided: with those that spare guidance."""
    settled = steps // 4
    lightning = preset("lightningcp", steps)
    fewer = Plan.from_keys("fewer-keys", steps, key_steps(steps, 7), estimate_from=settled)
    found = {
        "every step in full": preset("exact", steps),
        "`lightningcp`": lightning,
        "without input latents estimation": replace(lightning, estimate_from=steps),
        "following steps one by one": _changed(lightning, lambda _, s: replace(s, parallel=False)),
        "f_U31 forecast from two key steps": _changed(lightning, _forecast),
        "attention inside the face (DFA)": _changed(lightning, lambda _, s: replace(s, foreground=True)),
        "7 key steps of 40": fewer,
        "7 key steps of 40, f_U31 forecast": _changed(fewer, _forecast),
        "4 steps, all in full": preset("exact", 4),
        "4 steps, one in full": Plan.from_keys("one-of-four", 4, [0]),
        "2 steps, one in full": Plan.from_keys("one-of-two", 2, [0]),
        "1 step": preset("exact", 1),
    }
    return found | (_with_less_guidance(lightning) if guided else {})


def _with_less_guidance(lightning: Plan) -> dict[str, Plan]:
    return {
        "guidance reused at following steps": _changed(lightning, _reuse_following),
        "guidance reused at every other key step too": sparing_guidance(lightning),
        "no guidance at following steps": _changed(
            lightning, lambda _, s: replace(s, following_guidance="skip")
        ),
    }


def _changed(plan: Plan, change: Callable[[Plan, Segment], Segment]) -> Plan:
    return replace(plan, segments=tuple(change(plan, segment) for segment in plan.segments))


def _forecast(plan: Plan, segment: Segment) -> Segment:
    """Where the line through the last two key steps is extended by its own length at most, and not from the first features."""
    number = plan.keys.index(segment.key)
    before = plan.keys[number - 1] if number else 0
    even = before > 0 and segment.following <= segment.key - before
    return replace(segment, forecast=int(even))


def _reuse_following(_: Plan, segment: Segment) -> Segment:
    return replace(segment, following_guidance="reuse")


def settings(sampling: Sampling, variants: Mapping[str, Plan]) -> dict[str, Sampling]:
    """The same sampling by each plan."""
    return {
        name: replace(sampling, preset=plan.name, steps=plan.steps, own=plan)
        for name, plan in variants.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--clips", type=Path, default=Path("runs/heldout"), help="rendered here if not there yet"
    )
    parser.add_argument("--limit", type=int, default=2, help="clips for fidelity")
    parser.add_argument("--turns", type=int, default=5, help="timings of each")
    parser.add_argument(
        "--guidance", type=float, default=None, help="guidance scale; the model's own without it"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    model = load_bundled()
    engine = TalkingHeadPipeline(model)
    clips = held_out_clips(arguments.clips)
    sampling = Sampling.of(model, "exact", guidance=arguments.guidance)
    ways = settings(sampling, plans(sampling.steps, guided=sampling.guidance > 1))
    fast = measure_speed(engine, *clip_window(engine, clips[0]), ways, arguments.turns)
    close = measure_fidelity(engine, clips[: arguments.limit], ways)
    figures = {
        "machine": machine(),
        "speed": [asdict(row) for row in fast],
        "fidelity": [asdict(row) for row in close],
    }
    (arguments.out / "variants.json").write_text(json.dumps(figures, indent=2) + "\n")
    (arguments.out / "variants.md").write_text(variants_table(fast, close) + "\n")
    print(variants_table(fast, close))


if __name__ == "__main__":
    main()
