"""API keys, without files or clock: what they look like, what is kept of them, and what they allow.

A key is 256 random bits. What is kept is its SHA-256: nobody can guess their way from that to such a key, however fast the hash
is. Slow hashes and salts are for what people choose; here they would cost time with every request and protect nothing more.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

KEY_PREFIX = "ls_"
"""By which people, and scanners for lost secrets, know a key."""
_BYTES = 32


@dataclass(frozen=True)
class KeyLimits:
    """sessions: at once. clips: that wait or are made. requests_per_minute: of HTTP and new sessions. None: no limit."""

    sessions: int | None = None
    clips: int | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True)
class ApiKey:
    """id: what avatars and clips are owned by; it is no secret. created: seconds since 1970."""

    id: str
    name: str
    limits: KeyLimits = KeyLimits()
    created: float = 0.0


def make_key() -> str:
    """What whoever may come sends: shown once, kept by nobody here."""
    return KEY_PREFIX + secrets.token_urlsafe(_BYTES)


def make_id() -> str:
    return f"key_{secrets.token_hex(8)}"


def digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
