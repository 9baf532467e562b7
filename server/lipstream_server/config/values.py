"""Value types and checks that settings are made of."""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

LogFormat = Literal["text", "json"]

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105  # the prefix, not a secret
_WEBHOOK_SECRET_BYTES = range(24, 65)
_API_KEY = re.compile(r"(?!eyJ)[A-Za-z0-9_.~+/=-]{24,200}")  # session tokens, JSON Web Tokens, begin with eyJ
_ORIGIN = re.compile(r"\*|https?://[^/\s]+")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?")
HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")


def decode_webhook_secret(secret: str) -> bytes:
    """Return the signing key of a `whsec_` secret. Raises ValueError, whose text does not show the secret."""
    try:
        decoded = base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):  # the latter for text that is not ASCII
        decoded = b""
    if not secret.startswith(WEBHOOK_SECRET_PREFIX) or len(decoded) not in _WEBHOOK_SECRET_BYTES:
        raise ValueError(
            f"expected {WEBHOOK_SECRET_PREFIX} and {_WEBHOOK_SECRET_BYTES[0]} to "
            f"{_WEBHOOK_SECRET_BYTES[-1]} random bytes in base64, such as "
            f"`echo {WEBHOOK_SECRET_PREFIX}$(openssl rand -base64 32)` prints"
        )
    return decoded


def is_host_pattern(text: str) -> bool:
    """Return whether this is a host name, `*.` and a host name, or an IP address."""
    if HOST_NAME.fullmatch(text.removeprefix("*.")):
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_device_name(text: str) -> bool:
    """Return whether this is `auto`, `cpu`, `cuda` or `cuda:N`."""
    return bool(_DEVICE.fullmatch(text))


def _as_tuple(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return tuple(value) if isinstance(value, list) else value


def _check_device(name: str) -> str:
    if not is_device_name(name):
        raise ValueError(f"expected auto, cpu, cuda or cuda:N, got {name!r}")
    return name


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"expected origins such as https://example.com, or *, got {origin!r}")
    return origins


def _check_host_patterns(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not is_host_pattern(host):
            raise ValueError(f"expected lower-case names such as example.com or *.example.com, got {host!r}")
    return hosts


def _check_api_key(key: SecretStr) -> SecretStr:
    if not _API_KEY.fullmatch(key.get_secret_value()):
        raise ValueError(
            "expected 24 to 200 letters and digits that nobody can guess, such as `openssl rand -hex 24` prints"
        )
    return key


def _check_webhook_secret(secret: SecretStr) -> SecretStr:
    decode_webhook_secret(secret.get_secret_value())
    return secret


def _check_rising(lengths: tuple[int, ...]) -> tuple[int, ...]:
    if not lengths or lengths[0] < 1 or list(lengths) != sorted(set(lengths)):
        raise ValueError(f"expected window lengths that are positive and rise, got {lengths}")
    return lengths


Count = Annotated[int, Field(ge=0)]
Number = Annotated[float, Field(ge=0)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(_as_tuple)]
Numbers = Annotated[tuple[Number, ...], BeforeValidator(_as_tuple)]
Device = Annotated[str, AfterValidator(_check_device)]
Origins = Annotated[Texts, AfterValidator(_check_origins)]
HostPatterns = Annotated[Texts, AfterValidator(_check_host_patterns)]
WindowLengths = Annotated[Counts, AfterValidator(_check_rising)]
ApiKeySecret = Annotated[SecretStr, AfterValidator(_check_api_key)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_check_webhook_secret)]
