"""How many sessions a server sustains, and whether it refuses from exactly that number on.

    python -m lipstream_bench.live.load --out runs/load

Sessions speak without a pause: 1, 2, 4 ... until frames are repeated; then the limit in between is searched.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from lipstream_client.backoff import Backoff
from lipstream_client.errors import RefusedError
from lipstream_client.recording import read_audio
from lipstream_client.stream_client import StreamClient
from lipstream_models.bundled import recording_path
from lipstream_models.quality.markdown import markdown
from lipstream_server.commands.demo import free_port

from ..machine.machine import machine
from .overhead import Overhead, load
from .server_process import ServerProcess, serving

_PORT = 8780
_MAX_SESSIONS = 64
_FRAME_MS = 40.0
_MAX_REPEATED_SHARE = 0.01  # the 99th percentile of frames is then at most one frame late
_BEYOND = 2


@dataclass(frozen=True)
class Load:
    """Results of a load test.

    Attributes:
        holds: Largest number of sessions whose frames and fragments are at most one frame late at p99.
        admits: Session limit that a server measures itself.
        refused: Number of further sessions that were refused with a retry time.
    """

    holds: int
    admits: int
    asked: int
    refused: int
    steps: list[Overhead]

    @property
    def exact(self) -> bool:
        return self.holds == self.admits and self.refused == self.asked - self.admits


def is_sustained(step: Overhead) -> bool:
    """Whether p99 of the lateness of frames and fragments is at most one frame."""
    return (
        step.repeated_share <= _MAX_REPEATED_SHARE
        and step.lateness_ms.get("p99", 0.0) <= _FRAME_MS
        and step.skipped_ms == 0
    )


def search(measure: Callable[[int], bool], limit: int = _MAX_SESSIONS) -> int:
    """Return the largest number from 0 to the limit for which `measure` holds, by doubling and bisection."""
    low, high = 0, 1
    while high <= limit and measure(high):
        low, high = high, 2 * high
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(middle) else (low, middle)
    return low


def measure_load(options: list[str], seconds: float, limit: int = _MAX_SESSIONS) -> Load:
    """Measure each number of sessions on a server of its own. options: of `lipstream serve`."""
    speech = read_audio(recording_path())
    steps: list[Overhead] = []

    with serving(options, free_port(_PORT)) as server:
        admits, asked, refused = asyncio.run(count_admitted(server))

    def step(sessions: int) -> bool:
        more = [] if sessions <= admits else ["--sessions", str(sessions)]
        with serving([*options, *more], free_port(_PORT)) as server:
            steps.append(asyncio.run(load(server, sessions, seconds, "fmp4", speech)))
        print(json.dumps(asdict(steps[-1])), flush=True)
        return is_sustained(steps[-1])

    holds = search(step, limit)
    return Load(holds, admits, asked, refused, sorted(steps, key=lambda each: each.sessions))


async def count_admitted(server: ServerProcess) -> tuple[int, int, int]:
    """Open sessions until the requested number of refusals; return how many were accepted, tried and properly refused."""
    admitted = asked = refused = 0
    async with AsyncExitStack() as open_sessions:
        while asked - admitted < _BEYOND and asked < _MAX_SESSIONS + _BEYOND:
            asked += 1
            try:
                await open_sessions.enter_async_context(StreamClient(server.url, backoff=Backoff(attempts=1)))
                admitted += 1
            except RefusedError as error:
                refused += error.error.code == "busy" and error.error.retry_after is not None
    return admitted, asked, refused


def table(result: Load) -> str:
    head = [
        "sessions",
        "lateness, ms: p50, p99",
        "repeated frames",
        "latency, ms: p50, p95",
        "cores",
        "memory, MB",
        "",
    ]
    rows = [
        [
            str(step.sessions),
            f"{step.lateness_ms.get('p50', 0):.0f}, {step.lateness_ms.get('p99', 0):.0f}",
            f"{100 * step.repeated_share:.1f} %",
            f"{step.latency_ms.get('p50', 0):.0f}, {step.latency_ms.get('p95', 0):.0f}",
            f"{step.cores:.2f}",
            f"{step.memory_mb:.0f}",
            "holds" if is_sustained(step) else "too many",
        ]
        for step in result.steps
    ]
    summary = f"holds {result.holds}; a server that measures itself admits {result.admits} and refuses {result.refused} of "
    return f"{markdown(head, rows)}\n{summary}{result.asked - result.admits} beyond\n"


def draw(result: Load, path: Path) -> None:
    """Plot repeated frames and lateness against the number of sessions, with the number that is admitted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    repeated_axes, lateness_axes = figure.subplots(2, 1, sharex=True)
    sessions = [step.sessions for step in result.steps]
    repeated_axes.plot(sessions, [100 * step.repeated_share for step in result.steps], "o-")
    repeated_axes.axhline(100 * _MAX_REPEATED_SHARE, color="tab:orange", linestyle=":", label="1 %")
    repeated_axes.set_ylabel("repeated frames, %")
    lateness_axes.plot(sessions, [step.lateness_ms.get("p99", 0.0) for step in result.steps], "o-")
    lateness_axes.axhline(_FRAME_MS, color="tab:orange", linestyle=":", label="one frame")
    lateness_axes.set_ylabel("lateness, ms, p99")
    lateness_axes.set_xlabel("sessions that speak without a pause")
    lateness_axes.set_xticks(sessions)
    for axes in (repeated_axes, lateness_axes):
        axes.axvline(result.admits + 0.5, color="tab:red", linestyle="--", label="refused from here on")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds of speech per step")
    parser.add_argument("--max-sessions", type=int, default=_MAX_SESSIONS, help="largest number of sessions")
    parser.add_argument("--stub", action="store_true", help="run without a model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/load"))
    arguments = parser.parse_args()
    options = ["--device", arguments.device, *(["--stub"] if arguments.stub else [])]
    result = measure_load(options, arguments.seconds, arguments.max_sessions)
    arguments.out.mkdir(parents=True, exist_ok=True)
    summary = {"machine": machine(), "exact": result.exact, **asdict(result)}
    (arguments.out / "load.json").write_text(json.dumps(summary, indent=2) + "\n")
    (arguments.out / "load.md").write_text(table(result))
    draw(result, arguments.out / "load.png")
    print(table(result))


if __name__ == "__main__":
    main()
