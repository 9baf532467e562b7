"""`lipstream stream` and `lipstream bench-stream`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .errors import StreamError
from .stream_client import Backoff
from .streaming import RATE, Outcome, read_audio, stream_audio, tracks

_URL = "ws://127.0.0.1:8000"


def stream(
    audio: Annotated[Path, typer.Argument(help="a recording; any file with a sound track")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the MP4 file to write")],
    url: Annotated[str, typer.Option(help="of the server")] = _URL,
    avatar: Annotated[str | None, typer.Option(help="the server's own without it")] = None,
    fast: Annotated[bool, typer.Option(help="send all at once, not at the pace of a microphone")] = False,
) -> None:
    """A recording is spoken by a server's avatar, at the pace of a microphone."""
    speech = read_audio(audio)

    def show(seconds: float) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{seconds:.1f} of {len(speech) / 2 / RATE:.1f} s sent", err=True, nl=False)

    outcome = asyncio.run(stream_audio(url, speech, avatar, 0.0 if fast else 1.0, progress=show))
    output.write_bytes(outcome.data)
    typer.echo(f"{output}: {report(outcome)}")


def bench_stream(
    audio: Annotated[Path, typer.Argument(help="a recording; any file with a sound track")],
    number: Annotated[int, typer.Option("-n", help="streams at once", min=1)] = 1,
    url: Annotated[str, typer.Option(help="of the server")] = _URL,
) -> None:
    """Several streams at once, each at the pace of a microphone: first-frame delays and frames a second."""
    speech = read_audio(audio)
    done = asyncio.run(_together(url, speech, number))
    outcomes = [each for each in done if isinstance(each, Outcome)]
    refused = [each for each in done if isinstance(each, StreamError)]
    for outcome in outcomes:
        typer.echo(report(outcome))
    delays = sorted(each.first_frame for each in outcomes if each.first_frame is not None)
    if delays:
        middle, high = quantile(delays, 0.5), quantile(delays, 0.95)
        typer.echo(f"first frame: p50 {middle * 1000:.0f} ms, p95 {high * 1000:.0f} ms")
    typer.echo(f"{len(outcomes)} streams served, {len(refused)} refused")
    for error in refused[:1]:
        typer.echo(f"such as: {error}", err=True)


def report(outcome: Outcome) -> str:
    """First-frame delay, frames, frames a second of the clock, skew."""
    made = tracks(outcome.data)
    first = (
        "nothing was shown"
        if outcome.first_frame is None
        else f"first frame {outcome.first_frame * 1000:.0f} ms"
    )
    clock = outcome.times[-1] - outcome.times[0] if len(outcome.times) > 1 else 0.0
    speed = made.frames / clock if clock else 0.0
    return f"{first}, {made.frames} frames, {speed:.1f} a second, skew {made.skew * 1000:+.0f} ms"


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not smaller than this share of all."""
    return ordered[max(0, min(len(ordered) - 1, -(-round(share * 1000) * len(ordered) // 1000) - 1))]


async def _together(url: str, speech: bytes, number: int) -> list[Outcome | BaseException]:
    once = Backoff(attempts=1)
    streams = (stream_audio(url, speech, backoff=once) for _ in range(number))
    done = await asyncio.gather(*streams, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException) and not isinstance(each, StreamError):
            raise each
    return done
