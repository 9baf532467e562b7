"""Problem details (RFC 9457): every refused HTTP request is answered with a status and a stable `code`."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from math import ceil
from types import MappingProxyType
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ..errors import RequestRefusedError, StatusError
from ..observability.logs import log_event
from ..storage.data_directory import StorageFullError

log = logging.getLogger(__name__)


class ProblemAnswer(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: Literal["about:blank"] = Field(
        description="Always `about:blank`; `code` tells problems apart.", examples=["about:blank"]
    )
    title: str = Field(description="Phrase of the status.", examples=["Not Found"])
    status: int = Field(description="HTTP status of the answer.", examples=[404])
    code: str = Field(description="Stable code for programs.", examples=["unknown_avatar"])
    detail: str = Field(
        description="For people: what was expected, what came, what to do.",
        examples=["there is no avatar 'x'"],
    )


def problem_of(error: Exception) -> StatusError:
    """Return the problem that an error is answered with; errors that are no problem are raised again."""
    match error:
        case StatusError():
            return error
        case OSError() if error.errno == errno.ENOSPC:
            return StorageFullError("the disk of the server is full; try again later")
        case RequestValidationError():
            return bad_request(format_validation_errors(error.errors()))
        case HTTPException():
            status = HTTPStatus(error.status_code)
            return RequestRefusedError(status, status.name.lower(), str(error.detail))
    raise error


def bad_request(detail: str) -> RequestRefusedError:
    """Return the problem of a malformed request."""
    return RequestRefusedError(HTTPStatus.BAD_REQUEST, "bad_request", detail)


def format_validation_errors(errors: Iterable[Any]) -> str:
    """Return pydantic's errors in one line."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)


def problem_response(
    problem: StatusError, extra_headers: Mapping[str, str] = MappingProxyType({})
) -> JSONResponse:
    """Return the response that describes a problem."""
    headers = {"X-Content-Type-Options": "nosniff", **problem.headers, **extra_headers}
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


def register_exception_handlers(app: FastAPI) -> None:
    """Answer errors of routes with problem details. The application's `state.telemetry` counts them."""
    for kind in (StatusError, OSError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle_error)


async def _handle_error(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error)
    request.app.state.telemetry.metrics.record_refusal("request", problem.code)
    log_event(log, "refused", kind="request", reason=problem.code, status=problem.status.value)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if problem.status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers |= _allow_header(request)
    return problem_response(problem, headers)


def _allow_header(request: Request) -> dict[str, str]:
    """Return `Allow` with all methods of a path; the framework names only those of the first matching route."""
    for template, operations in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{[a-z]+\}", "[^/]+", template), request.url.path):
            return {"Allow": ", ".join(sorted(operations)).upper()}
    return {}
