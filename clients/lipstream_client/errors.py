"""Errors of the client, one family."""

import json

from lipstream_server.protocol import Error


class StreamError(RuntimeError):
    """A stream cannot be started, or ended early; the command line ends with `exit_code`."""

    exit_code = 3


class ConnectionLostError(StreamError):
    """The connection to the server was lost."""


class RefusedError(StreamError):
    """The server refused the session; `error` is its message."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


class ProblemError(StreamError):
    """The server refused a request. code: the reason, for programs."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status, self.code = status, code


def problem(status: int, reason: str, body: bytes | bytearray) -> ProblemError:
    """Return the error of a response whose status is none of success."""
    try:
        details = json.loads(body)
        return ProblemError(status, details["code"], details["detail"])
    except (ValueError, KeyError, TypeError):
        return ProblemError(status, "unknown", f"the server answered {status} {reason}")
