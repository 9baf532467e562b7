"""`lipstream bench-stream`: several streams at once, and their figures."""

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
from .server_options import STREAM_URL, Key, Url


def bench_stream(
    audio: Annotated[Path, typer.Argument(help="Recording: any file with an audio track.")],
    number: Annotated[int, typer.Option("-n", help="Number of streams at once.", min=1)] = 1,
    url: Url = STREAM_URL,
    key: Key = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Run several streams at once, each as fast as a microphone, and report latency, frame rate, skew and repeated frames."""
    speech = read_audio(audio)
    results = asyncio.run(_run_together(url, speech, number, key))
    served = [each for each in results if isinstance(each, Figures)]
    refused = [each for each in results if isinstance(each, StreamError)]
    if as_json:
        typer.echo(json.dumps(summary(served, refused)))
        return
    for figures in served:
        typer.echo(figures.report())
    latencies = _latencies_ms(served)
    if latencies:
        middle, high = quantile(latencies, 0.5), quantile(latencies, 0.95)
        typer.echo(f"first frame: p50 {middle:.0f} ms, p95 {high:.0f} ms")
    typer.echo(f"{len(served)} streams served, {len(refused)} refused")
    for error in refused[:1]:
        typer.echo(f"for example: {error}", err=True)


def summary(served: Sequence[Figures], refused: Sequence[StreamError]) -> dict[str, object]:
    """Return the figures for `--json`; names end in their unit, lists have a value for every stream that was served."""
    latencies = _latencies_ms(served)
    return {
        "streams": len(served) + len(refused),
        "served": len(served),
        "refused": len(refused),
        "refusal": str(refused[0]) if refused else None,
        "first_frame_p50_ms": round(quantile(latencies, 0.5), 1) if latencies else None,
        "first_frame_p95_ms": round(quantile(latencies, 0.95), 1) if latencies else None,
        "first_frame_ms": [round(latency, 1) for latency in latencies],
        "frames": [each.lengths.frames for each in served],
        "frames_per_second": [round(each.frames_per_second, 2) for each in served],
        "repeated_frames": [each.repeated_frames for each in served],
        "skew_ms": [round(each.lengths.skew * 1000, 1) for each in served],
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of these rising values that is not smaller than this share of them."""
    return ordered[max(0, min(len(ordered) - 1, -(-round(share * 1000) * len(ordered) // 1000) - 1))]


def _latencies_ms(served: Sequence[Figures]) -> list[float]:
    """Return the first-frame latencies in milliseconds, rising."""
    return sorted(each.first_frame * 1000 for each in served if each.first_frame is not None)


async def _run_together(
    url: str, speech: bytes, number: int, key: str | None
) -> list[Figures | BaseException]:
    once = Backoff(attempts=1)
    streams = (stream_audio(url, speech, backoff=once, key=key) for _ in range(number))
    results = await asyncio.gather(*streams, return_exceptions=True)
    for each in results:
        if isinstance(each, BaseException) and not isinstance(each, StreamError):
            raise each
    return results
