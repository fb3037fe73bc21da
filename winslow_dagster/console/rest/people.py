"""People, groups, log-ins and tokens, and owners of projects."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from winslow_dagster.console.caller import Caller, CallerOf, Front
from winslow_dagster.console.room import Room, RowId
from winslow_dagster.errors import Forbidden, InputRejected
from winslow_dagster.projects.accounts.model import Group, NewToken, Person, Session, Token
from winslow_dagster.projects.domain.actor import Role
from winslow_dagster.projects.domain.views import Me

room = Room(tags=["people"])


class Body(BaseModel):
    """What a request brings; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class NewPerson(Body):
    """A person to add. Without a password, the person logs in by a link or through an OpenID provider."""

    name: str
    display_name: str = ""
    role: Role = "viewer"
    password: SecretStr | None = None


class PersonChange(Body):
    """What is to change; everything else stays."""

    display_name: str | None = None
    role: Role | None = None
    groups: list[str] | None = None
    disabled: bool | None = None
    password: SecretStr | None = None
    current_password: SecretStr | None = Field(default=None, description="Needed for a new password of your own.")


class TokenRequest(Body):
    """A token to create. `person` is the sender by default, `role` that of the person."""

    label: str
    person: str | None = None
    role: Role | None = None
    days: float | None = Field(default=None, description="Days until it expires; never by default.")


class Owner(BaseModel):
    """Who may act on a project: the owner and the members of the group; without a group, every operator."""

    owner: str
    group: str | None


class OwnerChange(Body):
    """What is to change. An empty group is none."""

    owner: str | None = None
    group: str | None = None


def require_no_token(caller: Caller) -> None:
    """Raise Forbidden for a token: one that was stolen must not outlive its revocation by making others."""
    if caller.proof == "token":
        raise Forbidden("a token cannot do this", where=f"token of {caller.name}", remedy="Log in with a browser")


@room.route_for("/me", role="viewer")
async def me(caller: CallerOf) -> Me:
    """Who sends the request."""
    return Me(name=caller.name, display_name=caller.shown, role=caller.role, proof=caller.proof)


@room.route_for("/people", role="viewer")
def people(front: Front) -> tuple[Person, ...]:
    """All people, by name."""
    return front.accounts.people()


@room.route_for("/people", role="admin", method="POST", status_code=HTTPStatus.CREATED)
def add_person(body: NewPerson, front: Front, caller: CallerOf) -> Person:
    """Add a person."""
    require_no_token(caller)
    password = None if body.password is None else body.password.get_secret_value()
    return front.accounts.add(body.name, display_name=body.display_name, role=body.role, password=password)


@room.route_for("/people/{name}", role="viewer")
def person(name: str, front: Front) -> Person:
    """One person."""
    return front.accounts.person(name)


@room.route_for("/people/{name}", role="viewer", method="PATCH")
def change_person(name: str, body: PersonChange, front: Front, caller: CallerOf) -> Person:
    """Change a person. Everybody may change his own password and display name, administrators everything."""
    require_no_token(caller)
    accounts = front.accounts
    if body.display_name is not None:
        accounts.set_display_name(name, body.display_name)
    if body.role is not None:
        accounts.set_role(name, body.role)
    if body.groups is not None:
        accounts.set_groups(name, body.groups)
    if body.password is not None:
        current = None if body.current_password is None else body.current_password.get_secret_value()
        accounts.set_password(name, body.password.get_secret_value(), current=current, session=caller.session)
    if body.disabled is not None:
        accounts.disable(name) if body.disabled else accounts.enable(name)
    return accounts.person(name)


@room.route_for("/groups", role="viewer")
def groups(front: Front) -> tuple[Group, ...]:
    """All groups with their members, by name."""
    return front.accounts.groups()


Whose = Annotated[str | None, Query(description="A person; by default the sender; `*` for all people.")]


def whose(person: str | None, caller: Caller) -> str | None:
    """The person whose things are asked for; None for everybody's."""
    return None if person == "*" else person or caller.name


@room.route_for("/sessions", role="viewer")
def sessions(front: Front, caller: CallerOf, person: Whose = None) -> tuple[Session, ...]:
    """The browsers that are logged in, the one used last first."""
    return front.accounts.sessions(whose(person, caller))


@room.route_for("/sessions/{session_id}", role="viewer", method="DELETE")
def end_session(session_id: RowId, front: Front) -> Session:
    """Log a browser out."""
    return front.accounts.end_session(session_id)


@room.route_for("/tokens", role="viewer")
def tokens(front: Front, caller: CallerOf, person: Whose = None) -> tuple[Token, ...]:
    """The tokens of programs, the newest first, without their keys."""
    return front.accounts.tokens(whose(person, caller))


@room.route_for("/tokens", role="viewer", method="POST", status_code=HTTPStatus.CREATED)
def create_token(body: TokenRequest, front: Front, caller: CallerOf) -> NewToken:
    """Create a token. Its key is in this answer only."""
    require_no_token(caller)
    return front.accounts.create_token(body.person or caller.name, body.label, role=body.role, days=body.days)


@room.route_for("/tokens/{token_id}", role="viewer", method="DELETE")
def revoke_token(token_id: RowId, front: Front) -> Token:
    """Delete a token."""
    return front.accounts.revoke_token(token_id)


@room.route_for("/projects/{project}/owner", role="viewer")
def owner(project: str, front: Front) -> Owner:
    """Who may act on a project."""
    return Owner(**front.project(project).owner()._asdict())


@room.route_for("/projects/{project}/owner", role="operator", method="PUT")
def give(project: str, body: OwnerChange, front: Front) -> Owner:
    """Give a project another owner or group. Only its owner and administrators may."""
    if body.owner is None and body.group is None:
        raise InputRejected("nothing is to change", where="the request", expected="an owner, a group, or both")
    return Owner(**front.project(project).give(body.owner, group=body.group)._asdict())
