"""Refuses requests that a foreign web page makes a person's browser send.

There are two kinds. A page of another site sends requests to this server; the browser then says where they come from
(`Origin`, `Sec-Fetch-Site`). Or the page's own host name is made to lead to this server (DNS rebinding); then only
`Host` tells. Programs send neither `Origin` nor `Sec-Fetch-Site` and are not affected if they use a known host.

Browsers send `Sec-Fetch-*` only over https and to this machine. Over plain http in a network, `Origin` remains. It
comes with everything but simple GET requests, which change nothing here and whose answers the page cannot read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from winslow_dagster.hosts import is_loopback, split_authority

DEFAULT_PORTS = {"http": 80, "https": 443}
OWN_PAGES = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: `none` is a person's own doing, such as a bookmark."""
LONGEST_QUOTE = 100

BAD_REQUEST = 400
FORBIDDEN = 403
MISDIRECTED = 421


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered, for the person who sees it in a browser, a log or a terminal."""

    status: int
    text: str


class Guard:
    """An ASGI application around another, for HTTP and WebSocket. `allowed_hosts` are canonical, beside loopback."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed_hosts = frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = refusal_of(scope, self._allowed_hosts)
        if refusal is None:
            await self._app(scope, receive, _not_embeddable(send))
            return
        # For a WebSocket, the server turns this into an answer to the handshake.
        await PlainTextResponse(f"{refusal.text}\n", refusal.status)(scope, receive, send)


def refusal_of(scope: Scope, allowed_hosts: frozenset[str]) -> Refusal | None:
    """Why a request or the handshake of a WebSocket must not be answered. None if it may be."""
    headers = Headers(scope=scope)
    for name in ("host", "origin"):
        if len(headers.getlist(name)) > 1:
            return Refusal(BAD_REQUEST, f"The request was refused: it has more than one {name.title()} header.")
    return _unknown_host(headers, allowed_hosts) or _foreign_origin(headers) or _foreign_fetch(scope, headers)


def _unknown_host(headers: Headers, allowed_hosts: frozenset[str]) -> Refusal | None:
    authority = split_authority(headers.get("host", ""))
    if authority is None:
        return Refusal(
            BAD_REQUEST,
            f"The request was refused: expected a Host header with a name or an address, {_quoted(headers, 'host')}.",
        )
    host, _ = authority
    if is_loopback(host) or host in allowed_hosts:
        return None
    return Refusal(
        MISDIRECTED,
        f"The request was refused: {host} is not a known name of this server. "
        "If people reach it by this name, add the name to WINSLOW_ALLOWED_HOSTS and restart the services.",
    )


def _foreign_origin(headers: Headers) -> Refusal | None:
    """Compares host and port only: behind a proxy, this server cannot know whether the browser used https."""
    origin = headers.get("origin")
    if origin is None:
        return None
    scheme, _, authority = origin.partition("://")
    port = DEFAULT_PORTS.get(scheme.lower())
    if port is not None:
        theirs, ours = split_authority(authority), split_authority(headers["host"])
        if theirs is not None and ours is not None and _with_port(theirs, port) == _with_port(ours, port):
            return None
    return Refusal(
        FORBIDDEN,
        f"The request was refused: it was sent by a page of another site, {_quoted(headers, 'origin')}, to "
        f"{headers['host']}. A proxy in front of this server must pass on the Host header of the browser.",
    )


def _foreign_fetch(scope: Scope, headers: Headers) -> Refusal | None:
    if headers.get("sec-fetch-site", "none") in OWN_PAGES or _follows_link(scope, headers):
        return None
    return Refusal(
        FORBIDDEN,
        "The request was refused: it was sent by a page of another site. Other sites may only link to pages here.",
    )


def _follows_link(scope: Scope, headers: Headers) -> bool:
    """Whether a person opens a page, as a whole, from another site."""
    opens = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return opens and scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}


def _with_port(authority: tuple[str, int | None], default: int) -> tuple[str, int]:
    host, port = authority
    return host, default if port is None else port


def _quoted(headers: Headers, name: str) -> str:
    value = headers.get(name)
    return "but there is none" if value is None else f"{name.title()}: {value[:LONGEST_QUOTE]!a}"


def _not_embeddable(send: Send) -> Send:
    """Adds headers that keep other sites from embedding answers: clicks in a hidden frame would count, too."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            # A policy of its own: browsers apply it beside the one that a page may have.
            headers.append("Content-Security-Policy", "frame-ancestors 'self'")
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        await send(message)

    return send_with_headers
