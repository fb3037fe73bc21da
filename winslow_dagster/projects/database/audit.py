"""The audit trail: who did what, when, to which project, from where. Entries are only ever added."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.actor import Actor

MOST_SHOWN = 1000


class AuditEntry(BaseModel):
    """One action, with its arguments in `details`."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    who: str
    via: str
    host: str
    project: str | None
    action: str
    details: dict[str, Any]


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

    def entries(
        self, project: str | None = None, *, who: str | None = None, limit: int = MOST_SHOWN
    ) -> tuple[AuditEntry, ...]:
        """The latest entries first: of all projects or one, of everybody or one person."""
        table = schema.audit
        query = select(*(table.c[name] for name in AuditEntry.model_fields)).order_by(table.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(table.c.project == project)
        if who is not None:
            query = query.where(table.c.who == who)
        with self._database.reading() as connection:
            return tuple(AuditEntry(**row) for row in connection.execute(query).mappings())
