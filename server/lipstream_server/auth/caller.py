"""Who asks for something, and what comes of it: whose avatars and clips are seen, and for how long a session may go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from ..protocol import CloseCode, ErrorCode, SessionStart
from ..sessions.ending import SessionClosed
from .api_keys import ApiKey
from .session_tokens import Token


@dataclass(frozen=True)
class Caller:
    """key: None for whoever reaches a server without keys. token: of whoever shows one instead of a key."""

    key: ApiKey | None = None
    token: Token | None = None

    @property
    def owner(self) -> str | None:
        """Whose avatars and clips it sees; None: everybody's."""
        return None if self.key is None else self.key.id

    def start(self, asked: SessionStart) -> SessionStart:
        """With the avatar of its token, if it has one. Raises SessionClosed where another one is asked for."""
        if self.token is None:
            return asked
        if asked.avatar not in (None, self.token.avatar):
            raise unauthorized(f"this token is for avatar {self.token.avatar!r}, not for {asked.avatar!r}")
        return asked.model_copy(update={"avatar": self.token.avatar})


@dataclass(frozen=True)
class SessionGrant:
    """How long a session may go on. seconds: at most. valid: whether its key is still there."""

    seconds: float = inf
    valid: Callable[[], bool] = lambda: True


def unauthorized(text: str) -> SessionClosed:
    return SessionClosed(CloseCode.UNAUTHORIZED, "unauthorized", ErrorCode.UNAUTHORIZED, text)


def caller_of(connection: HTTPConnection) -> Caller:
    """Set by the gate; without one there is nobody, and that fails."""
    caller: Caller = connection.state.caller
    return caller


def _owner(connection: HTTPConnection) -> str | None:
    return caller_of(connection).owner


Asking = Annotated[Caller, Depends(caller_of)]
"""A parameter of a route: who asks."""
Owner = Annotated[str | None, Depends(_owner)]
"""A parameter of a route: whose avatars and clips it may touch; None: everybody's."""
