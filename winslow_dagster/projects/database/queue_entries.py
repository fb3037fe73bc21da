"""What people said about runs that wait in the queue: priorities and holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from winslow_dagster.formatting import format_time
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project, insert
from winslow_dagster.projects.domain.queue_rules import QueueItem


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One run. `priority` is None where nobody set one; it is held if `held_at` is set."""

    run_id: str
    project: str
    priority: int | None = None
    held_at: datetime | None = None
    held_by: str | None = None
    hold_reason: str | None = None

    @property
    def hold_text(self) -> str:
        """Who holds it, since when and why; empty if nobody does."""
        if self.held_at is None:
            return ""
        why = f": {self.hold_reason}" if self.hold_reason else ""
        return f"held by {self.held_by} since {format_time(self.held_at)}{why}"

    def applied_to(self, item: QueueItem) -> QueueItem:
        """The run with what was said about it."""
        priority = item.priority if self.priority is None else self.priority
        return replace(item, priority=priority, held=self.held_at is not None)


class QueueEntries:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_runs(self, run_ids: Iterable[str]) -> dict[str, QueueEntry]:
        """Run id -> what was said about it, for those of these runs of which something was."""
        query = select(schema.queue).where(schema.queue.c.run_id.in_(list(run_ids)))
        with self._database.reading() as connection:
            return {row["run_id"]: QueueEntry(**row) for row in connection.execute(query).mappings()}

    def open(self) -> tuple[QueueEntry, ...]:
        """All entries of runs whose end has not been recorded."""
        table, runs = schema.queue, schema.runs
        query = select(table).outerjoin(runs, runs.c.run_id == table.c.run_id).where(runs.c.ended_at.is_(None))
        with self._database.reading() as connection:
            return tuple(QueueEntry(**row) for row in connection.execute(query).mappings())

    def set_priority(self, project: str, run_ids: Collection[str], priority: int) -> None:
        """Give these runs of the project a priority. Raises NotFound, ProjectDeleted."""
        self._set(project, run_ids, {"priority": priority})

    def hold(self, project: str, run_ids: Collection[str], *, by: str, at: datetime, reason: str) -> None:
        """Keep these runs of the project from starting. Raises NotFound, ProjectDeleted."""
        self._set(project, run_ids, {"held_at": at, "held_by": by, "hold_reason": reason})

    def release(self, project: str, run_ids: Collection[str]) -> None:
        """Let these runs of the project start again. Raises NotFound, ProjectDeleted."""
        self._set(project, run_ids, {"held_at": None, "held_by": None, "hold_reason": None})

    def _set(self, project: str, run_ids: Collection[str], values: dict[str, object]) -> None:
        table = schema.queue
        with self._database.writing() as connection:
            hold_project(connection, project)
            for run_id in run_ids:
                row = {"run_id": run_id, "project": project, **values}
                connection.execute(
                    insert(connection, table).values(row).on_conflict_do_update(index_elements=["run_id"], set_=values)
                )
