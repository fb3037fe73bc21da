"""What the asset graph has to be told: the projects of each pipeline, and input versions as they were added."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import and_, or_, select, union

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.projects_and_inputs import INPUT, input_version
from winslow_dagster.projects.domain.model import InputVersion

SETTLED_AFTER = timedelta(seconds=10)
"""A transaction that adds an input takes milliseconds, so that nothing older than this can still appear."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The position of a reader: the last input version that it has read."""

    added_at: datetime
    project: str
    name: str
    version: int

    @classmethod
    def of(cls, added: InputVersion) -> Self:
        """The position after this input version."""
        return cls(added.added_at, added.project, added.name, added.version)

    def __str__(self) -> str:
        return f"{self.added_at.isoformat()} {self.project} {self.name} {self.version}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text form. Raises ValueError."""
        added_at, project, name, version = text.split(" ")
        return cls(datetime.fromisoformat(added_at), project, name, int(version))


@dataclass(frozen=True, slots=True)
class NewInput:
    """An input version, and its project's current pipeline."""

    added: InputVersion
    pipeline: str


def new_inputs(database: Database, after: Mark | None, until: datetime, most: int) -> tuple[NewInput, ...]:
    """Up to `most` input versions after the mark that were added before `until`."""
    table = schema.inputs
    order = (table.c.added_at, table.c.project, table.c.name, table.c.version)
    query = select(*INPUT, schema.projects.c.pipeline).join(schema.projects, schema.projects.c.name == table.c.project)
    query = query.where(table.c.added_at < until, schema.LIVE)
    if after is not None:
        # Spelled out, because SQLite loses the column types of a row comparison.
        at, project, name, version = after.added_at, after.project, after.name, after.version
        same_file = and_(table.c.name == name, table.c.version > version)
        same_project = and_(table.c.project == project, or_(table.c.name > name, same_file))
        same_time = and_(table.c.added_at == at, or_(table.c.project > project, same_project))
        query = query.where(or_(table.c.added_at > at, same_time))
    with database.reading() as connection:
        rows = connection.execute(query.order_by(*order).limit(most)).mappings().all()
    return tuple(NewInput(input_version(row), row["pipeline"]) for row in rows)


def projects_by_pipeline(database: Database) -> dict[str, frozenset[str]]:
    """Pipeline -> the projects that use it or have run it, without deleted ones."""
    projects, runs = schema.projects, schema.runs
    used = select(projects.c.pipeline, projects.c.name).where(schema.LIVE)
    ran = select(runs.c.pipeline, projects.c.name).join(projects, projects.c.name == runs.c.project).where(schema.LIVE)
    found: dict[str, set[str]] = {}
    with database.reading() as connection:
        for pipeline, project in connection.execute(union(used, ran)):
            found.setdefault(pipeline, set()).add(project)
    return {pipeline: frozenset(names) for pipeline, names in found.items()}
