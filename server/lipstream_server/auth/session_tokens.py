"""Session tokens, without files or clock: what a browser shows instead of a key, signed so that the server need not remember it.

`lst_`, what it says as base64url of JSON, a dot, and the base64url of its HMAC-SHA256. What it says is for everybody to read;
changing a letter of it makes it worthless.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from pydantic import BaseModel, ConfigDict, ValidationError

TOKEN_PREFIX = "lst_"  # noqa: S105  # not a secret, but what secrets begin with
_MOST_LETTERS = 2048
_PURPOSE = b"lipstream session token 1\0"


class TokenError(ValueError):
    """A token is good for nothing."""


class Token(BaseModel):
    """key: the id of the key that asked for it, None on a server without keys. avatar: the only one that it opens sessions of.
    seconds: that a session may last. expires: when it opens no more sessions, seconds since 1970.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    key: str | None
    avatar: str
    seconds: float
    expires: float


def sign(token: Token, secret: bytes) -> str:
    said = _encode(token.model_dump_json().encode())
    return f"{TOKEN_PREFIX}{said}.{_encode(_seal(said, secret))}"


def read(text: str, secret: bytes, now: float) -> Token:
    """Raises TokenError where it was not signed with this secret, or is past its time."""
    said, _, seal = text.removeprefix(TOKEN_PREFIX).partition(".")
    try:
        if len(text) > _MOST_LETTERS or not hmac.compare_digest(_decode(seal), _seal(said, secret)):
            raise TokenError("this token was not made by this server, or was changed; ask for another one")
        token = Token.model_validate_json(_decode(said))
    except (binascii.Error, UnicodeEncodeError, ValidationError):
        raise TokenError("this is no token of this server; ask for another one") from None
    if now > token.expires:
        raise TokenError("the time of this token to begin a session is over; ask for another one")
    return token


def _seal(said: str, secret: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + said.encode("ascii"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    """Raises binascii.Error."""
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
