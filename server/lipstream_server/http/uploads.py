"""Uploads: request bodies streamed to files, few at once, within a time and a size, removed where anything fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from fastapi import Request
from starlette.requests import ClientDisconnect

from ..config.settings import UploadSettings
from ..errors import BusyError, RequestRefusedError
from ..storage.data_directory import DataDirectory, StorageFullError
from .multipart import FormPart, FormReader, too_large

_CHUNK_BYTES = 1 << 18
_DISCARD_SECONDS = 1.0
_MAX_DISCARDED_BYTES = 16 << 20
_FORM_OVERHEAD_BYTES = 1 << 14  # boundary and headers of a part


@dataclass
class Form:
    """A received form.

    Attributes:
        fields: Texts by name.
        files: Paths by name; they exist until the request has been answered, unless they are moved away.
    """

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


class Uploads:
    """Receives request bodies.

    Args:
        files: Data directory for the files.
        settings: Limits of uploads.
        retry_after_seconds: Seconds after which a refused client may try again.
    """

    def __init__(self, files: DataDirectory, settings: UploadSettings, retry_after_seconds: float) -> None:
        self._files, self._settings, self._retry_seconds = files, settings, retry_after_seconds
        self._in_progress = 0

    @asynccontextmanager
    async def receive_form(
        self, request: Request, parts: Mapping[str, FormPart], raw: str | None = None
    ) -> AsyncIterator[Form]:
        """Receive a multipart body.

        Args:
            request: The request.
            parts: Parts that the form may have, by name.
            raw: Name of the part that a body of another type is taken for; None where it has to be a form.

        Raises:
            RequestRefusedError: The body is malformed, too large or too slow.
            BusyError: Too many uploads are in progress.
            StorageFullError: The disk is full.
        """
        if self._in_progress >= self._settings.max_concurrent:
            raise BusyError(f"{self._in_progress} uploads are in progress already", self._retry_seconds)
        self._in_progress += 1
        form = Form()
        try:
            try:
                await self._receive(request, parts, raw, form)
            except RequestRefusedError:
                await _discard_rest(request)
                raise
            yield form
        finally:
            self._in_progress -= 1
            await asyncio.to_thread(_remove_files, list(form.files.values()))

    async def _receive(
        self, request: Request, parts: Mapping[str, FormPart], raw: str | None, form: Form
    ) -> None:
        content_type = request.headers.get("content-type", "")
        is_form = raw is None or content_type.lower().startswith("multipart/")
        raw_name = None if is_form else raw
        chunks = _chunks(request, *_size_limit(parts if raw_name is None else {raw_name: parts[raw_name]}))
        await self._check_free_space(request)
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                if raw_name is None:
                    reader = FormReader(content_type, parts, self._files.temporary)
                    await self._read_form(chunks, reader, form)
                else:
                    await self._read_raw(chunks, raw_name, form)
        except TimeoutError:
            detail = f"the body did not arrive within {self._settings.timeout_seconds:g} s"
            raise RequestRefusedError(HTTPStatus.REQUEST_TIMEOUT, "too_slow", detail) from None
        except ClientDisconnect:
            detail = "the connection ended within the body"
            raise RequestRefusedError(HTTPStatus.BAD_REQUEST, "cut_off", detail) from None

    async def _read_form(self, chunks: AsyncIterator[bytes], reader: FormReader, form: Form) -> None:
        form.fields, form.files = (
            reader.fields,
            reader.files,
        )  # files of a form that fails midway are removed, too
        try:
            async for chunk in chunks:
                await asyncio.to_thread(reader.write, chunk)
            await asyncio.to_thread(reader.end)
        finally:
            reader.close()

    async def _read_raw(self, chunks: AsyncIterator[bytes], name: str, form: Form) -> None:
        path = form.files[name] = self._files.temporary()
        with await asyncio.to_thread(path.open, "xb") as file:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)

    async def _check_free_space(self, request: Request) -> None:
        """Refuse a body, before it is read, whose announced length would fill the disk."""
        length = _announced_length(request)
        if await asyncio.to_thread(self._files.free_bytes) < self._settings.min_free_bytes + length:
            raise StorageFullError(
                "the disk of the server is nearly full; nothing new is accepted until there is room"
            )


def _size_limit(parts: Mapping[str, FormPart]) -> tuple[int, RequestRefusedError]:
    """Return the largest size of a body with these parts, and the problem of a larger one."""
    largest = max(parts, key=lambda name: parts[name].max_bytes)
    problem = too_large(largest, parts[largest])
    if len(parts) == 1:
        return parts[largest].max_bytes, problem
    return sum(part.max_bytes + _FORM_OVERHEAD_BYTES for part in parts.values()), problem


def _announced_length(request: Request) -> int:
    value = request.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdecimal() else 0


async def _chunks(request: Request, max_bytes: int, problem: RequestRefusedError) -> AsyncIterator[bytes]:
    """Yield the body in chunks larger than network reads, as each costs a thread switch; raise where it is too long."""
    if _announced_length(request) > max_bytes:
        raise problem
    received = 0
    chunk = bytearray()
    async for data in request.stream():
        received += len(data)
        if received > max_bytes:
            raise problem
        chunk += data
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


async def _discard_rest(request: Request) -> None:
    """Read a little more of a refused body: closing with unread bytes resets the connection and loses the answer."""
    bytes_left = _MAX_DISCARDED_BYTES
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for data in request.stream():
                bytes_left -= len(data)
                if bytes_left < 0:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: the body was read to its end
        return


def _remove_files(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
