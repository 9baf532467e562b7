"""Errors that packages share, with the HTTP status and the stable code that a client is answered with."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType


class StatusError(Exception):
    """An error that an HTTP client is answered with as problem details (RFC 9457).

    Attributes:
        status: HTTP status of the answer.
        code: Identifies the problem for programs; it does not change between releases.
        retry_after: Seconds after which a retry makes sense, for the header `Retry-After`.
        headers: Further headers of the answer.
    """

    status: HTTPStatus
    code: str
    retry_after: float | None = None
    headers: Mapping[str, str] = MappingProxyType({})


class RequestRefusedError(StatusError):
    """A refusal with a status and a code of its own, raised in one place."""

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


class BusyError(StatusError):
    """A temporary refusal: 503 with Retry-After, or close code 1013.

    Args:
        why: What is busy.
        retry_after: Seconds after which a retry makes sense.
        reason: One word for metrics and logs.
    """

    status, code = HTTPStatus.SERVICE_UNAVAILABLE, "busy"

    def __init__(self, why: str, retry_after: float, reason: str = "busy") -> None:
        super().__init__(f"{why}; try again in {retry_after:g} s")
        self.reason = reason
        self.retry_after = retry_after


class TooManyClipsError(BusyError):
    """An API key has as many unfinished clips as its limit allows."""

    status, code = HTTPStatus.TOO_MANY_REQUESTS, "too_many_clips"


class TooManyRequestsError(StatusError):
    """An API key made more requests than its limit allows."""

    status, code = HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests"

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class UnauthorizedError(StatusError):
    """The API key or session token is missing, unknown, or not valid for the request."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        challenge = 'Bearer realm="lipstream"'
        self.code = code
        self.headers = {
            "WWW-Authenticate": challenge if code == "key_missing" else f'{challenge}, error="invalid_token"'
        }


class MediaError(ValueError):
    """An image, a recording or a video cannot be read or written; the message is one line for people.

    Attributes:
        exit_code: Exit code of a command that ends with this error.
    """

    exit_code = 2
