"""Runs: what they were requested to do, how they ended, and the outputs that they passed between stages."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.engine import Connection

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project, insert
from winslow_dagster.projects.domain.model import RunOutcome, RunRecord
from winslow_dagster.storage.manifest import Manifest

UNKNOWN_REQUESTER = "dagit"
_END_OF_RUN = ("ended_at", "outcome", "outcome_reason", "missing_since", "waits_for")


class Runs:
    """See `ProjectRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_run(self, run: RunRecord) -> None:
        """Record what a run was requested to do. Recorded again, the last request stands."""
        row = asdict(run)
        with self._database.writing() as connection:
            hold_project(connection, run.project)
            # The run may have ended already: its end stays.
            requested = {key: value for key, value in row.items() if key not in {"run_id", *_END_OF_RUN}}
            connection.execute(
                insert(connection, schema.runs)
                .values(row)
                .on_conflict_do_update(index_elements=["run_id"], set_=requested)
            )
            point_to_latest_run(connection, run.project)

    def runs(self, project: str) -> tuple[RunRecord, ...]:
        """The project's runs, the latest first."""
        query = select(schema.runs).where(schema.runs.c.project == project).order_by(schema.runs.c.launched_at.desc())
        with self._database.reading() as connection:
            hold_project(connection, project)
            return tuple(RunRecord(**row) for row in connection.execute(query).mappings())

    def had_runs(self, project: str) -> bool:
        """Whether the project, deleted or not, has ever run."""
        query = select(schema.runs.c.run_id).where(schema.runs.c.project == project).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def versions_used(self, project: str) -> tuple[tuple[str, str], ...]:
        """Name and version of every pipeline that the project ran through, the one that ran last first."""
        table = schema.runs
        version = (table.c.pipeline, table.c.pipeline_digest)
        last = func.max(table.c.launched_at).desc()
        query = select(*version).where(table.c.project == project).group_by(*version).order_by(last, *version)
        with self._database.reading() as connection:
            return tuple((name, digest) for name, digest in connection.execute(query))

    def latest_run(self, project: str, pipeline: str) -> RunRecord | None:
        """The run of this pipeline that was launched last; None if there is none."""
        table = schema.runs
        query = (
            select(table)
            .where(table.c.project == project, table.c.pipeline == pipeline)
            .order_by(table.c.launched_at.desc(), table.c.run_id)
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else RunRecord(**row)

    def run(self, run_id: str) -> RunRecord | None:
        """The record of a run; None if there is none yet."""
        with self._database.reading() as connection:
            row = connection.execute(select(schema.runs).where(schema.runs.c.run_id == run_id)).mappings().one_or_none()
        return None if row is None else RunRecord(**row)

    def runs_of_sweep(self, sweep: str) -> tuple[RunRecord, ...]:
        """The runs of a sweep, in the order in which they were launched."""
        query = select(schema.runs).where(schema.runs.c.sweep == sweep).order_by(schema.runs.c.launched_at)
        with self._database.reading() as connection:
            return tuple(RunRecord(**row) for row in connection.execute(query).mappings())

    def record_unannounced_run(self, run: RunRecord) -> None:
        """Record a run that was started in Dagster's own web interface; a record of it that exists stays as it is."""
        with self._database.writing() as connection:
            hold_project(connection, run.project)
            add_unannounced_run(connection, run)

    def open_runs(self, project: str | None = None) -> tuple[RunRecord, ...]:
        """The runs whose end has not been recorded, of all projects or one."""
        query = select(schema.runs).where(schema.runs.c.ended_at.is_(None)).order_by(schema.runs.c.launched_at)
        if project is not None:
            query = query.where(schema.runs.c.project == project)
        with self._database.reading() as connection:
            return tuple(RunRecord(**row) for row in connection.execute(query).mappings())

    def concluded_runs(self, project: str | None = None) -> tuple[RunRecord, ...]:
        """The runs whose end was only concluded: Dagster had no record of them."""
        table = schema.runs
        query = select(table).where(table.c.missing_since.is_not(None), table.c.ended_at.is_not(None))
        if project is not None:
            query = query.where(table.c.project == project)
        with self._database.reading() as connection:
            return tuple(RunRecord(**row) for row in connection.execute(query).mappings())

    def record_run_end(self, run_id: str, outcome: RunOutcome, reason: str, ended_at: datetime) -> bool:
        """Record how a run ended. Returns False if it was already recorded."""
        end = {"outcome": outcome, "outcome_reason": reason, "ended_at": ended_at}
        return self._update_run(run_id, schema.runs.c.ended_at.is_(None), end)

    def record_run_missing(self, run_id: str, since: datetime) -> bool:
        """Record that Dagster has no record of an open run. Returns False if that is already recorded."""
        table = schema.runs
        first = and_(table.c.ended_at.is_(None), table.c.missing_since.is_(None))
        return self._update_run(run_id, first, {"missing_since": since})

    def record_run_found(self, run_id: str) -> bool:
        """Record that Dagster has a record of the run after all. An end that was only concluded is taken back."""
        nothing = {"outcome": None, "outcome_reason": "", "ended_at": None, "missing_since": None}
        return self._update_run(run_id, schema.runs.c.missing_since.is_not(None), nothing)

    def record_run_waits(self, run_id: str, what: str | None) -> bool:
        """Record what the run's worker is waiting for; None: for nothing any more."""
        return self._update_run(run_id, schema.runs.c.ended_at.is_(None), {"waits_for": what})

    def _update_run(self, run_id: str, condition: ColumnElement[bool], values: dict[str, Any]) -> bool:
        with self._database.writing() as connection:
            update = schema.runs.update().where(schema.runs.c.run_id == run_id, condition)
            return connection.execute(update.values(values)).rowcount > 0

    def sweep_runs(self, project: str) -> frozenset[str]:
        """The runs of the project that are part of a sweep."""
        table = schema.runs
        query = select(table.c.run_id).where(table.c.project == project, table.c.sweep.is_not(None))
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def record_run_output(self, run_id: str, stage: str, manifest: Manifest) -> None:
        """Record which outputs of `stage` a run passed to its later stages, whether it made or reused them.

        Recorded again, nothing changes. Raises ProjectConflict if the run has passed on other outputs of the stage.
        """
        row = {"run_id": run_id, "stage": stage, "manifest": manifest.model_dump(mode="json")}
        with self._database.writing() as connection:
            connection.execute(insert(connection, schema.run_outputs).values(row).on_conflict_do_nothing())
            recorded = connection.execute(_run_outputs(run_id, stage)).scalar_one()
        if Manifest.model_validate(recorded) != manifest:
            raise ProjectConflict("the run has passed on other outputs of this stage", where=f"{run_id}.{stage}")

    def run_outputs(self, run_id: str, stage: str) -> Manifest | None:
        """The outputs of `stage` that a run passed to its later stages; None if it has not."""
        with self._database.reading() as connection:
            recorded = connection.execute(_run_outputs(run_id, stage)).scalar_one_or_none()
        return None if recorded is None else Manifest.model_validate(recorded)


def add_unannounced_run(connection: Connection, run: RunRecord) -> None:
    """Add a run unless there is a record of it."""
    added = connection.execute(insert(connection, schema.runs).values(asdict(run)).on_conflict_do_nothing())
    if added.rowcount:
        point_to_latest_run(connection, run.project)


def point_to_latest_run(connection: Connection, project: str) -> None:
    """Note in the project which of its runs was launched last."""
    table = schema.runs
    latest = (
        select(table.c.run_id)
        .where(table.c.project == project)
        .order_by(table.c.launched_at.desc(), table.c.run_id)
        .limit(1)
        .scalar_subquery()
    )
    update = schema.projects.update().where(schema.projects.c.name == project)
    connection.execute(update.values(latest_run=latest))


def _run_outputs(run_id: str, stage: str) -> Select[Any]:
    table = schema.run_outputs
    return select(table.c.manifest).where(table.c.run_id == run_id, table.c.stage == stage)
