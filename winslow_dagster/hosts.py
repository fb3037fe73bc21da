"""Host names and addresses in one spelling, so that a setting and a request's headers can be compared."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:(?P<port>[0-9]{1,5}))?")


def canonical_host(text: str) -> str | None:
    """A name in lower case without its final dot, or an address in its shortest form. None if `text` is neither.

    An IPv6 address may stand in brackets. An IPv4 address that is written as an IPv6 address becomes an IPv4 address.
    """
    try:
        address = ip_address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        name = text.lower().removesuffix(".")
        return name if NAME.fullmatch(name) else None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def split_authority(text: str) -> tuple[str, int | None] | None:
    """Canonical host and port of `host`, `host:port` or `[address]:port`. None if `text` is none of these."""
    found = AUTHORITY.fullmatch(text)
    host = None if found is None else canonical_host(found["host"])
    if found is None or host is None:
        return None
    return host, None if found["port"] is None else int(found["port"])


def is_loopback(host: str) -> bool:
    """Whether a canonical host always means this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
