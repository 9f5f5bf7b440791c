"""Which URLs and addresses may be called: the Internet, and what a person allowed by name. Pure.

A workspace or a customer may give a URL, so a request could be aimed at what only this machine reaches: the
cloud's metadata service, the database next door, the worker itself. The name is therefore checked as a text
here, and every address it resolves to is checked before a connection to that very address is made
(:mod:`workers.senders.http.network`); what a name resolves to later does not matter any more.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import idna

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

URL_CHARS_MAX: Final = 2_048

_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""Prefixes whose last 32 bits are an IPv4 address (RFC 6052, RFC 8215)."""

_IETF_PROTOCOLS: Final = IPv4Network("192.0.0.0/24")
"""RFC 6890; a cloud's metadata service is at 192.0.0.192. Python counts most of it as public."""

_IPV4_COMPATIBLE: Final = IPv6Network("::/96")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that is a number makes the host an IPv4 address in some notation (WHATWG URL)."""


class Forbidden(ValueError):
    """A URL or address that is not called. ``reason`` is a short code; it tells nothing of the address."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __reduce__(self) -> tuple[type[Forbidden], tuple[str]]:
        return (Forbidden, (self.reason,))


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart. ``host`` is ASCII and lower case; ``path`` begins with ``/`` and has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_plain(self) -> bool:
        """Whether it is http, which is for allowed networks only."""
        return self.scheme == "http"

    @property
    def url(self) -> str:
        """The URL, as it is called."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_url(text: str) -> Target:
    """The parts of an absolute URL.

    Raises:
        Forbidden: it is not http(s), has a user, an odd host or port, or characters that parsers read
            differently. ``http`` is not refused here: whether it may be used depends on the addresses.
    """
    if len(text) > URL_CHARS_MAX:
        raise Forbidden("url_too_long")
    if not text.isascii() and any(unicodedata.category(char)[0] in "CZ" for char in text):
        raise Forbidden("url_characters")
    if any(char <= " " or char in '\\"<>^`{|}\x7f' for char in text):
        raise Forbidden("url_characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Forbidden("url_unreadable") from None
    if parts.scheme not in {"https", "http"}:
        raise Forbidden("url_scheme")
    if "@" in parts.netloc:
        raise Forbidden("url_user")
    if "%" in parts.netloc:
        raise Forbidden("url_host")
    if port == 0:
        raise Forbidden("url_port")
    host = _host(parts.hostname or "", bracketed="[" in parts.netloc)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise Forbidden("url_characters")
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


def _host(text: str, *, bracketed: bool) -> str:
    if bracketed:
        try:
            return str(IPv6Address(text))
        except ValueError:
            raise Forbidden("url_host") from None
    host = unicodedata.normalize("NFKC", text).replace("\u3002", ".").lower().removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            # Python reads dotted decimals only: 127.1, 0x7f000001 and 0177.0.0.1 are refused.
            return str(IPv4Address(host))
        except ValueError:
            raise Forbidden("url_host") from None
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except (idna.IDNAError, UnicodeError):
            raise Forbidden("url_host") from None
    if not host or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):  # noqa: PLR2004 - DNS
        raise Forbidden("url_host")
    return host


def is_allowed(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address is in one of the networks that a person allowed."""
    ip = _unwrapped(_parse_address(address))
    return any(ip.version == network.version and ip in network for network in networks)


def check_address(address: str, networks: tuple[Network, ...]) -> None:
    """Refuse an address that is not on the Internet, unless it is in ``networks``.

    An IPv4 address inside an IPv6 one (mapped, compatible, 6to4, Teredo, NAT64) is judged as the IPv4
    address that it reaches.

    Raises:
        Forbidden: private, loopback, link-local, multicast, shared, reserved or unspecified.
    """
    if is_allowed(address, networks):
        return
    ip = _unwrapped(_parse_address(address))
    special = ip.is_multicast or ip.is_reserved or getattr(ip, "is_site_local", False)
    if special or not ip.is_global or ip in _IETF_PROTOCOLS:
        raise Forbidden("address_not_public")


def _parse_address(text: str) -> Address:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        raise Forbidden("address_unreadable") from None


def _unwrapped(ip: Address) -> Address:
    """The IPv4 address inside an IPv6 one; the address itself where there is none."""
    if isinstance(ip, IPv4Address):
        return ip
    inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo is not None else None)
    if inner is not None:
        return inner
    if any(ip in network for network in _NAT64) or (ip in _IPV4_COMPATIBLE and int(ip) > 1):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
