"""Where a webhook may go: what its address may look like, and which addresses of the network a client's word does not lead to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from ..auth.origin import is_address
from ..config.values import HOST_NAME

MOST_CHARACTERS = 2048
_VISIBLE = re.compile(r"[!-\[\]-~]+")  # ASCII, without the backslash, which programs read differently
_PORTS = {"http": 80, "https": 443}

# IANA's special-purpose address registries, as of RFC 6890 and later; kept here because what `ipaddress` calls global differs
# between versions of Python.
_SPECIAL_4 = tuple(
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
# Whatever is not here is local, a group, or an IPv4 address in other clothes.
_UNICAST_6 = IPv6Network("2000::/3")
_SPECIAL_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


class WebhookUrlError(ValueError):
    """Nothing is sent to such an address."""


@dataclass(frozen=True)
class Target:
    """host: in lower case, an IPv6 address without brackets. path: with its query. named: the operator allows the host by name,
    and so it may be at any address.
    """

    host: str
    port: int
    secure: bool
    path: str
    named: bool

    @property
    def authority(self) -> str:
        """As the header `Host` has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.secure else "http"] else f"{host}:{self.port}"


def target_of(url: str, hosts: Sequence[str]) -> Target:
    """hosts: those that the operator allows; none for every host with public addresses. Raises WebhookUrlError."""
    if len(url) > MOST_CHARACTERS or not _VISIBLE.fullmatch(url):
        raise WebhookUrlError(
            f"expected an https address of at most {MOST_CHARACTERS} visible ASCII characters"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WebhookUrlError(f"expected an https address, but {error}") from error
    if parts.username is not None or parts.password is not None:
        raise WebhookUrlError("expected an address without a name and a password; put a secret into its path")
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme not in _PORTS or not (HOST_NAME.fullmatch(host) or is_address(host)):
        raise WebhookUrlError("expected an https address such as https://example.com/hooks/lipstream")
    named = allowed(host, hosts)
    if hosts and not named:
        raise WebhookUrlError(f"the operator of this server does not allow webhooks to {host!r}")
    if parts.scheme == "http" and not named:
        raise WebhookUrlError(
            f"expected https, got http; {host!r} is no host that the operator allows by name"
        )
    if not named and is_address(host) and not public(host):
        raise WebhookUrlError(f"expected a public address, got {host!r}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port or _PORTS[parts.scheme], parts.scheme == "https", path, named)


def allowed(host: str, hosts: Sequence[str]) -> bool:
    """Whether one of the patterns, such as example.com or *.example.com (not example.com itself), names it."""
    return any(host.endswith(each[1:]) if each.startswith("*.") else host == each for each in hosts)


def public(address: str) -> bool:
    """Whether everybody on the internet means the same machine by it. address: IPv4 or IPv6."""
    found: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(found, IPv4Address):
        return not any(found in each for each in _SPECIAL_4)
    return found in _UNICAST_6 and not any(found in each for each in _SPECIAL_6)
