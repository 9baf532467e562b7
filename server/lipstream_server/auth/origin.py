"""Checks of the headers `Origin` and `Host`: which web pages may use the server, and under which names."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address


def is_allowed_origin(origin: str, host: str | None, allowed: Sequence[str]) -> bool:
    """Return whether a page of this origin may use the server: one that the server sent, or an allowed one.

    The scheme is not compared: behind a proxy that ends TLS the server does not know it.

    Args:
        origin: Header `Origin`.
        host: Header `Host`, None where it is missing or ambiguous.
        allowed: Origins of other pages that may use the server; `*` for all.
    """
    origin = origin.lower()
    if "*" in allowed or origin in (each.lower().rstrip("/") for each in allowed):
        return True
    scheme, separator, authority = origin.partition("://")
    return scheme in ("http", "https") and bool(separator) and host is not None and authority == host.lower()


def is_allowed_host(host: str, allowed: Sequence[str]) -> bool:
    """Return whether a header `Host` is an address, localhost, or an allowed name.

    Nobody else can make such a name mean this server. A page of evil.example, whose owner lets that name point
    to 127.0.0.1, has the same origin as this server in a browser (DNS rebinding), but it asks for evil.example.
    """
    name = _host_name(host)
    if name == "localhost" or name.endswith(".localhost") or "*" in allowed:
        return True
    return is_ip_address(name) or name in (each.lower() for each in allowed)


def _host_name(host: str) -> str:
    """Return the host without port and brackets."""
    host = host.lower().strip()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def is_ip_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
