"""Signatures of webhooks: the symmetric scheme of the Standard Webhooks specification, 1.0.0.

The scheme is one HMAC, for which a library (standardwebhooks) is not worth its dependencies.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping


def signed_headers(secret: bytes, message_id: str, now: float, body: bytes) -> Mapping[str, str]:
    """Return the headers that identify and sign a webhook.

    Args:
        secret: Bytes of the shared secret.
        message_id: Id of the message, the same for every attempt.
        now: Time of this attempt in seconds since 1970.
        body: Body of the request.
    """
    timestamp = str(int(now))
    mac = hmac.new(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
