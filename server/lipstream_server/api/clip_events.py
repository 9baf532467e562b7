"""A clip's progress as server-sent events (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..clips.service import Clips, Report
from ..clips.transitions import UnknownClipError
from .schemas import ClipAnswer

_SILENCE_SECONDS = 15.0  # proxies cut connections on which nothing comes


async def events(clips: Clips, clip: str, owner: str | None) -> AsyncIterator[bytes]:
    """It ends with the clip's last state, or when the clip is removed."""
    reports = clips.watch(clip, owner)
    asked: asyncio.Task[Report] | None = None
    try:
        while True:
            asked = asked or asyncio.ensure_future(anext(reports))
            done, _ = await asyncio.wait([asked], timeout=_SILENCE_SECONDS)
            if not done:
                yield b": still here\n\n"
                continue
            try:
                report = asked.result()
            except (StopAsyncIteration, UnknownClipError):
                return
            asked = None
            yield _event(report)
    finally:
        if asked is not None:
            asked.cancel()


def _event(report: Report) -> bytes:
    return f"event: clip\ndata: {ClipAnswer.of(report).model_dump_json()}\n\n".encode()
