"""How HTTP requests are refused: problem details (RFC 9457) with a stable `code`, of whatever kind the error was."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from .busy import BusyError
from .engine import PortraitError, UnknownAvatarError

_PORTRAIT_STATUS = {
    "not_a_picture": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "picture_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


class Problem(Exception):  # noqa: N818  # a term of RFC 9457
    """code: for programs, it does not change; detail: for people."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.retry_after = status, code, retry_after


def problem_of(error: Exception) -> Problem:
    """The one place where an error becomes a status and a code."""
    match error:
        case Problem():
            return error
        case BusyError():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", str(error), error.retry_after)
        case UnknownAvatarError():
            return Problem(HTTPStatus.NOT_FOUND, "unknown_avatar", str(error))
        case PortraitError():
            status = _PORTRAIT_STATUS.get(error.code, HTTPStatus.UNPROCESSABLE_ENTITY)
            return Problem(status, error.code, str(error))
        case RequestValidationError():
            said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            return Problem(HTTPStatus.BAD_REQUEST, "bad_request", said)
        case HTTPException():
            status = HTTPStatus(error.status_code)
            return Problem(status, status.name.lower(), str(error.detail))
    raise error


async def _answer(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error)
    headers = {"X-Content-Type-Options": "nosniff"}
    if isinstance(error, HTTPException):
        headers |= error.headers or {}
    if problem.retry_after is not None:
        headers["Retry-After"] = f"{problem.retry_after:.0f}"
    body = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "code": problem.code,
        "detail": str(problem),
    }
    return JSONResponse(body, problem.status.value, headers, "application/problem+json")


def speak_problems(app: FastAPI) -> None:
    for kind in (
        Problem,
        BusyError,
        UnknownAvatarError,
        PortraitError,
        RequestValidationError,
        HTTPException,
    ):
        app.add_exception_handler(kind, _answer)
