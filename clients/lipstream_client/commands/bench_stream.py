"""`lipstream bench-stream`: several streams at once, and figures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..backoff import Backoff
from ..errors import StreamError
from ..figures import Figures
from ..recording import read_audio
from ..streaming import stream_audio
from .key_option import Key
from .stream import URL


def bench_stream(
    audio: Annotated[Path, typer.Argument(help="a recording; any file with a sound track")],
    number: Annotated[int, typer.Option("-n", help="streams at once", min=1)] = 1,
    url: Annotated[str, typer.Option(help="of the server")] = URL,
    key: Key = None,
    as_json: Annotated[bool, typer.Option("--json", help="one line of JSON instead of a table")] = False,
) -> None:
    """Several streams at once, each at the pace of a microphone: first-frame delays, frames a second, skew, late frames."""
    speech = read_audio(audio)
    done = asyncio.run(_together(url, speech, number, key))
    served = [each for each in done if isinstance(each, Figures)]
    refused = [each for each in done if isinstance(each, StreamError)]
    if as_json:
        typer.echo(json.dumps(summary(served, refused)))
        return
    for figures in served:
        typer.echo(figures.report())
    delays = _delays(served)
    if delays:
        middle, high = quantile(delays, 0.5), quantile(delays, 0.95)
        typer.echo(f"first frame: p50 {middle:.0f} ms, p95 {high:.0f} ms")
    typer.echo(f"{len(served)} streams served, {len(refused)} refused")
    for error in refused[:1]:
        typer.echo(f"such as: {error}", err=True)


def summary(served: Sequence[Figures], refused: Sequence[StreamError]) -> dict[str, object]:
    """Names end in their unit; lists have a value for every stream that was served."""
    delays = _delays(served)
    return {
        "streams": len(served) + len(refused),
        "served": len(served),
        "refused": len(refused),
        "refusal": str(refused[0]) if refused else None,
        "first_frame_p50_ms": round(quantile(delays, 0.5), 1) if delays else None,
        "first_frame_p95_ms": round(quantile(delays, 0.95), 1) if delays else None,
        "first_frame_ms": [round(delay, 1) for delay in delays],
        "frames": [each.lengths.frames for each in served],
        "frames_per_second": [round(each.frames_per_second, 2) for each in served],
        "repeated_frames": [each.repeated_frames for each in served],
        "skew_ms": [round(each.lengths.skew * 1000, 1) for each in served],
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not smaller than this share of all."""
    return ordered[max(0, min(len(ordered) - 1, -(-round(share * 1000) * len(ordered) // 1000) - 1))]


def _delays(served: Sequence[Figures]) -> list[float]:
    """Milliseconds, rising."""
    return sorted(each.first_frame * 1000 for each in served if each.first_frame is not None)


async def _together(url: str, speech: bytes, number: int, key: str | None) -> list[Figures | BaseException]:
    once = Backoff(attempts=1)
    streams = (stream_audio(url, speech, backoff=once, key=key) for _ in range(number))
    done = await asyncio.gather(*streams, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException) and not isinstance(each, StreamError):
            raise each
    return done
