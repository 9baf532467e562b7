"""How HTTP requests are refused: problem details (RFC 9457) with a stable `code`, of whatever kind the error was."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from math import ceil
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..busy import BusyError, TooManyClipsError
from ..clips.state import TransitionError
from ..clips.transitions import ClipRemovedError, KeyReusedError, UnknownClipError
from ..engines.base import (
    AvatarInUseError,
    BundledAvatarError,
    PortraitError,
    UnknownAvatarError,
    UnknownPresetError,
)
from ..media.file.recording import RecordingError
from ..observability.logs import log_event
from ..storage.data_directory import StorageFullError

log = logging.getLogger(__name__)
_PORTRAIT_STATUS = {
    "not_a_picture": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "picture_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
_RECORDING_STATUS = {
    "not_a_recording": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "recording_too_long": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
_CODES: Mapping[type[Exception], tuple[HTTPStatus, str]] = MappingProxyType(
    {
        UnknownAvatarError: (HTTPStatus.NOT_FOUND, "unknown_avatar"),
        UnknownPresetError: (HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_preset"),
        BundledAvatarError: (HTTPStatus.FORBIDDEN, "avatar_bundled"),
        AvatarInUseError: (HTTPStatus.CONFLICT, "avatar_in_use"),
        UnknownClipError: (HTTPStatus.NOT_FOUND, "unknown_clip"),
        TransitionError: (HTTPStatus.CONFLICT, "clip_finished"),
        KeyReusedError: (HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
        ClipRemovedError: (HTTPStatus.GONE, "clip_removed"),
        StorageFullError: (HTTPStatus.INSUFFICIENT_STORAGE, "storage_full"),
    }
)
"""Errors that are one status and one code whatever they say."""


class Problem(Exception):  # noqa: N818  # a term of RFC 9457
    """code: for programs, it does not change; detail: for people."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        retry_after: float | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.retry_after, self.headers = status, code, retry_after, headers


def problem_of(error: Exception) -> Problem:
    """The one place where an error becomes a status and a code."""
    match error:
        case Problem():
            return error
        case TooManyClipsError():
            return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_clips", str(error), error.retry_after)
        case BusyError():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", str(error), error.retry_after)
        case RecordingError():
            status = _RECORDING_STATUS.get(error.code, HTTPStatus.UNPROCESSABLE_ENTITY)
            return Problem(status, error.code, str(error))
        case OSError() if error.errno == errno.ENOSPC:
            return Problem(*_CODES[StorageFullError], "the disk of the server is full; try again later")
        case PortraitError():
            status = _PORTRAIT_STATUS.get(error.code, HTTPStatus.UNPROCESSABLE_ENTITY)
            return Problem(status, error.code, str(error))
        case RequestValidationError():
            return Problem(HTTPStatus.BAD_REQUEST, "bad_request", said(error.errors()))
        case HTTPException():
            status = HTTPStatus(error.status_code)
            return Problem(status, status.name.lower(), str(error.detail))
    if type(error) in _CODES:
        return Problem(*_CODES[type(error)], str(error))
    raise error


def said(errors: Iterable[Any]) -> str:
    """What pydantic found wrong, in a line."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error)
    request.app.state.telemetry.metrics.record_refusal("request", problem.code)
    log_event(log, "refused", kind="request", reason=problem.code, status=problem.status.value)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if problem.status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers |= _allowed(request)
    return respond(problem, headers)


def respond(problem: Problem, more: Mapping[str, str] = MappingProxyType({})) -> JSONResponse:
    """The answer that says it. more: headers besides its own."""
    headers = {"X-Content-Type-Options": "nosniff", **problem.headers, **more}
    if problem.retry_after is not None:
        headers["Retry-After"] = f"{ceil(problem.retry_after)}"
    body = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "code": problem.code,
        "detail": str(problem),
    }
    return JSONResponse(body, problem.status.value, headers, "application/problem+json")


def _allowed(request: Request) -> dict[str, str]:
    """All methods of a path; the framework names only those of the first route that it finds."""
    for template, operations in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{[a-z]+\}", "[^/]+", template), request.url.path):
            return {"Allow": ", ".join(sorted(operations)).upper()}
    return {}


def speak_problems(app: FastAPI) -> None:
    """Its `state.telemetry` counts them."""
    for kind in (
        Problem,
        BusyError,
        PortraitError,
        RecordingError,
        OSError,
        *_CODES,
        RequestValidationError,
        HTTPException,
    ):
        app.add_exception_handler(kind, _answer)
