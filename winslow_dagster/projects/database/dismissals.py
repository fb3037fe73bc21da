"""Failures that somebody has taken note of: they no longer wait for a person."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project, insert
from winslow_dagster.projects.domain.views import Dismissal

DISMISSED = (
    select(schema.dismissals.c.project)
    .join(schema.runs, schema.runs.c.run_id == schema.dismissals.c.run_id)
    .where(
        schema.dismissals.c.project == schema.projects.c.name,
        schema.dismissals.c.run_id == schema.projects.c.latest_run,
        schema.runs.c.outcome == "failed",
    )
    .correlate(schema.projects)
    .exists()
)
"""Whether somebody has taken note of the failure of the project's latest run."""


class Dismissals:
    """Every method is one transaction, and may be called again. All raise NotFound, ProjectDeleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def dismiss(self, project: str, *, by: str, at: datetime) -> bool:
        """Take note of the failure of the latest run. False if somebody has before. Raises ProjectConflict."""
        projects, runs, table = schema.projects, schema.runs, schema.dismissals
        latest = select(runs.c.run_id, runs.c.outcome).join(projects, projects.c.latest_run == runs.c.run_id)
        with self._database.writing() as connection:
            hold_project(connection, project)
            run = connection.execute(latest.where(projects.c.name == project)).one_or_none()
            if run is None or run.outcome != "failed":
                raise ProjectConflict("its latest run has not failed", where=f"project {project}")
            noted = select(table.c.run_id).where(table.c.project == project)
            if connection.execute(noted).scalar_one_or_none() == run.run_id:
                return False
            row = {"project": project, "run_id": run.run_id, "dismissed_at": at, "dismissed_by": by}
            connection.execute(
                insert(connection, table).values(row).on_conflict_do_update(index_elements=["project"], set_=row)
            )
        return True

    def undismiss(self, project: str) -> bool:
        """Have the failure wait for a person again. False if nobody had taken note of one."""
        table = schema.dismissals
        with self._database.writing() as connection:
            hold_project(connection, project)
            return connection.execute(table.delete().where(table.c.project == project)).rowcount > 0

    def count(self) -> int:
        """How many projects there are with a failure that somebody has taken note of."""
        query = select(func.count()).select_from(schema.projects).where(schema.LIVE, DISMISSED)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def of(self, project: str) -> Dismissal | None:
        """Who has taken note of the failure of the latest run, and when; None if nobody has, or it has not failed."""
        table, projects = schema.dismissals, schema.projects
        query = (
            select(table.c.run_id, table.c.dismissed_at, table.c.dismissed_by)
            .join(projects, projects.c.name == table.c.project)
            .where(projects.c.name == project, DISMISSED)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Dismissal(**row)
