"""What a webhook's receiver recognizes it by: the symmetric scheme of the Standard Webhooks specification, 1.0.0."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping


def signed_headers(secret: bytes, id: str, now: float, body: bytes) -> Mapping[str, str]:
    """id: the same for every attempt. now: of this attempt, seconds since 1970."""
    timestamp = str(int(now))
    mac = hmac.new(secret, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
