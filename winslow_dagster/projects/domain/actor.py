"""Who acts, and what each role may do."""

from __future__ import annotations

import getpass
import platform
from dataclasses import dataclass, field

from winslow_dagster.errors import Forbidden
from winslow_dagster.settings import ROLES, Role

__all__ = ["ROLES", "Actor", "Role", "at_least"]


def at_least(role: Role, needed: Role) -> bool:
    """Whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(needed)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a sensor, by name; through which door (cli, python, sensor, console), and on which machine.

    `role` is None for those who have the installation's files: nothing could be kept from them.
    """

    who: str = field(default_factory=getpass.getuser)
    via: str = "python"
    host: str = field(default_factory=platform.node)
    role: Role | None = None

    @property
    def unlimited(self) -> bool:
        """Whether everything is allowed."""
        return self.role in {None, "admin"}

    def require(self, needed: Role, where: str = "") -> None:
        """Raise Forbidden if the role is a lesser one."""
        if self.role is not None and not at_least(self.role, needed):
            raise Forbidden(
                f"{self.who} has the role {self.role}, and this needs the role {needed}",
                where=where,
                remedy="Ask an administrator for it",
            )
