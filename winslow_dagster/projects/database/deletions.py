"""Deleted projects: hidden, kept for a while, and forgotten at last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import HELD, Database, deleted_project, hold_any_project
from winslow_dagster.projects.domain.deletion import Deletion

KEPT = frozenset({schema.projects, schema.audit, schema.changes, schema.ingest_files})
"""Tables that name a project and outlive it, and the project's own, which goes last."""
INGESTING = ("importing", "starting", "running")
"""The states of files of watched folders that something is done with."""
STORED_INPUTS = (schema.inputs, schema.answers)
"""Tables of files that people gave to a project."""


class Deletions:
    """Every method is one transaction, and may be called again after a crash. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def delete(self, project: str, *, by: str, reason: str, at: datetime) -> bool:
        """Hide the project. False if it was deleted before. Raises NotFound, ProjectConflict for an open run."""
        with self._database.writing() as connection:
            if hold_any_project(connection, project).deleted_at is not None:
                return False
            runs = schema.runs
            open_runs = select(runs.c.run_id).where(runs.c.project == project, runs.c.ended_at.is_(None))
            if (run_id := connection.execute(open_runs).scalars().first()) is not None:
                raise ProjectConflict(
                    f"a run is in progress ({run_id})",
                    where=f"project {project}",
                    remedy=Action("cancel_project", {"project": project}),
                )
            _update(connection, project, deleted_at=at, deleted_by=by, delete_reason=reason)
        return True

    def restore(self, project: str) -> bool:
        """Show the project again. Returns False if it was not deleted. Raises NotFound, ProjectDeleted if too late."""
        with self._database.writing() as connection:
            row = hold_any_project(connection, project)
            if row.purged_at is not None:
                raise deleted_project(row)
            if row.deleted_at is None:
                return False
            _update(connection, project, deleted_at=None, deleted_by=None, delete_reason=None)
        return True

    def begin_purge(self, project: str, at: datetime, *, deleted_before: datetime | None = None) -> bool:
        """Note that a deleted project is removed for good. Returns False if it is not to be removed.

        That is: it was restored, or not deleted before that moment. Raises NotFound.
        """
        with self._database.writing() as connection:
            row = hold_any_project(connection, project)
            if row.deleted_at is None or (deleted_before is not None and row.deleted_at >= deleted_before):
                return row.purged_at is not None
            if row.purged_at is None:
                _update(connection, project, purged_at=at)
        return True

    def of(self, project: str) -> Deletion | None:
        """Who deleted the project, and when; None if nobody did. Raises NotFound."""
        with self._database.reading() as connection:
            row = hold_any_project(connection, project)
        return None if row.deleted_at is None else _deletion(row)

    def all(self) -> tuple[Deletion, ...]:
        """All deleted projects, the last one first."""
        table = schema.projects
        query = select(*HELD).where(~schema.LIVE).order_by(table.c.deleted_at.desc(), table.c.name)
        with self._database.reading() as connection:
            return tuple(_deletion(row) for row in connection.execute(query))

    def users_of(self, project: str) -> tuple[str, ...]:
        """The other projects with outputs that this one made, by name. Deleted ones count."""
        table, made = schema.attempts, schema.attempts.alias()
        own = select(made.c.output_address).where(
            made.c.project == project, made.c.reused_from.is_(None), made.c.output_address.is_not(None)
        )
        taken = select(made.c.task_id).where(made.c.project == project)
        using: ColumnElement[bool] = table.c.output_address.in_(own) | table.c.reused_from.in_(taken)
        query = select(table.c.project).where(table.c.project != project, table.c.outputs_removed_at.is_(None), using)
        with self._database.reading() as connection:
            return tuple(connection.execute(query.distinct().order_by(table.c.project)).scalars())

    def stored_inputs(self, project: str) -> tuple[tuple[str, str, int], ...]:
        """Name, address and size of each tree that people gave to the project, and that no other project has.

        Files of the pool, which belong to no project, are left out.
        """
        found: dict[str, tuple[str, str, int]] = {}
        with self._database.reading() as connection:
            for table in STORED_INPUTS:
                name = table.c.name if "name" in table.c else table.c.stage
                for row in connection.execute(select(name, table.c.manifest).where(table.c.project == project)):
                    address, size_bytes = (
                        row.manifest["address"],
                        sum(file["size_bytes"] for file in row.manifest["files"]),
                    )
                    if not address.startswith(f"{schema.POOL_ADDRESS}/"):
                        found[address] = (row[0], address, size_bytes)
            for table in STORED_INPUTS:
                address = table.c.manifest["address"].as_string()
                others = select(address).where(table.c.project != project, address.in_(list(found)))
                for shared in connection.execute(others).scalars():
                    found.pop(shared, None)
        return tuple(found.values())

    def forget(self, project: str) -> None:
        """Delete all rows of a project that is being removed for good, which frees its name. The audit trail stays."""
        with self._database.writing() as connection:
            try:
                row = hold_any_project(connection, project)
            except NotFound:
                return  # forgotten before
            if row.purged_at is None:
                raise ProjectConflict("it is not being removed", where=f"project {project}")
            runs, files = schema.runs, schema.ingest_files
            own_runs = select(runs.c.run_id).where(runs.c.project == project)
            handed_on = schema.run_outputs
            connection.execute(handed_on.delete().where(handed_on.c.run_id.in_(own_runs)))
            for table in reversed(schema.metadata.sorted_tables):
                if "project" in table.c and table not in KEPT:
                    connection.execute(table.delete().where(table.c.project == project))
            # The rows stay: otherwise a file that is still there would be ingested a second time.
            own_files = files.update().where(files.c.project == project)
            connection.execute(
                own_files.where(files.c.state.in_(INGESTING)).values(state="failed", reason="its project was removed")
            )
            connection.execute(own_files.values(project=None, run_id=None))
            connection.execute(schema.projects.delete().where(schema.projects.c.name == project))


def _update(connection: Connection, project: str, **values: Any) -> None:
    connection.execute(schema.projects.update().where(schema.projects.c.name == project).values(values))


def _deletion(row: Row[Any]) -> Deletion:
    return Deletion(
        project=row.name,
        pipeline=row.pipeline,
        owner=row.owner,
        deleted_at=row.deleted_at,
        deleted_by=row.deleted_by,
        reason=row.delete_reason or "",
        purged_at=row.purged_at,
    )
