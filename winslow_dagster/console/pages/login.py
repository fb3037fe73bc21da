"""Logging in and out. These pages work without scripts."""

from __future__ import annotations

import getpass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from anyio import CapacityLimiter
from fastapi import Form, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from winslow_dagster.console.access import HEALTH_PATH, LOGIN_PATH
from winslow_dagster.console.caller import CallerOf
from winslow_dagster.console.cookies import forget_session, keep_session
from winslow_dagster.console.oidc import Flow, Provider
from winslow_dagster.console.peer import Peer
from winslow_dagster.console.problems import status_of
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.errors import InputRejected, NotFound, NotLoggedIn, TooManyTries, WinslowError
from winslow_dagster.hosts import is_loopback
from winslow_dagster.projects.accounts.login import Browser
from winslow_dagster.projects.accounts.model import NAME, Identity, Opened
from winslow_dagster.projects.accounts.tokens import LINK_PATH
from winslow_dagster.projects.installation import Installation

PROVIDER_PATH = f"{LOGIN_PATH}/openid"
CALLBACK_PATH = f"{PROVIDER_PATH}/callback"
FLOW_COOKIE = "winslow_login"
FLOW_S = 600
LONGEST_NEXT = 2000
PASSWORDS = CapacityLimiter(2)
"""Comparing a password takes a processor for a while: guesses must not take them all."""

room = Room(threads=PASSWORDS)
Text = Annotated[str, Form()]


def safe_next(target: str) -> str:
    """Where to go after the log-in: a path of this server, whatever the address asks for."""
    parts = urlsplit(target) if target.isprintable() and len(target) <= LONGEST_NEXT else None
    if (
        parts is None
        or parts.scheme
        or parts.netloc
        or not target.startswith("/")
        or target.startswith("//")
        or "\\" in target
        or parts.path == LOGIN_PATH
        or parts.path.startswith(f"{LOGIN_PATH}/")
    ):
        return "/"
    return target


def installation_for_all(request: Request) -> Installation:
    """The installation, for somebody who is not known yet."""
    installation: Installation = request.app.state.installation
    return installation


def browser_of(request: Request) -> Browser:
    """Where the log-in comes from."""
    return Browser(peer(request).address, request.headers.get("user-agent", ""))


def peer(request: Request) -> Peer:
    """Where the request comes from."""
    found: Peer = request.scope["winslow.peer"]
    return found


def logged_in(request: Request, opened: Opened, target: str) -> Response:
    """To the page that was asked for, with the session's cookie."""
    response = RedirectResponse(safe_next(target), HTTPStatus.SEE_OTHER)
    keep_session(response, installation_for_all(request), peer(request), opened.key)
    return response


def may_skip_password(request: Request) -> bool:
    """Whether the browser is on the machine of the server, which no other machine can reach."""
    return peer(request).local and is_loopback(installation_for_all(request).settings.bind)


def login_page(request: Request, target: str, *, name: str = "", error: WinslowError | None = None) -> Response:
    """The page with the form."""
    provider: Provider | None = request.app.state.provider
    status = HTTPStatus.OK if error is None else status_of(error)
    response = page(
        request,
        "login.html",
        status=status,
        next=safe_next(target),
        name=name if NAME.fullmatch(name) else "",
        error=error,
        provider=None if provider is None else provider.host,
        nobody=not installation_for_all(request).accounts.anybody(),
    )
    if isinstance(error, TooManyTries):
        response.headers["Retry-After"] = str(error.wait_s)
    return response


@room.route_for(HEALTH_PATH, role="anyone")
async def healthz() -> PlainTextResponse:
    """Says that the server answers, and nothing else."""
    return PlainTextResponse("ok\n")


@room.route_for(LOGIN_PATH, role="anyone")
def show_login(request: Request, next: str = "/") -> Response:  # noqa: A002  # the name in the address
    """The log-in; who is logged in already goes on."""
    if request.scope["winslow.caller"] is not None:
        return RedirectResponse(safe_next(next), HTTPStatus.SEE_OTHER)
    return login_page(request, next)


@room.route_for(LOGIN_PATH, role="anyone", method="POST")
def log_in(request: Request, name: Text = "", password: Text = "", next: Text = "/") -> Response:  # noqa: A002
    """Log in by name and password."""
    try:
        opened = installation_for_all(request).accounts.login.by_password(name, password, browser_of(request))
    except NotLoggedIn as error:
        return login_page(request, next, name=name.strip().lower(), error=error)
    return logged_in(request, opened, next)


