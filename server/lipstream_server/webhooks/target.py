"""Addresses of webhooks: their form, and the network addresses that a client cannot make the server connect to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from ..auth.origin import is_ip_address
from ..config.values import HOST_NAME

MAX_URL_CHARACTERS = 2048
_VISIBLE = re.compile(r"[!-\[\]-~]+")  # ASCII without the backslash, which programs read differently
_DEFAULT_PORTS = {"http": 80, "https": 443}

# IANA's special-purpose address registries, as of RFC 6890 and later; listed here because `ipaddress.is_global`
# differs between versions of Python.
_SPECIAL_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
# All other IPv6 addresses are local, multicast, or embed an IPv4 address.
_UNICAST_IPV6 = IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


class WebhookUrlError(ValueError):
    """The server does not send webhooks to such an address."""


@dataclass(frozen=True)
class WebhookTarget:
    """A parsed webhook address.

    Attributes:
        host: Host in lower case; an IPv6 address has no brackets.
        port: TCP port.
        uses_tls: Whether the scheme is https.
        path: Path with its query.
        is_trusted: Whether the operator allows the host by name, so that it may be at any address.
    """

    host: str
    port: int
    uses_tls: bool
    path: str
    is_trusted: bool

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default = self.port == _DEFAULT_PORTS["https" if self.uses_tls else "http"]
        return host if is_default else f"{host}:{self.port}"


def parse_target(url: str, hosts: Sequence[str]) -> WebhookTarget:
    """Return the target of a webhook address.

    Args:
        url: Address that a client gave.
        hosts: Host patterns that the operator allows; none for every host with public addresses.

    Raises:
        WebhookUrlError: The address is malformed or not allowed.
    """
    if len(url) > MAX_URL_CHARACTERS or not _VISIBLE.fullmatch(url):
        raise WebhookUrlError(
            f"expected an https address of at most {MAX_URL_CHARACTERS} visible ASCII characters"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WebhookUrlError(f"expected an https address, but {error}") from error
    if parts.username is not None or parts.password is not None:
        raise WebhookUrlError("expected an address without a name and a password; put a secret into its path")
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme not in _DEFAULT_PORTS or not (HOST_NAME.fullmatch(host) or is_ip_address(host)):
        raise WebhookUrlError("expected an https address such as https://example.com/hooks/lipstream")
    is_trusted = _matches_any(host, hosts)
    if hosts and not is_trusted:
        raise WebhookUrlError(f"the operator of this server does not allow webhooks to {host!r}")
    if parts.scheme == "http" and not is_trusted:
        raise WebhookUrlError(
            f"expected https, got http; {host!r} is no host that the operator allows by name"
        )
    if not is_trusted and is_ip_address(host) and not is_public_address(host):
        raise WebhookUrlError(f"expected a public address, got {host!r}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookTarget(
        host, port or _DEFAULT_PORTS[parts.scheme], parts.scheme == "https", path, is_trusted
    )


def _matches_any(host: str, patterns: Sequence[str]) -> bool:
    """Return whether a pattern matches: example.com, or *.example.com, which does not match example.com itself."""
    return any(host.endswith(each[1:]) if each.startswith("*.") else host == each for each in patterns)


def is_public_address(address: str) -> bool:
    """Return whether an IPv4 or IPv6 address means the same machine to everybody on the internet."""
    parsed: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return not any(parsed in each for each in _SPECIAL_IPV4)
    return parsed in _UNICAST_IPV6 and not any(parsed in each for each in _SPECIAL_IPV6)
