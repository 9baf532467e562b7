"""How many sessions a server holds: 1, 2, 4 ... speak without a pause until pictures come late; then the number between is found.
And whether it refuses from exactly that number on, when it measures by itself how many it takes.

    python -m lipstream_bench.live.load --out runs/load
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
_MOST = 64
_FRAME_MS = 40.0
_LATE_SHARE = (
    0.01  # with fewer held pictures, not more than one frame late is the 99th percentile of pictures
)
_BEYOND = 2


@dataclass(frozen=True)
class Load:
    """holds: most sessions whose pictures and fragments are at most one frame late at p99. admits: that a server takes which has
    measured itself; refused: of those beyond, how many were sent away with a word when to come again.
    """

    holds: int
    admits: int
    asked: int
    refused: int
    steps: list[Overhead]

    @property
    def exact(self) -> bool:
        return self.holds == self.admits and self.refused == self.asked - self.admits


def good(step: Overhead) -> bool:
    """Whether p99 of lateness, of pictures and of fragments, is at most one frame."""
    return step.held <= _LATE_SHARE and step.lateness_ms.get("p99", 0.0) <= _FRAME_MS and step.skipped_ms == 0


def search(measure: Callable[[int], bool], most: int = _MOST) -> int:
    """The largest number from 0 to `most` for which `measure` holds, if it holds up to some number: doubling, then halving."""
    low, high = 0, 1
    while high <= most and measure(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(middle) else (low, middle)
    return low


def measured(options: list[str], seconds: float, most: int = _MOST) -> Load:
    """options: of `lipstream serve`. Every step has a server of its own: as it is while it takes so many, and beyond, told to."""
    speech = read_audio(recording_path())
    steps: list[Overhead] = []

    with serving(options, free_port(_PORT)) as server:
        admits, asked, refused = asyncio.run(knock(server))

    def step(sessions: int) -> bool:
        more = [] if sessions <= admits else ["--max-sessions", str(sessions)]
        with serving([*options, *more], free_port(_PORT)) as server:
            steps.append(asyncio.run(load(server, sessions, seconds, "fmp4", speech)))
        print(json.dumps(asdict(steps[-1])), flush=True)
        return good(steps[-1])

    holds = search(step, most)
    return Load(holds, admits, asked, refused, sorted(steps, key=lambda each: each.sessions))


async def knock(server: ServerProcess) -> tuple[int, int, int]:
    """Open sessions until so many are refused as are asked beyond; how many were taken, asked for, and refused properly."""
    taken = asked = refused = 0
    async with AsyncExitStack() as open_sessions:
        while asked - taken < _BEYOND and asked < _MOST + _BEYOND:
            asked += 1
            try:
                await open_sessions.enter_async_context(StreamClient(server.url, backoff=Backoff(attempts=1)))
                taken += 1
            except RefusedError as error:
                refused += error.error.code == "busy" and error.error.retry_after is not None
    return taken, asked, refused


def table(found: Load) -> str:
    head = [
        "sessions",
        "fragments late, ms: p50, p99",
        "pictures held",
        "delay, ms: p50, p95",
        "cores",
        "memory, MB",
        "",
    ]
    rows = [
        [
            str(step.sessions),
            f"{step.lateness_ms.get('p50', 0):.0f}, {step.lateness_ms.get('p99', 0):.0f}",
            f"{100 * step.held:.1f} %",
            f"{step.latency_ms.get('p50', 0):.0f}, {step.latency_ms.get('p95', 0):.0f}",
            f"{step.cores:.2f}",
            f"{step.memory_mb:.0f}",
            "holds" if good(step) else "too many",
        ]
        for step in found.steps
    ]
    said = f"holds {found.holds}; a server that measures itself admits {found.admits} and refuses {found.refused} of "
    return f"{markdown(head, rows)}\n{said}{found.asked - found.admits} beyond\n"


def draw(found: Load, path: Path) -> None:
    """Held pictures and lateness against the number of sessions, with the number that is admitted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    held_axes, late_axes = figure.subplots(2, 1, sharex=True)
    sessions = [step.sessions for step in found.steps]
    held_axes.plot(sessions, [100 * step.held for step in found.steps], "o-")
    held_axes.axhline(100 * _LATE_SHARE, color="tab:orange", linestyle=":", label="1 %")
    held_axes.set_ylabel("pictures held, %")
    late_axes.plot(sessions, [step.lateness_ms.get("p99", 0.0) for step in found.steps], "o-")
    late_axes.axhline(_FRAME_MS, color="tab:orange", linestyle=":", label="one frame")
    late_axes.set_ylabel("fragments late, ms, p99")
    late_axes.set_xlabel("sessions that speak without a pause")
    late_axes.set_xticks(sessions)
    for axes in (held_axes, late_axes):
        axes.axvline(found.admits + 0.5, color="tab:red", linestyle="--", label="refused from here on")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of speech a step")
    parser.add_argument("--most", type=int, default=_MOST, help="sessions to go up to")
    parser.add_argument("--stub", action="store_true", help="without a model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/load"))
    arguments = parser.parse_args()
    options = ["--device", arguments.device, *(["--stub"] if arguments.stub else [])]
    found = measured(options, arguments.seconds, arguments.most)
    arguments.out.mkdir(parents=True, exist_ok=True)
    said = {"machine": machine(), "exact": found.exact, **asdict(found)}
    (arguments.out / "load.json").write_text(json.dumps(said, indent=2) + "\n")
    (arguments.out / "load.md").write_text(table(found))
    draw(found, arguments.out / "load.png")
    print(table(found))


if __name__ == "__main__":
    main()
