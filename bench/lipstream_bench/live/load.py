"""Capacity of a server, found by search, and whether it admits as many when it measures itself.

    python -m lipstream_bench.live.load --out runs/load

1, 2, 4 ... sessions speak without a pause until frames are late; then the search halves the interval.
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
from lipstream_models.quality.markdown import markdown_table
from lipstream_server.commands.demo import free_port

from ..machine.machine import describe_machine
from .overhead import Overhead, measure_overhead
from .server_process import ServerProcess, serving

_PORT = 8780
_MAX_SESSIONS = 64
_FRAME_MS = 40.0
_LATE_SHARE = 0.01
"""Share of repeated frames up to which the 99th percentile of frames is at most one frame late."""
_EXTRA_SESSIONS = 2


@dataclass(frozen=True)
class LoadReport:
    """Capacity of a server and its admission of sessions.

    Attributes:
        capacity: Most sessions whose frames and fragments are at most one frame late at p99.
        admits: Sessions that a server admits which has measured its own capacity.
        requested: Sessions that were opened there.
        refused: Refusals with a time to retry.
        steps: Measurements at each number of sessions.
    """

    capacity: int
    admits: int
    requested: int
    refused: int
    steps: list[Overhead]

    @property
    def exact(self) -> bool:
        """Whether the server admits its capacity and refuses every further session."""
        return self.capacity == self.admits and self.refused == self.requested - self.admits


def is_in_time(step: Overhead) -> bool:
    """Return whether p99 of the lateness of frames and fragments is at most one frame."""
    return (
        step.late_share <= _LATE_SHARE
        and step.lateness_ms.get("p99", 0.0) <= _FRAME_MS
        and step.skipped_ms == 0
    )


def search_capacity(succeeds: Callable[[int], bool], maximum: int = _MAX_SESSIONS) -> int:
    """Return the largest number from 0 to `maximum` that succeeds, by doubling, then halving.

    Every number up to the result must succeed, and none above it.
    """
    low, high = 0, 1
    while high <= maximum and succeeds(high):
        low, high = high, 2 * high
    high = min(high, maximum + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if succeeds(middle) else (low, middle)
    return low


def measure_load(options: list[str], seconds: float, maximum: int = _MAX_SESSIONS) -> LoadReport:
    """Measure capacity and admission, with a new server for each number of sessions.

    Args:
        options: Options of `lipstream serve`; `--sessions` is added where a server would not admit as many.
        seconds: Speech of each step.
        maximum: Highest number of sessions.
    """
    speech = read_audio(recording_path())
    steps: list[Overhead] = []

    with serving(options, free_port(_PORT)) as server:
        admits, requested, refused = asyncio.run(count_admissions(server))

    def measure_step(sessions: int) -> bool:
        more = [] if sessions <= admits else ["--max-sessions", str(sessions)]
        with serving([*options, *more], free_port(_PORT)) as server:
            steps.append(asyncio.run(measure_overhead(server, sessions, seconds, "fmp4", speech)))
        print(json.dumps(asdict(steps[-1])), flush=True)
        return is_in_time(steps[-1])

    capacity = search_capacity(measure_step, maximum)
    return LoadReport(capacity, admits, requested, refused, sorted(steps, key=lambda each: each.sessions))


async def count_admissions(server: ServerProcess) -> tuple[int, int, int]:
    """Open sessions until two are refused.

    Returns:
        Numbers of sessions admitted, requested, and refused with a time to retry.
    """
    admitted = requested = refused = 0
    async with AsyncExitStack() as open_sessions:
        while requested - admitted < _EXTRA_SESSIONS and requested < _MAX_SESSIONS + _EXTRA_SESSIONS:
            requested += 1
            try:
                await open_sessions.enter_async_context(StreamClient(server.url, backoff=Backoff(attempts=1)))
                admitted += 1
            except RefusedError as error:
                refused += error.error.code == "busy" and error.error.retry_after is not None
    return admitted, requested, refused


def load_table(report: LoadReport) -> str:
    """Return a Markdown table of the steps, and a summary."""
    head = [
        "sessions",
        "fragments late, ms: p50, p99",
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
            f"{100 * step.late_share:.1f} %",
            f"{step.latency_ms.get('p50', 0):.0f}, {step.latency_ms.get('p95', 0):.0f}",
            f"{step.cores:.2f}",
            f"{step.memory_mb:.0f}",
            "in time" if is_in_time(step) else "late",
        ]
        for step in report.steps
    ]
    summary = f"capacity {report.capacity}; a server that measures itself admits {report.admits} and refuses"
    extra = report.requested - report.admits
    return f"{markdown_table(head, rows)}\n{summary} {report.refused} of {extra} more\n"


def plot_load(report: LoadReport, path: Path) -> None:
    """Plot repeated frames and lateness against the number of sessions, with the number admitted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    repeated_axes, lateness_axes = figure.subplots(2, 1, sharex=True)
    sessions = [step.sessions for step in report.steps]
    repeated_axes.plot(sessions, [100 * step.late_share for step in report.steps], "o-")
    repeated_axes.axhline(100 * _LATE_SHARE, color="tab:orange", linestyle=":", label="1 %")
    repeated_axes.set_ylabel("repeated frames, %")
    lateness_axes.plot(sessions, [step.lateness_ms.get("p99", 0.0) for step in report.steps], "o-")
    lateness_axes.axhline(_FRAME_MS, color="tab:orange", linestyle=":", label="one frame")
    lateness_axes.set_ylabel("fragments late, ms, p99")
    lateness_axes.set_xlabel("sessions that speak without a pause")
    lateness_axes.set_xticks(sessions)
    for axes in (repeated_axes, lateness_axes):
        axes.axvline(report.admits + 0.5, color="tab:red", linestyle="--", label="refused from here on")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="Speech of each step in seconds.")
    parser.add_argument("--max-sessions", type=int, default=_MAX_SESSIONS, help="Highest number of sessions.")
    parser.add_argument("--stub", action="store_true", help="Use the stub engine, without a model.")
    parser.add_argument("--device", default="cpu", help="Device of the server.")
    parser.add_argument("--out", type=Path, default=Path("runs/load"), help="Folder for the results.")
    arguments = parser.parse_args()
    options = ["--device", arguments.device, *(["--stub"] if arguments.stub else [])]
    report = measure_load(options, arguments.seconds, arguments.max_sessions)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = {"machine": describe_machine(), "exact": report.exact, **asdict(report)}
    (arguments.out / "load.json").write_text(json.dumps(results, indent=2) + "\n")
    (arguments.out / "load.md").write_text(load_table(report))
    plot_load(report, arguments.out / "load.png")
    print(load_table(report))


if __name__ == "__main__":
    main()
