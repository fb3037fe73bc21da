"""Which addresses a channel may have.

Administrators may name any service that Apprise knows. Other people only choose where they themselves are reached: what
could read files of the server, or reach what only the server itself reaches, is refused for them.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, parse_qsl, urlsplit

from winslow_dagster.errors import Forbidden, InputRejected
from winslow_dagster.projects.notifications.apprise import check, scheme

LONGEST_ADDRESS = 2000
WITH_SERVER = frozenset({"bark", "form", "gotify", "json", "matrix", "mmost", "ntfy", "rocket", "signal", "xml"})
"""Services whose address names a server; with an `s` at the end, over TLS. Others have a token where that would be."""
FOR_PEOPLE = frozenset(
    {
        *WITH_SERVER,
        *(f"{each}s" for each in WITH_SERVER),
        *(
            "discord",
            "gchat",
            "mailto",
            "mailtos",
            "pbul",
            "pover",
            "simplepush",
            "slack",
            "tgram",
            "twilio",
            "whatsapp",
        ),
        *("workflows", "wxteams", "zulip"),
    }
)
REFUSED = ("attach", "keyfile", "pgp", "redirect", "template")
"""Beginnings of the names of parameters by which services read files of this machine, or follow a server elsewhere."""


def check_address(url: str, *, trusted: bool) -> None:
    """Raise InputRejected for what is no Apprise URL, and Forbidden for what only an administrator may use."""
    if not url.isprintable() or len(url) > LONGEST_ADDRESS:
        raise InputRejected("the address cannot be used", expected=f"a line of at most {LONGEST_ADDRESS} characters")
    check(url)
    if not trusted:
        require_harmless(url)


def require_harmless(url: str) -> None:
    """Raise Forbidden for an address that could do more than reach a person."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in FOR_PEOPLE:
        raise Forbidden(
            "only an administrator may use this service",
            where=scheme(url),
            expected=f"one of {', '.join(sorted(FOR_PEOPLE))}",
        )
    parameters = [(name.lower().lstrip("+-: "), value) for name, value in parse_qsl(parts.query)]
    for name, _ in parameters:
        if name.startswith(REFUSED):
            raise Forbidden(f"only an administrator may use the parameter {name[:40]!r}", where=scheme(url))
    for host in _servers(parts, dict(parameters)):
        for address in _addresses(host):
            if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
                raise Forbidden("only an administrator may send messages to the server itself", where=scheme(url))


def _servers(parts: SplitResult, parameters: dict[str, str]) -> list[str]:
    """The hosts that a service connects to, as far as the address chooses them."""
    kind = parts.scheme.lower()
    chosen = [parameters.get("smtp", ""), parameters.get("host", "")]
    if kind in WITH_SERVER or kind.removesuffix("s") in WITH_SERVER:
        chosen.append(parts.hostname or "")
    if kind in {"mailto", "mailtos"} and not chosen[0]:
        chosen.append(parts.hostname or "")
    return [each for each in chosen if each]


def _addresses(host: str) -> list[IPv4Address | IPv6Address]:
    """All addresses of a host; none if it is unknown, so that nothing can be sent to it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = [ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    return [(isinstance(each, IPv6Address) and each.ipv4_mapped) or each for each in addresses]
