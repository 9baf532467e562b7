"""Who may come in, and how much at once: keys, tokens and limits of a running server."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from math import inf

from ..busy import BusyError
from ..config.settings import AccessSettings
from ..http.problem_details import Problem
from ..storage.storage import Storage
from .api_keys import ApiKey
from .caller import Caller, SessionGrant
from .key_cache import KeyRing
from .rate_limit import Rates
from .session_tokens import (
    TOKEN_PREFIX,
    Token,
    TokenError,
    read,
    sign,
)

_REALM = 'Bearer realm="lipstream"'
_MISSING = (
    "this server asks for a key, and none came: send `Authorization: Bearer KEY`; whoever runs it makes keys with "
    "`lipstream keys add NAME`"
)


class Access:
    """keyed: whether keys are asked for. secret: that tokens are signed with. storage: open while this is used."""

    def __init__(
        self, storage: Storage, settings: AccessSettings, keyed: bool, secret: bytes, retry_seconds: float
    ) -> None:
        self.keys = KeyRing(storage, settings)
        self._keyed, self._secret, self._retry_seconds = keyed, secret, retry_seconds
        self._rates = Rates()
        self._sessions: Counter[str] = Counter()

    async def caller(self, credential: str | None, for_session: bool) -> Caller:
        """Who shows this key, or this token where a session is asked for. Raises Problem: 401, 429."""
        if credential is not None and for_session and credential.startswith(TOKEN_PREFIX):
            token = self._token(credential)
            if not self._keyed:
                return Caller(None, token)
            key = None if token.key is None else self.keys.named(token.key)
            if key is None:
                raise _wrong("token_wrong", "the key that this token was made with is not valid any more")
        elif not self._keyed:
            return Caller()
        elif credential is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED, "key_missing", _MISSING, headers={"WWW-Authenticate": _REALM}
            )
        else:
            token, key = None, await self.keys.find(credential)
            if key is None:
                also = (
                    "; a token opens sessions and nothing else" if credential.startswith(TOKEN_PREFIX) else ""
                )
                raise _wrong("key_wrong", f"this key is not, or not any more, one of this server's{also}")
        self._count(key)
        return Caller(key, token)

    def issue(self, caller: Caller, avatar: str, seconds: float, connect_seconds: float) -> tuple[str, Token]:
        """A token for sessions of this avatar, as it is sent and as it is read."""
        token = Token(key=caller.owner, avatar=avatar, seconds=seconds, expires=time.time() + connect_seconds)
        return sign(token, self._secret), token

    @contextmanager
    def session(self, caller: Caller) -> Iterator[SessionGrant]:
        """A place among the sessions of its key. Raises BusyError."""
        key = caller.key
        seconds = inf if caller.token is None else caller.token.seconds
        if key is None:
            yield SessionGrant(seconds)
            return
        most = key.limits.sessions
        if most is not None and self._sessions[key.id] >= most:
            raise BusyError(f"all {most} sessions of the key {key.name!r} are taken", self._retry_seconds)
        self._sessions[key.id] += 1
        try:
            yield SessionGrant(seconds, lambda: self.keys.named(key.id) is not None)
        finally:
            self._sessions[key.id] -= 1

    def _token(self, text: str) -> Token:
        try:
            return read(text, self._secret, time.time())
        except TokenError as error:
            raise _wrong("token_wrong", str(error)) from error

    def _count(self, key: ApiKey) -> None:
        most = key.limits.requests_per_minute
        wait = self._rates.take(key.id, most, time.monotonic()) if most is not None else 0.0
        if wait:
            detail = f"the key {key.name!r} may make {most} requests a minute; try again in {wait:.1f} s"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", detail, max(1.0, wait))


@asynccontextmanager
async def access_opened(
    storage: Storage, settings: AccessSettings, keyed: bool, retry_seconds: float
) -> AsyncIterator[Access]:
    """Raises DataDirectoryError."""
    secret = await storage.run(storage.files.token_secret)
    access = Access(storage, settings, keyed, secret, retry_seconds)
    reading = asyncio.create_task(access.keys.keep_fresh(), name="keys") if keyed else None
    try:
        yield access
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])


def _wrong(code: str, detail: str) -> Problem:
    headers = {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'}
    return Problem(HTTPStatus.UNAUTHORIZED, code, detail, headers=headers)
