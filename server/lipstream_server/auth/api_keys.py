"""API keys: their format, what is stored of them, and their limits. Pure functions and values.

A key is 256 random bits, of which only the SHA-256 is stored: such a key cannot be guessed, however fast the
hash is. Slow hashes and salts protect passwords that people choose; here they would cost time with every
request and protect nothing more.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

KEY_PREFIX = "ls_"
"""By which people, and scanners for leaked secrets, recognise a key."""
_KEY_BYTES = 32


@dataclass(frozen=True)
class KeyLimits:
    """Limits of an API key; None means no limit.

    Attributes:
        sessions: Live sessions at once.
        clips: Unfinished clips.
        requests_per_minute: HTTP requests and new sessions.
    """

    sessions: int | None = None
    clips: int | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True)
class ApiKey:
    """What the server knows of an API key.

    Attributes:
        id: Owner of avatars and clips; not a secret.
        name: The operator's name for whoever uses the key.
        limits: Limits of the key.
        created: Seconds since 1970.
    """

    id: str
    name: str
    limits: KeyLimits = KeyLimits()
    created: float = 0.0


def make_key() -> str:
    """Return a new secret key. It is shown once and never stored."""
    return KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def make_key_id() -> str:
    """Return a new key id."""
    return f"key_{secrets.token_hex(8)}"


def key_digest(key: str) -> str:
    """Return the SHA-256 of a key in hexadecimal, which is what the database stores."""
    return hashlib.sha256(key.encode()).hexdigest()
