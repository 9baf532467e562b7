"""Which pages a browser may use this server from, without sockets: what `Origin` and `Host` say, and what that means."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address


def allowed_origin(origin: str, host: str | None, allowed: Sequence[str]) -> bool:
    """A page that this server has sent (its host and port are those that were asked for), or one from where it is allowed.

    The scheme is not compared: behind a proxy that ends TLS this server does not know it.
    """
    origin = origin.lower()
    if "*" in allowed or origin in (each.lower().rstrip("/") for each in allowed):
        return True
    scheme, separator, place = origin.partition("://")
    return scheme in ("http", "https") and bool(separator) and host is not None and place == host.lower()


def allowed_host(host: str, allowed: Sequence[str]) -> bool:
    """A name that nobody else can make to mean this server: an address, localhost, or one that is allowed.

    A page of evil.example, whose name its owner lets point to 127.0.0.1, is of the same origin as this server for a browser
    (DNS rebinding); but it asks for evil.example.
    """
    name = _name(host)
    if name == "localhost" or name.endswith(".localhost") or "*" in allowed:
        return True
    return is_address(name) or name in (each.lower() for each in allowed)


def _name(host: str) -> str:
    """Without port and brackets."""
    host = host.lower().strip()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
