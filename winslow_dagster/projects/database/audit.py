"""The audit trail: who did what, when, to which project, from where. Entries are only ever added."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.audit import MOST_SHOWN, AuditChoices, AuditEntry, AuditPage, AuditQuery


class Audit:
    """The audit trail. Raises ServiceUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, actor: Actor, action: str, project: str | None = None, **details: Any) -> None:
        """Record an action. Empty details are left out."""
        given = {name: value for name, value in details.items() if value not in (None, "", {}, [], ())}
        row = {
            "at": datetime.now(UTC),
            "who": actor.who,
            "via": actor.via,
            "host": actor.host,
            "project": project,
            "action": action,
            "details": given,
        }
        with self._database.writing() as connection:
            connection.execute(schema.audit.insert().values(row))

    def entries(self, project: str | None = None) -> tuple[AuditEntry, ...]:
        """The latest entries first, of all projects or one."""
        return self.find(AuditQuery(project=project, limit=MOST_SHOWN)).entries

    def find(self, query: AuditQuery) -> AuditPage:
        """One page of the entries that match, the latest first."""
        table = schema.audit
        conditions: list[ColumnElement[bool]] = [
            table.c[name] == value
            for name in ("project", "who", "action")
            if (value := getattr(query, name)) is not None
        ]
        if query.since is not None:
            conditions.append(table.c.at >= query.since)
        if query.until is not None:
            conditions.append(table.c.at < query.until)
        if query.before is not None:
            conditions.append(table.c.id < query.before)
        columns = (table.c[name] for name in AuditEntry.model_fields)
        # One more than asked for: then there is another page.
        found = select(*columns).where(*conditions).order_by(table.c.id.desc()).limit(query.limit + 1)
        with self._database.reading() as connection:
            entries = tuple(AuditEntry(**row) for row in connection.execute(found).mappings())
        shown = entries[: query.limit]
        return AuditPage(entries=shown, before=shown[-1].id if len(entries) > len(shown) else None)

    def choices(self) -> AuditChoices:
        """The people and the actions that there are, by name."""
        with self._database.reading() as connection:
            people, actions = (
                tuple(connection.execute(select(column).distinct().order_by(column)).scalars())
                for column in (schema.audit.c.who, schema.audit.c.action)
            )
        return AuditChoices(people=people, actions=actions)