@room.route_for("/logout", role="viewer", method="POST")
def log_out(request: Request, caller: CallerOf) -> Response:
    """End the session of this browser."""
    identity = Identity(caller.name, caller.display_name, caller.role, session=caller.session)
    installation_for_all(request).accounts.login.log_out(identity, caller.host)
    response = RedirectResponse(LOGIN_PATH, HTTPStatus.SEE_OTHER)
    forget_session(response, installation_for_all(request))
    return response


def link_page(
    request: Request, key: str, target: str, *, name: str = "", error: WinslowError | None = None
) -> Response:
    """What a link offers: to log in, or to become the first administrator."""
    accounts = installation_for_all(request).accounts
    try:
        person = accounts.login.link_target(key).person
    except NotLoggedIn as problem:
        return login_page(request, target, error=problem)
    return page(
        request,
        "link.html",
        status=HTTPStatus.OK if error is None else status_of(error),
        key=key,
        next=safe_next(target),
        person=person,
        name=name or getpass.getuser().lower(),
        error=error,
        local=may_skip_password(request),
    )


@room.route_for(LINK_PATH, role="anyone")
def show_link(request: Request, key: str = "", next: str = "/") -> Response:  # noqa: A002
    """The page of a link. Only its form uses the link up: browsers and mail programs fetch addresses by themselves."""
    if request.scope["winslow.caller"] is not None:
        return RedirectResponse(safe_next(next), HTTPStatus.SEE_OTHER)
    return link_page(request, key, next)


@room.route_for(LINK_PATH, role="anyone", method="POST")
def follow_link(  # noqa: PLR0913, PLR0917  # the fields of a form
    request: Request,
    key: Text = "",
    next: Text = "/",  # noqa: A002
    name: Text = "",
    password: Text = "",
    without_password: Text = "",
) -> Response:
    """Log in by a link; the first person says how he wants to be called."""
    login = installation_for_all(request).accounts.login
    try:
        if login.link_target(key).person is not None:
            return logged_in(request, login.by_link(key, browser_of(request)), next)
        if without_password and not may_skip_password(request):
            raise InputRejected(
                "without a password, people log in only on the machine of the server", expected="a password"
            )
        chosen = None if without_password else password
        return logged_in(request, login.first(key, name, chosen, browser_of(request)), next)
    except WinslowError as error:
        return link_page(request, key, next, name=name, error=error)


def provider_of(request: Request) -> Provider:
    """The OpenID provider. Raises NotFound."""
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFound("there is no OpenID provider", where=request.url.path, remedy="Set WINSLOW_OIDC_ISSUER")
    return provider


@room.route_for(PROVIDER_PATH, role="anyone")
def go_to_provider(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Send the browser to the OpenID provider."""
    scheme = "https" if peer(request).secure else "http"
    flow = Flow.begin(f"{scheme}://{request.headers['host']}{CALLBACK_PATH}", safe_next(next))
    try:
        response = RedirectResponse(provider_of(request).address(flow), HTTPStatus.SEE_OTHER)
    except WinslowError as error:
        return login_page(request, next, error=error)
    response.set_cookie(
        FLOW_COOKIE,
        flow.text(),
        max_age=FLOW_S,
        path=PROVIDER_PATH,
        secure=peer(request).secure,
        httponly=True,
        samesite="lax",
    )
    return response


@room.route_for(CALLBACK_PATH, role="anyone")
def return_from_provider(request: Request) -> Response:
    """Log in by what the browser brings back from the OpenID provider."""
    target = "/"
    try:
        provider = provider_of(request)
        flow = Flow.read(request.cookies.get(FLOW_COOKIE, ""))
        target = flow.next
        vouched = provider.finish(flow, dict(request.query_params))
        opened = installation_for_all(request).accounts.login.by_provider(vouched, browser_of(request))
    except WinslowError as error:
        response = login_page(request, target, error=error)
    else:
        response = logged_in(request, opened, target)
    response.delete_cookie(FLOW_COOKIE, path=PROVIDER_PATH, httponly=True, samesite="lax")
    return response
