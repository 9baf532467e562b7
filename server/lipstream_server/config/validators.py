"""Checks of values that settings and the code behind them share."""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import ip_address

TOKEN_PREFIX = "eyJ"  # noqa: S105  # how every JSON Web Token begins: base64url of `{"`
HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
"""A DNS name in lower case."""
_SECRET_PREFIX = "whsec_"  # noqa: S105  # a public prefix
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64


def secret_bytes(secret: str) -> bytes:
    """Return the bytes of a webhook secret, which is `whsec_` and base64 (Standard Webhooks).

    Raises:
        ValueError: The secret is malformed; the message does not show it.
    """
    try:
        decoded = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):  # the latter where it is not ASCII
        decoded = b""
    if not secret.startswith(_SECRET_PREFIX) or not _MIN_SECRET_BYTES <= len(decoded) <= _MAX_SECRET_BYTES:
        raise ValueError(
            f"webhooks.secret takes {_SECRET_PREFIX} and {_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} random bytes in "
            f"base64, such as `echo {_SECRET_PREFIX}$(openssl rand -base64 32)` prints"
        )
    return decoded


def is_host_pattern(text: str) -> bool:
    """Return whether a text is a host name, an IP address, or `*.` and a host name."""
    return bool(HOST_NAME.fullmatch(text.removeprefix("*."))) or is_ip_address(text)


def is_ip_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
