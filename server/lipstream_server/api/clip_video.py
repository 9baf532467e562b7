"""A clip's video over HTTP: whole or in ranges (RFC 9110, section 14), and while it is made as far as it can be played."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ..clips.service import Clips
from ..clips.state import State
from ..http.problem_details import Problem
from ..media.file.formats import FORMATS, VideoFormat
from ..media.file.growing_file import playable_bytes
from ..media.file.video_writer import part_path

_PIECE = 1 << 18
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True)
class Found:
    """An open file of which the first `size` bytes may be sent. tag: of an entity that will not change, else None."""

    file: IO[bytes]
    size: int
    tag: str | None
    format: VideoFormat


async def answer_video(clips: Clips, clip: str, owner: str | None, request: Request) -> Response:
    """Raises Problem, UnknownClipError."""
    found = await _find(clips, clip, owner)
    asked_for_head = request.method == "HEAD"
    if found.tag is not None and found.tag in request.headers.get("if-none-match", ""):
        found.file.close()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": found.tag})
    try:
        part = None if asked_for_head else _wanted(request, found)  # ranges are GET's only (RFC 9110, 14.2)
    except Problem:
        found.file.close()
        raise
    start, end = part or (0, found.size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Content-Disposition": f'inline; filename="{clip}.{found.format.name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store" if found.tag is None else "private, no-cache",
    }
    if found.tag is not None:
        headers["ETag"] = found.tag
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
    if asked_for_head:
        found.file.close()
        return Response(headers=headers, media_type=found.format.media_type)
    status = HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT
    return FileAnswer(found, start, end, status, headers)


class FileAnswer(StreamingResponse):
    """Bytes start to end of what was found, which is closed whatever becomes of the answer."""

    def __init__(
        self, found: Found, start: int, end: int, status: HTTPStatus, headers: dict[str, str]
    ) -> None:
        super().__init__(_pieces(found.file, start, end), status.value, headers, found.format.media_type)
        self._file = found.file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _pieces(file: IO[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, start)
    while start < end:
        piece = await asyncio.to_thread(file.read, min(_PIECE, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece


async def _find(clips: Clips, clip: str, owner: str | None) -> Found:
    found = (await clips.report(clip, owner)).clip
    made = FORMATS[found.order.container]
    if found.state is State.SUCCEEDED and found.video is not None:
        file = await asyncio.to_thread(clips.files.video(clip, made.name).open, "rb")
        return Found(file, found.video.size, f'"{found.video.tag}"', made)
    if found.state is State.RUNNING:
        work = clips.files.work(clip, made.name)
        for path in (
            part_path(work),
            work,
        ):  # the latter for the moment in which it is whole and not given out yet
            part = await asyncio.to_thread(_open_part, path, made)
            if part is not None:
                return part
    detail = f"clip {clip} is {found.state} and has no video"
    if not found.state.final:
        detail += " yet; ask again later, its events tell when"
    raise Problem(HTTPStatus.CONFLICT, "clip_without_video", detail)


def _open_part(path: Path, made: VideoFormat) -> Found | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    size = playable_bytes(file, made.name)
    if not size:
        file.close()
        return None
    return Found(file, size, None, made)


def _wanted(request: Request, found: Found) -> tuple[int, int] | None:
    """The range that is asked for; None for everything. What is no single range of bytes is ignored, as the RFC allows."""
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    condition = request.headers.get("if-range")
    if asked is None or asked[0] == "bytes=-" or (condition is not None and condition != found.tag):
        return None
    first, last = asked.groups()
    size = found.size
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return None
    if start >= size:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "range_not_satisfiable",
            f"expected a range within the {size} bytes of the video",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end
