"""Settings: what belongs to you, and, for administrators, the people."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Form, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import changed
from winslow_dagster.console.caller import ROLES, CallerOf, Front, Role
from winslow_dagster.console.rendering import page
from winslow_dagster.console.rest.people import require_no_token
from winslow_dagster.console.room import Room, RowId
from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.accounts.tokens import link_address

room = Room()
Text = Annotated[str, Form()]


def days_of(text: str) -> float | None:
    """A number of days, or None for ever."""
    try:
        return float(text) if text else None
    except ValueError as error:
        raise InputRejected(f"{text[:20]!r} is not a number", where="days", expected="a number of days") from error


def groups_of(text: str) -> list[str]:
    """Names separated by commas or spaces."""
    return text.replace(",", " ").split()


@room.route_for("/settings", role="viewer")
def you(request: Request, front: Front, caller: CallerOf) -> HTMLResponse:
    """Theme, password, log-ins and tokens of the reader."""
    accounts = front.accounts
    known = any(each.name == caller.name for each in accounts.people())
    return page(
        request,
        "settings/you.html",
        tab="you",
        person=accounts.person(caller.name) if known else None,
        sessions=accounts.sessions(caller.name),
        tokens=accounts.tokens(caller.name),
        roles=[role for role in ROLES if caller.may(role)],
    )


@room.route_for("/settings/name", role="viewer", method="POST")
def set_display_name(front: Front, caller: CallerOf, display_name: Text = "") -> Response:
    """Change how the reader is called."""
    front.accounts.set_display_name(caller.name, display_name)
    return changed("Your name was changed.")


@room.route_for("/settings/password", role="viewer", method="POST")
def set_password(front: Front, caller: CallerOf, current: Text = "", password: Text = "") -> Response:
    """Change the reader's password, and log out all other browsers."""
    require_no_token(caller)
    front.accounts.set_password(caller.name, password, current=current, session=caller.session)
    return changed("The password was changed. Your other browsers are logged out.")


@room.route_for("/settings/sessions/{session_id}/end", role="viewer", method="POST")
def end_session(session_id: RowId, front: Front) -> Response:
    """Log a browser out."""
    front.accounts.end_session(session_id)
    return changed("The browser is logged out.")


@room.route_for("/settings/sessions/end-others", role="viewer", method="POST")
def end_other_sessions(front: Front, caller: CallerOf) -> Response:
    """Log out all browsers of the reader but this one."""
    ended = front.accounts.end_sessions(caller.name, but=caller.session)
    return changed(f"{ended} other log-ins have ended." if ended != 1 else "One other log-in has ended.")


@room.route_for("/settings/tokens", role="viewer", method="POST")
def create_token(  # noqa: PLR0913, PLR0917  # the fields of a form
    request: Request, front: Front, caller: CallerOf, label: Text = "", role: Text = "viewer", days: Text = ""
) -> HTMLResponse:
    """Create a token, and show its key this once."""
    require_no_token(caller)
    chosen: Role | None = next((each for each in ROLES if each == role), None)
    new = front.accounts.create_token(caller.name, label, role=chosen, days=days_of(days))
    response = page(request, "settings/new_token.html", new=new)
    response.headers["HX-Trigger"] = json.dumps({"winslow:changed": {}})
    return response


@room.route_for("/settings/tokens/{token_id}/revoke", role="viewer", method="POST")
def revoke_token(token_id: RowId, front: Front) -> Response:
    """Delete a token."""
    token = front.accounts.revoke_token(token_id)
    return changed(f"The token {token.label} is revoked.")


@room.route_for("/settings/people", role="admin")
def people(request: Request, front: Front) -> HTMLResponse:
    """All people."""
    accounts = front.accounts
    return page(
        request,
        "settings/people.html",
        tab="people",
        people=accounts.people(),
        sessions=accounts.sessions(),
        groups=accounts.groups(),
        roles=ROLES,
    )


@room.route_for("/settings/people", role="admin", method="POST")
def add_person(  # noqa: PLR0913, PLR0917  # the fields of a form
    front: Front,
    caller: CallerOf,
    name: Text = "",
    display_name: Text = "",
    role: Text = "viewer",
    password: Text = "",
    groups: Text = "",
) -> Response:
    """Add a person."""
    require_no_token(caller)
    chosen: Role = next((each for each in ROLES if each == role), "viewer")
    front.accounts.add(name, display_name=display_name, role=chosen, password=password or None)
    if groups.strip():
        front.accounts.set_groups(name, groups_of(groups))
    return changed(f"{name} was added.")


@room.route_for("/settings/people/{name}/change", role="admin", method="POST")
def change_person(  # noqa: PLR0913, PLR0917  # the fields of a form
    name: str, front: Front, caller: CallerOf, display_name: Text = "", role: Text = "", groups: Text = ""
) -> Response:
    """Change name, role and groups of a person."""
    require_no_token(caller)
    person = front.accounts.person(name)
    chosen: Role = next((each for each in ROLES if each == role), person.role)
    if chosen != person.role:
        front.accounts.set_role(name, chosen)
    if display_name and display_name != person.display_name:
        front.accounts.set_display_name(name, display_name)
    if sorted(groups_of(groups)) != sorted(person.groups):
        front.accounts.set_groups(name, groups_of(groups))
    return changed(f"{name} was changed.")


@room.route_for("/settings/people/{name}/password", role="admin", method="POST")
def set_persons_password(name: str, front: Front, caller: CallerOf, password: Text = "") -> Response:
    """Set another person's password, and log the person out."""
    require_no_token(caller)
    front.accounts.set_password(name, password, session=caller.session)
    return changed(f"{name} has a new password, and is logged out everywhere.")


@room.route_for("/settings/people/{name}/disable", role="admin", method="POST")
def disable(name: str, front: Front, caller: CallerOf) -> Response:
    """Keep a person out."""
    require_no_token(caller)
    front.accounts.disable(name)
    return changed(f"{name} is disabled, and logged out everywhere.")


@room.route_for("/settings/people/{name}/enable", role="admin", method="POST")
def enable(name: str, front: Front, caller: CallerOf) -> Response:
    """Let a person in again."""
    require_no_token(caller)
    front.accounts.enable(name)
    return changed(f"{name} may log in again.")


@room.route_for("/settings/people/{name}/link", role="admin", method="POST")
def link(name: str, request: Request, front: Front, caller: CallerOf) -> HTMLResponse:
    """Show a link that logs a person in once."""
    require_no_token(caller)
    scheme = "https" if request.scope["winslow.peer"].secure else "http"
    address = link_address(f"{scheme}://{request.headers['host']}", front.accounts.login_link(name))
    return page(request, "settings/new_link.html", name=name, address=address)
