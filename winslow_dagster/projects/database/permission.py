"""Who may act on a project: its owner and the members of its group; without a group, every operator."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import or_, select

from winslow_dagster.errors import Forbidden
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_any_project, hold_project
from winslow_dagster.projects.domain.actor import Actor


class Permissions:
    """Owners and groups of projects. All methods raise NotFound for a project that does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def require_may_act(self, actor: Actor, project: str) -> None:
        """Raise Forbidden if the actor may only look at the project, ProjectDeleted if it was deleted."""
        self.require_permission(actor, project)
        with self._database.reading() as connection:
            hold_project(connection, project)

    def require_permission(self, actor: Actor, project: str) -> None:
        """Raise Forbidden if the actor may only look at the project, deleted or not."""
        actor.require("operator", f"project {project}")
        if actor.unlimited:
            return
        if not self.may_act(actor, project):
            owner, group = self.of(project)
            raise Forbidden(
                f"{actor.who} does not belong to the group {group}",
                where=f"project {project}",
                remedy=f"Ask its owner, {owner}, or an administrator",
            )

    def may_act(self, actor: Actor, project: str) -> bool:
        """Whether the actor, who is an operator, may act on the project."""
        with self._database.reading() as connection:
            hold_any_project(connection, project)
        return project in self.may_act_on(actor, (project,))

    def may_act_on(self, actor: Actor, projects: Iterable[str]) -> frozenset[str]:
        """Those of the projects that the actor may act on."""
        names = tuple(projects)
        if actor.unlimited:
            return frozenset(names)
        if actor.role == "viewer":
            return frozenset()
        table, members = schema.projects, schema.memberships
        own_groups = select(members.c.group).where(members.c.person == actor.who)
        allowed = or_(table.c.group.is_(None), table.c.owner == actor.who, table.c.group.in_(own_groups))
        with self._database.reading() as connection:
            query = select(table.c.name).where(table.c.name.in_(names), allowed)
            return frozenset(connection.execute(query).scalars())

    def may_act_on_all(self, person: str) -> bool:
        """Whether the person, who is an operator, may act on every project."""
        table, members = schema.projects, schema.memberships
        own_groups = select(members.c.group).where(members.c.person == person)
        others = select(table.c.name).where(
            table.c.group.is_not(None), table.c.owner != person, table.c.group.not_in(own_groups)
        )
        with self._database.reading() as connection:
            return connection.execute(others.limit(1)).first() is None

    def of(self, project: str) -> tuple[str, str | None]:
        """Owner and group of the project."""
        table = schema.projects
        with self._database.reading() as connection:
            hold_any_project(connection, project)
            row = connection.execute(select(table.c.owner, table.c.group).where(table.c.name == project)).one()
        return row.owner, row.group

    def give(self, project: str, *, owner: str, group: str | None) -> None:
        """Replace owner and group."""
        table = schema.projects
        with self._database.writing() as connection:
            hold_project(connection, project)
            connection.execute(table.update().where(table.c.name == project).values(owner=owner, group=group))
