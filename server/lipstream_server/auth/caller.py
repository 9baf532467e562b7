"""The authenticated caller of a request, and what a session of it may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from ..errors import UnauthorizedError
from ..protocol import SessionStart
from .api_keys import ApiKey
from .session_tokens import SessionToken


@dataclass(frozen=True)
class Caller:
    """Whoever makes a request.

    Attributes:
        key: API key; None on a server without keys.
        token: Session token, where one was shown instead of a key.
    """

    key: ApiKey | None = None
    token: SessionToken | None = None

    @property
    def owner(self) -> str | None:
        """Id of the key whose avatars and clips the caller sees; None for everybody's."""
        return None if self.key is None else self.key.id

    def restrict(self, start: SessionStart) -> SessionStart:
        """Return the start of a session with the avatar of the caller's token, if there is a token.

        Raises:
            UnauthorizedError: The start names another avatar.
        """
        if self.token is None:
            return start
        if start.avatar not in (None, self.token.avatar):
            detail = f"this token is for avatar {self.token.avatar!r}, not for {start.avatar!r}"
            raise UnauthorizedError("token_wrong", detail)
        return start.model_copy(update={"avatar": self.token.avatar})


@dataclass(frozen=True)
class SessionGrant:
    """How long a session may last.

    Attributes:
        max_seconds: Longest duration.
        is_valid: Returns whether the key of the session still exists.
    """

    max_seconds: float = inf
    is_valid: Callable[[], bool] = lambda: True
