"""Session tokens: JSON Web Tokens (HS256) that a browser shows instead of an API key.

The claims are readable by everybody. The signature makes them unchangeable, so the server stores no tokens.
"""

from __future__ import annotations

import jwt
from pydantic import BaseModel, ConfigDict, ValidationError

TOKEN_PREFIX = "eyJ"  # noqa: S105  # how every JSON Web Token begins: base64url of `{"`
_ALGORITHM = "HS256"
_AUDIENCE = "lipstream.session"
_MAX_CHARACTERS = 2048


class TokenError(ValueError):
    """A session token is not valid."""


class SessionToken(BaseModel):
    """Claims of a session token.

    Attributes:
        key: Id of the API key that asked for the token; None on a server without keys.
        avatar: Id of the only avatar that the token opens sessions of.
        max_seconds: Longest duration of a session.
        expires: Seconds since 1970 from which on the token opens no session.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    key: str | None
    avatar: str
    max_seconds: float
    expires: int


def encode_token(token: SessionToken, secret: bytes) -> str:
    """Return the signed token."""
    claims = token.model_dump(exclude={"expires"}) | {"aud": _AUDIENCE, "exp": token.expires}
    return jwt.encode(claims, secret, _ALGORITHM)


def decode_token(text: str, secret: bytes) -> SessionToken:
    """Return the claims of a token after checking its signature, audience and expiry.

    Raises:
        TokenError: The token was signed with another secret, has expired, or is malformed.
    """
    if len(text) > _MAX_CHARACTERS:
        raise TokenError(
            f"expected a session token of at most {_MAX_CHARACTERS} characters; ask for another one"
        )
    try:
        claims = jwt.decode(text, secret, [_ALGORITHM], {"require": ["exp", "aud"]}, audience=_AUDIENCE)
        del claims["aud"]
        return SessionToken.model_validate(claims | {"expires": claims.pop("exp")})
    except jwt.ExpiredSignatureError:
        raise TokenError("the time of this token to begin a session is over; ask for another one") from None
    except jwt.InvalidSignatureError:
        raise TokenError(
            "this token was not made by this server, or was changed; ask for another one"
        ) from None
    except (jwt.InvalidTokenError, ValidationError, ValueError):
        raise TokenError("this is no token of this server; ask for another one") from None
