"""What can go wrong between a client and a server."""

import json

from lipstream_server.protocol import Error


class StreamError(RuntimeError):
    """The stream cannot be had, or has ended before its time; see lipstream_client/cli.py for `exit_code`."""

    exit_code = 3


class ConnectionLostError(StreamError):
    """There was a connection, and it is no more."""


class RefusedError(StreamError):
    """The server has said no; `error` is what it said."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


class ProblemError(StreamError):
    """The server has refused a request. code: what it calls the reason, for programs."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status, self.code = status, code


def problem(status: int, reason: str, body: bytes | bytearray) -> ProblemError:
    """What an answer that is none says."""
    try:
        said = json.loads(body)
        return ProblemError(status, said["code"], said["detail"])
    except (ValueError, KeyError, TypeError):
        return ProblemError(status, "unknown", f"the server answered {status} {reason}")
