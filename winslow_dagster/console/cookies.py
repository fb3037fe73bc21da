"""The cookies of log-ins. A cookie of 127.0.0.1 goes to every port: the name tells the installation's from others."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from winslow_dagster.console.peer import Peer
from winslow_dagster.projects.installation import Installation

HOST_PREFIX = "__Host-"
"""Browsers accept such a cookie over https only, for this host alone: no neighbour can plant one."""


def cookie_name(installation: Installation, *, secure: bool) -> str:
    """The name of the session's cookie."""
    name = f"winslow_{installation.context.records.database.installation_id[:8]}"
    return f"{HOST_PREFIX}{name}" if secure else name


def session_key(headers: Headers, installation: Installation, peer: Peer) -> str:
    """The session's key that the browser has sent; empty if there is none."""
    cookies: dict[str, str] = {}
    for header in headers.getlist("cookie"):
        cookies |= cookie_parser(header)
    return cookies.get(cookie_name(installation, secure=peer.secure), "")


def keep_session(response: Response, installation: Installation, peer: Peer, key: str) -> None:
    """Have the browser send the key with each request of ours. No script can read it."""
    response.set_cookie(
        cookie_name(installation, secure=peer.secure),
        key,
        max_age=int(installation.settings.access.session_days * 86_400),
        path="/",
        secure=peer.secure,
        httponly=True,
        samesite="lax",
    )


def forget_session(response: Response, installation: Installation) -> None:
    """Have the browser forget the key, however it was kept."""
    for secure in (True, False):
        name = cookie_name(installation, secure=secure)
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
