"""Exceptions that a session reports to its client: protocol errors, and its end."""

from __future__ import annotations

from ..protocol import (
    CloseCode,
    Error,
    ErrorCode,
    Reason,
)


class ProtocolError(Exception):
    """An invalid message of the client; the session goes on."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code

    def to_message(self) -> Error:
        """Return the error as the client receives it."""
        return Error(code=self.code, message=str(self), fatal=False)


class SessionClosed(Exception):  # noqa: N818  # a session that ends normally is not an error
    """The end of a session.

    Attributes:
        close: Close code of the connection.
        reason: Reason in `session.closing` and in the close frame.
        error: Fatal error that is sent before, or None.
    """

    def __init__(
        self,
        close: CloseCode,
        reason: Reason,
        code: ErrorCode | None = None,
        text: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text or reason)
        self.close, self.reason = close, reason
        self.error: Error | None = None
        if code is not None:
            self.error = Error(code=code, message=text, fatal=True, retry_after=retry_after)
