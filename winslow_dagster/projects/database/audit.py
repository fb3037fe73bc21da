"""Who did what, when, to which project, from where. Only ever added to."""

from __future__ import annotations

import getpass
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database

MOST_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person (or a sensor) by name, through which door, on which machine."""

    who: str = field(default_factory=getpass.getuser)
    via: str = "python"
    host: str = field(default_factory=platform.node)


class AuditEntry(BaseModel):
    """One thing that somebody did. `details` say with what."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    who: str
    via: str
    host: str
    project: str | None
    action: str
    details: dict[str, Any]


class Audit:
    """The trail. Raises ServiceUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, actor: Actor, action: str, project: str | None = None, **details: Any) -> None:
        """Keep that the actor has done this."""
        said = {name: value for name, value in details.items() if value not in (None, "", {}, [], ())}
        row = {
            "at": datetime.now(UTC),
            "who": actor.who,
            "via": actor.via,
            "host": actor.host,
            "project": project,
            "action": action,
            "details": said,
        }
        with self._database.writing() as connection:
            connection.execute(schema.audit.insert().values(row))

    def entries(
        self, project: str | None = None, *, who: str | None = None, limit: int = MOST_SHOWN
    ) -> tuple[AuditEntry, ...]:
        """The latest entries first: of all projects or of one, of everybody or of one person."""
        table = schema.audit
        query = select(*(table.c[name] for name in AuditEntry.model_fields)).order_by(table.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(table.c.project == project)
        if who is not None:
            query = query.where(table.c.who == who)
        with self._database.reading() as connection:
            return tuple(AuditEntry(**row) for row in connection.execute(query).mappings())
