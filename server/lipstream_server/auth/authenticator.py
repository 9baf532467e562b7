"""Authentication and per-key limits of a running server."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil, inf

from ..config.settings import AccessSettings
from ..errors import BusyError, TooManyRequestsError, UnauthorizedError
from ..storage.storage import Storage
from .api_keys import ApiKey
from .caller import Caller, SessionGrant
from .key_cache import KeyCache
from .rate_limit import RateLimiter
from .session_tokens import (
    TOKEN_PREFIX,
    SessionToken,
    TokenError,
    decode_token,
    encode_token,
)

_KEY_MISSING = (
    "this server asks for a key, and none came: send `Authorization: Bearer KEY`; its operator makes keys with "
    "`lipstream keys add NAME`"
)


class Authenticator:
    """Checks credentials and counts requests and sessions of each key.

    Args:
        storage: Open for as long as the authenticator is used.
        settings: Access settings.
        keyed: Whether the server asks for keys.
        secret: Secret that session tokens are signed with.
        retry_after_seconds: Seconds after which a refused session may try again.
    """

    def __init__(
        self,
        storage: Storage,
        settings: AccessSettings,
        keyed: bool,
        secret: bytes,
        retry_after_seconds: float,
    ) -> None:
        self.keys = KeyCache(storage, settings)
        self._keyed, self._secret, self._retry_seconds = keyed, secret, retry_after_seconds
        self._rate_limiter = RateLimiter()
        self._session_counts: Counter[str] = Counter()

    async def authenticate(self, credential: str | None, for_session: bool) -> Caller:
        """Return the caller with this credential.

        Args:
            credential: API key, session token, or None where nothing was sent.
            for_session: Whether a live session is opened, the one thing that a token is good for.

        Raises:
            UnauthorizedError: The credential is missing or not valid.
            TooManyRequestsError: The key is over its limit.
        """
        if credential is not None and for_session and credential.startswith(TOKEN_PREFIX):
            return self._authenticate_token(credential)
        if not self._keyed:
            return Caller()
        if credential is None:
            raise UnauthorizedError("key_missing", _KEY_MISSING)
        key = await self.keys.find(credential)
        if key is None:
            hint = "; a token opens sessions and nothing else" if credential.startswith(TOKEN_PREFIX) else ""
            raise UnauthorizedError(
                "key_wrong", f"this key is not, or not any more, one of this server's{hint}"
            )
        self._count_request(key)
        return Caller(key)

    def issue_token(
        self, caller: Caller, avatar: str, max_seconds: float, connect_seconds: float
    ) -> tuple[str, SessionToken]:
        """Return a token for sessions of one avatar, encoded and as a value.

        Args:
            caller: Whose key the sessions count for.
            avatar: Id of the only avatar that the token opens sessions of.
            max_seconds: Longest duration of a session.
            connect_seconds: Time in which a session may be opened, rounded up to whole seconds.
        """
        expires = ceil(time.time() + connect_seconds)
        token = SessionToken(key=caller.owner, avatar=avatar, max_seconds=max_seconds, expires=expires)
        return encode_token(token, self._secret), token

    @contextmanager
    def session_slot(self, caller: Caller) -> Iterator[SessionGrant]:
        """Hold one of the sessions of the caller's key.

        Raises:
            BusyError: The key has as many sessions as its limit allows.
        """
        key = caller.key
        max_seconds = inf if caller.token is None else caller.token.max_seconds
        if key is None:
            yield SessionGrant(max_seconds)
            return
        limit = key.limits.sessions
        if limit is not None and self._session_counts[key.id] >= limit:
            raise BusyError(f"all {limit} sessions of the key {key.name!r} are taken", self._retry_seconds)
        self._session_counts[key.id] += 1
        try:
            yield SessionGrant(max_seconds, lambda: self.keys.by_id(key.id) is not None)
        finally:
            self._session_counts[key.id] -= 1

    def _authenticate_token(self, text: str) -> Caller:
        try:
            token = decode_token(text, self._secret)
        except TokenError as error:
            raise UnauthorizedError("token_wrong", str(error)) from error
        if not self._keyed:
            return Caller(None, token)
        key = None if token.key is None else self.keys.by_id(token.key)
        if key is None:
            raise UnauthorizedError(
                "token_wrong", "the key that this token was made with is not valid any more"
            )
        self._count_request(key)
        return Caller(key, token)

    def _count_request(self, key: ApiKey) -> None:
        limit = key.limits.requests_per_minute
        wait = self._rate_limiter.acquire(key.id, limit, time.monotonic()) if limit is not None else 0.0
        if wait:
            detail = f"the key {key.name!r} may make {limit} requests a minute; try again in {wait:.1f} s"
            raise TooManyRequestsError(detail, max(1.0, wait))


@asynccontextmanager
async def open_authenticator(
    storage: Storage, settings: AccessSettings, keyed: bool, retry_after_seconds: float
) -> AsyncIterator[Authenticator]:
    """Run an authenticator, whose keys are read again as they change.

    Raises:
        DataDirectoryError: The secret of the tokens cannot be read.
    """
    secret = await storage.run(storage.files.token_secret)
    authenticator = Authenticator(storage, settings, keyed, secret, retry_after_seconds)
    refreshing = asyncio.create_task(authenticator.keys.refresh_forever(), name="keys") if keyed else None
    try:
        yield authenticator
    finally:
        if refreshing is not None:
            refreshing.cancel()
            await asyncio.wait([refreshing])
