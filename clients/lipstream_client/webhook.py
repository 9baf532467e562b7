"""Verification of webhooks (Standard Webhooks 1.0.0), for programs that receive them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import StreamError

TOLERANCE_SECONDS = 300.0
"""Maximum age of a message, and difference of clocks; an older message may be a replay."""
_PREFIX = "whsec_"
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class WebhookError(StreamError):
    """A message that is not authentic; answer it with 401 and discard it."""


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None
) -> Mapping[str, Any]:
    """Return a message after checking that a server with this secret sent it, and recently.

    The same message may come more than once; its header `webhook-id` identifies it.

    Args:
        secret: `whsec_` and base64, as the server has it.
        headers: of the request, in upper or lower case.
        body: of the request, exactly as it came.
        now: seconds since 1970; the current time if None.

    Raises:
        WebhookError: the message is not authentic, or too old.
    """
    key = _decode_secret(secret)
    found = {name.lower(): value for name, value in headers.items()}
    if missing := [name for name in _HEADERS if name not in found]:
        raise WebhookError(f"expected the headers of a webhook; {', '.join(missing)} missing")
    id, timestamp, signature = (found[name] for name in _HEADERS)
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise WebhookError(f"expected seconds since 1970 in webhook-timestamp, got {timestamp[:40]!r}")
    off = int(timestamp) - (time.time() if now is None else now)
    if abs(off) > TOLERANCE_SECONDS:
        raise WebhookError(f"expected a recent message, got one that is {off:+.0f} s off")
    wanted = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    if not any(hmac.compare_digest(wanted, each) for each in _signatures(signature)):
        raise WebhookError("the signature is not of this message, or was made with another secret")
    return _parse_message(body)


def _parse_message(body: bytes) -> Mapping[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise WebhookError(f"the message is signed, but no JSON: {error}") from error
    if not isinstance(message, dict):
        raise WebhookError(f"expected a JSON object, got {type(message).__name__}")
    return message


def _decode_secret(secret: str) -> bytes:
    """Return the signing key. Raises ValueError, as the program is wrong and not the message."""
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"expected a secret of {_PREFIX} and base64, as the server has it") from None


def _signatures(header: str) -> Iterator[bytes]:
    """Yield the signatures of a header; there are several while a sender changes its secret."""
    for each in header.split():
        version, _, text = each.partition(",")
        if version == "v1":
            try:
                yield base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue
