"""All projects and their states in a few statements, however many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.dagster_api.reasons import run_failure
from winslow_dagster.projects.dagster_api.run_completion import record_run_ends
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.runs_and_attempts import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.domain.views import ProjectSummary
from winslow_dagster.projects.status.state import RunSnapshot, after_run, project_state, wish


def list_projects(records: ProjectRecords, dagit: Callable[[], DagsterClient | None]) -> tuple[ProjectSummary, ...]:
    """Every project by name, with its state and the reason of it. Dagster is asked only of runs that are open."""
    open_runs = records.open_runs()
    statuses: dict[str, str] = {}
    server = dagit() if open_runs else None
    if server is not None:
        seen = server.runs_by_id(run.run_id for run in open_runs)
        record_run_ends(records, open_runs, seen.get, lambda run_id: run_failure(server, run_id))
        statuses = {run_id: run.status for run_id, run in seen.items()}
    return summaries(records, statuses)


def summaries(records: ProjectRecords, statuses: Mapping[str, str]) -> tuple[ProjectSummary, ...]:
    """The same, with what Dagster says of the runs that are open: run -> its word."""
    with records.database.reading() as connection:
        rows = connection.execute(_PROJECTS).all()
        details = _Details(connection)
    found = []
    # Unpacked, because a row's names are looked up one by one, and there may be ten thousand rows; most have a run that
    # is over, and need no more than how it ended.
    for row in rows:
        name, pipeline, tags, latest, by, changed_at, _run_id, outcome, reason, sweep, _start_from = row
        if outcome is not None and sweep is None:
            state, why = after_run(outcome, reason, answered=latest not in details.asking)
        else:
            state, why = project_state(details.snapshot(row, statuses), details.running.get(latest, ()))
        found.append(ProjectSummary(name, pipeline, state, why, tuple(tags), latest, changed_at, by))
    return tuple(found)


_PROJECTS = (
    select(
        schema.projects.c.name,
        schema.projects.c.pipeline,
        schema.projects.c.tags,
        schema.projects.c.latest_run,
        schema.projects.c.created_by,
        func.coalesce(
            schema.runs.c.ended_at, schema.runs.c.launched_at, schema.projects.c.created_at, type_=schema.Utc
        ).label("changed_at"),
        schema.runs.c.run_id,
        schema.runs.c.outcome,
        schema.runs.c.outcome_reason,
        schema.runs.c.sweep,
        schema.runs.c.start_from,
    )
    .outerjoin_from(schema.projects, schema.runs, schema.runs.c.run_id == schema.projects.c.latest_run)
    .order_by(schema.projects.c.name)
)


class _Details:
    """What only some projects need: pauses and stages of open runs, answers to those that wait, runs of sweeps."""

    def __init__(self, connection: Connection) -> None:
        self._pauses: dict[str, str] = {}
        self.running: dict[str, list[str]] = defaultdict(list)
        self.asking: set[str] = set()
        self._sweeps: Mapping[str, list[RunRecord]] = {}
        self._picked: set[str] = set()
        self._open(connection)
        self._waiting(connection)
        self._swept(connection)

    def snapshot(self, row: Any, statuses: Mapping[str, str]) -> RunSnapshot:
        """What the state of one project is read from."""
        if row.run_id is None:
            return RunSnapshot(())
        if row.sweep is not None:
            return RunSnapshot(tuple(self._sweeps[row.sweep]), statuses, picked=row.sweep in self._picked)
        run = RunRecord(
            row.latest_run,
            row.name,
            row.pipeline,
            "",
            row.changed_at,
            "",
            start_from=row.start_from,
        )
        pause = self._pauses.get(row.latest_run, "")
        return RunSnapshot((run,), statuses, pause=pause)

    def _open(self, connection: Connection) -> None:
        runs, pauses, attempts = schema.runs, schema.pauses, schema.attempts
        asked = (
            select(pauses.c.run_id, pauses.c.asked_by, pauses.c.after_stage)
            .join(runs, runs.c.run_id == pauses.c.run_id)
            .where(runs.c.ended_at.is_(None), pauses.c.withdrawn_at.is_(None))
        )
        self._pauses = {row.run_id: wish(row.asked_by, row.after_stage) for row in connection.execute(asked)}
        stages = (
            select(attempts.c.run_id, attempts.c.stage)
            .join(runs, runs.c.run_id == attempts.c.run_id)
            .where(runs.c.ended_at.is_(None), attempts.c.ended_at.is_(None))
        )
        for row in connection.execute(stages):
            self.running[row.run_id].append(row.stage)

    def _waiting(self, connection: Connection) -> None:
        """Runs that waited for a person, and something that they asked was not answered since."""
        runs, holds, answers = schema.runs, schema.holds, schema.answers
        given = (
            select(answers.c.project, answers.c.pipeline, answers.c.stage, func.max(answers.c.given_at).label("at"))
            .where(answers.c.accepted.is_(True))
            .group_by(answers.c.project, answers.c.pipeline, answers.c.stage)
            .subquery()
        )
        of_hold = and_(
            given.c.project == holds.c.project, given.c.pipeline == runs.c.pipeline, given.c.stage == holds.c.stage
        )
        asked = (
            select(holds.c.run_id)
            .join(runs, runs.c.run_id == holds.c.run_id)
            .outerjoin(given, of_hold)
            .where(
                runs.c.outcome == "awaiting_input",
                holds.c.cause == "input",
                or_(given.c.at.is_(None), given.c.at <= holds.c.held_at),
            )
        )
        self.asking = set(connection.execute(asked).scalars())

    def _swept(self, connection: Connection) -> None:
        runs, latest = schema.runs, schema.runs.alias()
        of_latest = (
            select(runs)
            .join(latest, latest.c.sweep == runs.c.sweep)
            .join(schema.projects, schema.projects.c.latest_run == latest.c.run_id)
            .order_by(runs.c.launched_at)
        )
        sweeps: dict[str, list[RunRecord]] = defaultdict(list)
        for row in connection.execute(of_latest).mappings():
            sweeps[row["sweep"]].append(RunRecord(**row))
        self._sweeps = sweeps
        picked = (
            select(runs.c.sweep)
            .join(schema.attempts, schema.attempts.c.run_id == runs.c.run_id)
            .join(schema.picks, schema.picks.c.task_id == schema.attempts.c.task_id)
            .where(runs.c.sweep.is_not(None))
        )
        self._picked = set(connection.execute(picked).scalars())
