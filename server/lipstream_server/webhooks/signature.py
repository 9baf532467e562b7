"""What a webhook's receiver recognizes it by: the symmetric scheme of the Standard Webhooks specification, 1.0.0."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64


def secret_bytes(secret: str) -> bytes:
    """Of `whsec_` and base64. Raises ValueError, which does not show it."""
    try:
        found = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):  # the latter where it is not ASCII
        found = b""
    if not secret.startswith(_PREFIX) or not _LEAST_BYTES <= len(found) <= _MOST_BYTES:
        raise ValueError(
            f"webhooks.secret takes {_PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} random bytes in base64, such as "
            f"`echo {_PREFIX}$(openssl rand -base64 32)` prints"
        )
    return found


def signed_headers(secret: bytes, id: str, now: float, body: bytes) -> Mapping[str, str]:
    """id: the same for every attempt. now: of this attempt, seconds since 1970."""
    timestamp = str(int(now))
    mac = hmac.new(secret, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
