"""Bodies of requests, streamed to files: few at once, in a bounded time, counted while they come, gone if anything fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from fastapi import Request
from starlette.requests import ClientDisconnect

from ..busy import BusyError
from ..config.settings import UploadSettings
from ..storage.data_directory import DataDirectory, StorageFullError
from .multipart import FormReader, Part, too_large
from .problem_details import Problem

_PIECE = 1 << 18
_DRAIN_SECONDS = 1.0
_MOST_DRAINED = 16 << 20
_OVERHEAD = 1 << 14  # what boundaries and headers of a form may take


@dataclass
class Form:
    """fields: text by name. files: where the files lie until the request has been answered, unless they are moved away."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


class Uploads:
    def __init__(self, files: DataDirectory, settings: UploadSettings, retry_after_seconds: float) -> None:
        self._files, self._settings, self._retry_seconds = files, settings, retry_after_seconds
        self._under_way = 0

    @asynccontextmanager
    async def form(
        self, request: Request, parts: Mapping[str, Part], raw: str | None = None
    ) -> AsyncIterator[Form]:
        """The parts of a multipart body. raw: the part that a body which is no form is.

        Raises Problem, BusyError, StorageFullError.
        """
        if self._under_way >= self._settings.max_concurrent:
            raise BusyError(f"{self._under_way} uploads are under way already", self._retry_seconds)
        self._under_way += 1
        form = Form()
        try:
            try:
                await self._receive(request, parts, raw, form)
            except Problem:
                await _drain(request)
                raise
            yield form
        finally:
            self._under_way -= 1
            await asyncio.to_thread(_remove, list(form.files.values()))

    async def _receive(
        self, request: Request, parts: Mapping[str, Part], raw: str | None, form: Form
    ) -> None:
        content_type = request.headers.get("content-type", "")
        is_form = raw is None or content_type.lower().startswith("multipart/")
        alone = None if is_form else raw
        pieces = _pieces(request, *_most(parts if alone is None else {alone: parts[alone]}))
        await self._check_room(request)
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                if alone is None:
                    reader = FormReader(content_type, parts, self._files.temporary)
                    await self._read_form(pieces, reader, form)
                else:
                    await self._read_raw(pieces, alone, form)
        except TimeoutError:
            detail = f"the body did not arrive within {self._settings.timeout_seconds:g} s"
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "too_slow", detail) from None
        except ClientDisconnect:
            raise Problem(HTTPStatus.BAD_REQUEST, "cut_off", "the connection ended within the body") from None

    async def _read_form(self, pieces: AsyncIterator[bytes], reader: FormReader, form: Form) -> None:
        form.fields, form.files = reader.fields, reader.files  # what fails midway is removed too
        try:
            async for piece in pieces:
                await asyncio.to_thread(reader.write, piece)
            await asyncio.to_thread(reader.end)
        finally:
            reader.close()

    async def _read_raw(self, pieces: AsyncIterator[bytes], name: str, form: Form) -> None:
        path = form.files[name] = self._files.temporary()
        with await asyncio.to_thread(path.open, "xb") as file:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)

    async def _check_room(self, request: Request) -> None:
        """What is announced to fill the disk is not read at all."""
        length = _announced(request)
        if await asyncio.to_thread(self._files.free) < self._settings.min_free_bytes + length:
            raise StorageFullError(
                "the disk of the server is nearly full; nothing new is taken until there is room"
            )


def _most(parts: Mapping[str, Part]) -> tuple[int, Problem]:
    """Bytes of a body with these parts, and what is said of a longer one."""
    name = max(parts, key=lambda each: parts[each].most)
    if len(parts) == 1:
        return parts[name].most, too_large(name, parts[name])
    return sum(part.most + _OVERHEAD for part in parts.values()), too_large(name, parts[name])


def _announced(request: Request) -> int:
    said = request.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdecimal() else 0


async def _pieces(request: Request, most: int, longer: Problem) -> AsyncIterator[bytes]:
    """The body in larger pieces than the network's, since each costs a change of threads; counted as it comes."""
    if _announced(request) > most:
        raise longer
    count = 0
    waiting = bytearray()
    async for piece in request.stream():
        count += len(piece)
        if count > most:
            raise longer
        waiting += piece
        if len(waiting) >= _PIECE:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


async def _drain(request: Request) -> None:
    """Read a little of what is refused: a connection that is closed on unread bytes is reset, and the answer lost with it."""
    left = _MOST_DRAINED
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for piece in request.stream():
                left -= len(piece)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: it was read to its end
        return


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
