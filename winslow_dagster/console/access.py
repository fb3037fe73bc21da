"""Finds out who sends a request, and answers nobody else.

Without a proof only the log-in, what its page loads, the health check, and what somebody has shared by a link are
served. A browser sends its session's cookie, and a proxy its header, also for requests that a foreign page has caused:
such a request may change something only if it says that it comes from a page of this server.
"""

from __future__ import annotations

import contextlib
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from winslow_dagster.console.caller import Caller
from winslow_dagster.console.cookies import session_key
from winslow_dagster.console.peer import Peer, networks_of, peer_of
from winslow_dagster.console.problems import json_problem, status_of
from winslow_dagster.console.ranged import Broken
from winslow_dagster.engines.slurm.messages import PATH as AGENTS_PATH
from winslow_dagster.errors import Forbidden, NotLoggedIn, WinslowError
from winslow_dagster.projects.accounts.login import Vouched
from winslow_dagster.projects.accounts.model import Identity
from winslow_dagster.projects.dagster_api.credential import is_key
from winslow_dagster.projects.domain.shares import SHARE_PATH
from winslow_dagster.projects.installation import Installation

LOGIN_PATH = "/login"
HEALTH_PATH = "/healthz"
OPEN_PATHS = frozenset({LOGIN_PATH, HEALTH_PATH})
AGENTS_PREFIX = f"{AGENTS_PATH}/"
OPEN_PREFIXES = (f"{LOGIN_PATH}/", "/static/", f"{SHARE_PATH}/", AGENTS_PREFIX)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CHECK_AGAIN_S = 5.0
"""How long after its end a session may still get what a connection, opened before, sends it."""
UNAUTHORIZED = 4401
"""The code with which Dagster's pages expect a WebSocket to be closed for want of a log-in."""
THREADS = CapacityLimiter(8)


class SessionEnded(OSError):
    """Nothing more may be sent. Servers use OSError to say that the other end of a connection has gone."""


class Access:
    """An ASGI application around another. It puts the `Caller` into the scope as `winslow.caller`, or None."""

    def __init__(self, app: ASGIApp, installation: Installation) -> None:
        self._app = app
        self._installation = installation
        self._settings = installation.settings.access
        self._trusted = networks_of(self._settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or send its sender to the log-in."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        peer = peer_of(scope, self._trusted)
        scope["winslow.peer"] = peer
        try:
            caller = await to_thread.run_sync(self._caller, scope, peer, limiter=THREADS)
            if caller is None and not is_open(scope["path"]):
                raise NotLoggedIn("nobody is logged in", remedy="Log in, or send a token")
            if caller is not None and caller.proof in {"session", "proxy"}:
                require_own_page(scope)
        except WinslowError as error:
            await refuse(error, scope, receive, send)
            return
        scope["winslow.caller"] = caller
        # What the application makes of the end of a connection is no error: nothing is to be sent any more.
        with contextlib.suppress(SessionEnded, ClientDisconnect, Broken):
            await self._app(scope, receive, send if caller is None else self._while_logged_in(scope, peer, send))

    def _caller(self, scope: Scope, peer: Peer) -> Caller | None:
        """Who sends the request. Raises NotLoggedIn for a wrong token and a person who may not come in."""
        if scope["path"].startswith(("/static/", AGENTS_PREFIX)) or scope["path"] == HEALTH_PATH:
            return None  # Agents on other machines have keys of their own, which their routes check.
        headers = Headers(scope=scope)
        login = self._installation.accounts.login
        if "authorization" in headers:
            return self._bearer(headers["authorization"], peer)
        if peer.proxy and self._settings.by_proxy and (vouched := self._vouched(headers)) is not None:
            return _as_caller(login.by_proxy(vouched), peer, proof="proxy")
        key = session_key(headers, self._installation, peer)
        identity = login.session(key) if key else None
        return None if identity is None else _as_caller(identity, peer, proof="session")

    def _bearer(self, authorization: str, peer: Peer) -> Caller:
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() == "bearer" and key:
            if is_key(self._installation.settings, key):
                return Caller("services", "admin", peer.address, proof="service")
            identity = self._installation.accounts.login.token(key, peer.address)
            if identity is not None:
                return _as_caller(identity, peer, proof="token")
        raise NotLoggedIn("the token is not valid", expected="a header Authorization: Bearer TOKEN")

    def _vouched(self, headers: Headers) -> Vouched | None:
        names = headers.getlist(self._settings.proxy_user_header)
        if not names or not names[0].strip():
            return None
        if len(names) > 1:
            raise NotLoggedIn("the proxy names several people")
        role = None
        if self._settings.proxy_role_header:
            texts = headers.getlist(self._settings.proxy_role_header)
            role = self._settings.role_of(name.strip() for text in texts for name in text.split(","))
            # Who has lost all roles at the provider keeps none here.
            role = role or "viewer"
        return Vouched(names[0].strip().lower(), role=role)

    def _while_logged_in(self, scope: Scope, peer: Peer, send: Send) -> Send:
        """A `send` that ends a long answer or a WebSocket soon after its session has ended or its token is revoked."""
        checked_at = time.monotonic()

        def still_valid() -> bool:
            try:
                return self._caller(scope, peer) is not None
            except NotLoggedIn:
                return False

        async def send_while_logged_in(message: Message) -> None:
            nonlocal checked_at
            if time.monotonic() - checked_at > CHECK_AGAIN_S:
                checked_at = time.monotonic()
                if not await to_thread.run_sync(still_valid, limiter=THREADS):
                    if scope["type"] == "websocket":
                        await send({"type": "websocket.close", "code": UNAUTHORIZED})
                    raise SessionEnded
            await send(message)

        return send_while_logged_in


def _as_caller(identity: Identity, peer: Peer, **proof: Any) -> Caller:
    return Caller(
        identity.person, identity.role, peer.address, identity.display_name, session=identity.session, **proof
    )


def is_open(path: str) -> bool:
    """Whether a path is served to everybody."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


def require_own_page(scope: Scope) -> None:
    """Raise Forbidden if the request may change something and does not say that a page of this server has sent it.

    The guard has compared `Origin` with `Host`. Browsers send it with every such request.
    """
    headers = Headers(scope=scope)
    changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
    if changes and "origin" not in headers and headers.get("sec-fetch-site") != "same-origin":
        raise Forbidden(
            "the request does not say which page has sent it",
            where=scope["path"],
            expected="a header Origin, as browsers send it",
            remedy="Programs use a token",
        )


async def refuse(error: WinslowError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the error: a page leads to the log-in, a program gets a problem, a WebSocket is closed."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": UNAUTHORIZED, "reason": error.what})
        return
    request = Request(scope, receive)
    response: Response
    if isinstance(error, NotLoggedIn) and _wants_page(request):
        target = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        response = RedirectResponse(f"{LOGIN_PATH}?next={quote(target, safe='/')}", HTTPStatus.SEE_OTHER)
    else:
        response = json_problem(status_of(error), error.problem(), str(error))
        if isinstance(error, NotLoggedIn):
            response.headers["WWW-Authenticate"] = "Bearer"
            if "hx-request" in request.headers:
                # The page is loaded again, and leads to the log-in.
                response.headers["HX-Refresh"] = "true"
    response.headers["Cache-Control"] = "no-store"
    await response(scope, receive, send)


def _wants_page(request: Request) -> bool:
    return (
        request.method in {"GET", "HEAD"}
        and "hx-request" not in request.headers
        and "authorization" not in request.headers
        and not request.url.path.startswith("/api/")
        and "text/html" in request.headers.get("accept", "text/html")
    )
