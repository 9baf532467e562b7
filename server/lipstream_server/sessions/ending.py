"""What a client is told when it made a mistake, and when its session ends."""

from __future__ import annotations

from ..protocol import (
    CloseCode,
    Error,
    ErrorCode,
    Reason,
)


class ProtocolError(Exception):  # what the client hears, not what failed here
    """A mistake that the session outlives."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code

    def message(self) -> Error:
        return Error(code=self.code, message=str(self), fatal=False)


class SessionClosed(Exception):  # noqa: N818  # not every end is an error
    """The session ends. code: None, or the error that is sent before; retry_after: seconds."""

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
