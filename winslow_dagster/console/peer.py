"""Where a request comes from. A proxy's word about that counts only if the proxy is a trusted one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from winslow_dagster.hosts import canonical_host, is_loopback

Network = IPv4Network | IPv6Network
FORWARDED = frozenset({"x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host", "via"})


@dataclass(frozen=True, slots=True)
class Peer:
    """`address` of the browser; whether it speaks https, and whether it runs on this machine without a doubt.

    `proxy`: a trusted one has passed the request on.
    """

    address: str
    secure: bool
    local: bool
    proxy: bool


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from settings, which have been checked."""
    return tuple(map(ip_network, texts))


def peer_of(scope: Scope, trusted: Iterable[Network]) -> Peer:
    """Where the request or the handshake comes from."""
    headers = Headers(scope=scope)
    own = canonical_host((scope.get("client") or ("",))[0]) or ""
    secure = scope["scheme"] in {"https", "wss"}
    if not _among(own, trusted):
        return Peer(own, secure, is_loopback(own) and not FORWARDED & set(headers), proxy=False)
    # Each proxy adds the address that it sees at the end: the last one that is not a proxy of ours is the browser's.
    chain = [text.strip() for value in headers.getlist("x-forwarded-for") for text in value.split(",")]
    addresses = [_address(text) for text in chain]
    address = next((each for each in reversed(addresses) if not _among(each, trusted)), own)
    protocols = [text.strip().lower() for value in headers.getlist("x-forwarded-proto") for text in value.split(",")]
    return Peer(address, secure or protocols[-1:] == ["https"], local=False, proxy=True)


def _address(text: str) -> str:
    """The address in one spelling; empty if it is none."""
    host = canonical_host(text)
    try:
        ip_address(host or "")
    except ValueError:
        return ""
    return host or ""


def _among(host: str, networks: Iterable[Network]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)
