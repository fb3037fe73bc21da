"""Who sends a request, and the installation acting as that person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from winslow_dagster.errors import Forbidden
from winslow_dagster.projects.domain.actor import ROLES, Actor, Role, at_least
from winslow_dagster.projects.domain.views import Proof
from winslow_dagster.projects.installation import Installation

__all__ = ["ROLES", "Caller", "CallerOf", "Front", "Proof", "Role", "caller_of", "installation_of"]


@dataclass(frozen=True, slots=True)
class Caller:
    """A person who has logged in, or a program with a token of theirs. `host` is where the request comes from."""

    name: str
    role: Role
    host: str = ""
    display_name: str = ""
    proof: Proof = "session"
    session: int | None = None

    @property
    def shown(self) -> str:
        """The name for people."""
        return self.display_name or self.name

    def may(self, role: Role) -> bool:
        """Whether the caller has at least this role."""
        return at_least(self.role, role)


def require(caller: Caller, role: Role, where: str) -> None:
    """Raise Forbidden if the caller has not at least this role."""
    if not caller.may(role):
        raise Forbidden(
            f"{caller.name} is a {caller.role}, and this needs the role {role}",
            where=where,
            remedy="Ask an administrator for it",
        )


def caller_of(request: Request) -> Caller:
    """Who sends the request. The middleware in front of every route has found that out."""
    caller: Caller = request.scope["winslow.caller"]
    return caller


def installation_of(request: Request) -> Installation:
    """The installation, acting as the sender of the request: the audit trail names the person."""
    installation: Installation = request.app.state.installation
    caller = caller_of(request)
    return installation.acting_as(Actor(caller.name, "console", caller.host, caller.role))


async def _caller(request: Request) -> Caller:
    return caller_of(request)


async def _installation(request: Request) -> Installation:
    return installation_of(request)


# Asynchronous, so that they take no thread.
CallerOf = Annotated[Caller, Depends(_caller)]
Front = Annotated[Installation, Depends(_installation)]
