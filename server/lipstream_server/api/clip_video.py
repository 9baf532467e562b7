"""The video of a clip over HTTP: whole or in ranges (RFC 9110, section 14), and while it grows as far as it plays.

Starlette's FileResponse does not serve it: it cannot send a growing file, refuses malformed ranges and foreign units
with 400 where the RFC wants the header ignored, and answers HEAD with 206.
"""

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

from ..clips.service import ClipService
from ..clips.state import State
from ..errors import RequestRefusedError
from ..media.file.formats import FORMATS, VideoFormat
from ..media.file.growing_file import playable_bytes
from ..media.file.video_writer import part_path

_CHUNK_BYTES = 1 << 18
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True)
class OpenVideo:
    """An open video file.

    Attributes:
        file: The file.
        size: Bytes that may be sent.
        etag: Entity tag of a finished video; None while it grows.
        format: Format of the video.
    """

    file: IO[bytes]
    size: int
    etag: str | None
    format: VideoFormat


async def video_response(clips: ClipService, clip_id: str, owner: str | None, request: Request) -> Response:
    """Return the response to GET or HEAD of a clip's video.

    Raises:
        UnknownClipError: There is no such clip.
        RequestRefusedError: There is no video yet, or the range lies beyond it.
    """
    video = await _open_video(clips, clip_id, owner)
    is_head = request.method == "HEAD"
    if video.etag is not None and video.etag in request.headers.get("if-none-match", ""):
        video.file.close()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": video.etag})
    try:
        part = None if is_head else _requested_range(request, video)  # ranges are GET's only (RFC 9110, 14.2)
    except RequestRefusedError:
        video.file.close()
        raise
    start, end = part or (0, video.size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Content-Disposition": f'inline; filename="{clip_id}.{video.format.name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store" if video.etag is None else "private, no-cache",
    }
    if video.etag is not None:
        headers["ETag"] = video.etag
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{video.size}"
    if is_head:
        video.file.close()
        return Response(headers=headers, media_type=video.format.media_type)
    status = HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT
    return OpenFileResponse(video, start, end, status, headers)


class OpenFileResponse(StreamingResponse):
    """Sends bytes `start` to `end` of an open file, and closes it in any case."""

    def __init__(
        self, video: OpenVideo, start: int, end: int, status: HTTPStatus, headers: dict[str, str]
    ) -> None:
        super().__init__(_chunks(video.file, start, end), status.value, headers, video.format.media_type)
        self._file = video.file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _chunks(file: IO[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, start)
    while start < end:
        chunk = await asyncio.to_thread(file.read, min(_CHUNK_BYTES, end - start))
        if not chunk:
            return
        start += len(chunk)
        yield chunk


async def _open_video(clips: ClipService, clip_id: str, owner: str | None) -> OpenVideo:
    clip = (await clips.report(clip_id, owner)).clip
    video_format = FORMATS[clip.spec.container]
    if clip.state is State.SUCCEEDED and clip.video is not None:
        file = await asyncio.to_thread(clips.files.video(clip_id, video_format.name).open, "rb")
        return OpenVideo(file, clip.video.size, f'"{clip.video.tag}"', video_format)
    if clip.state is State.RUNNING:
        work = clips.files.work(clip_id, video_format.name)
        for path in (part_path(work), work):  # the latter once it is complete, before the clip has succeeded
            video = await asyncio.to_thread(_open_growing, path, video_format)
            if video is not None:
                return video
    detail = f"clip {clip_id} is {clip.state} and has no video"
    if not clip.state.is_final:
        detail += " yet; ask again later, or follow its events"
    raise RequestRefusedError(HTTPStatus.CONFLICT, "clip_without_video", detail)


def _open_growing(path: Path, video_format: VideoFormat) -> OpenVideo | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    size = playable_bytes(file, video_format.name)
    if not size:
        file.close()
        return None
    return OpenVideo(file, size, None, video_format)


def _requested_range(request: Request, video: OpenVideo) -> tuple[int, int] | None:
    """Return start and end of the requested range; None for the whole video.

    A header that is not a single range of bytes is ignored, as the RFC allows.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    condition = request.headers.get("if-range")
    if match is None or match[0] == "bytes=-" or (condition is not None and condition != video.etag):
        return None
    first, last = match.groups()
    size = video.size
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return None
    if start >= size:
        raise RequestRefusedError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "range_not_satisfiable",
            f"expected a range within the {size} bytes of the video",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end
