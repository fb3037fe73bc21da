"""All projects and their states, or a page of those that match a query, in a few statements however many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, true

from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.dagster_api.reasons import run_failure
from winslow_dagster.projects.dagster_api.run_completion import ended_runs, statuses_of
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord, pause_text
from winslow_dagster.projects.domain.views import ProjectPage, ProjectQuery, ProjectState, ProjectSummary
from winslow_dagster.projects.status.state import RunSnapshot, after_run, project_state
from winslow_dagster.projects.status.state_queries import (
    CHANGED_AT,
    WITH_LATEST_RUN,
    has_open_run,
    matching,
    picked,
    states_counted,
    unanswered,
)
from winslow_dagster.projects.status.unfinished import ReadVersion, unfinished_projects

NOTHING_ENDED: Mapping[str, RunRecord] = MappingProxyType({})


def list_projects(
    records: ProjectRecords, dagster: Callable[[], DagsterClient | None], read_version: ReadVersion
) -> tuple[ProjectSummary, ...]:
    """Every project by name, with its state and reason. Asks Dagster only about open runs."""
    statuses, ended = _observe(records, dagster)
    return _with_unfinished(records, read_version, summaries(records, statuses, ended), ended)


def find_projects(
    records: ProjectRecords,
    dagster: Callable[[], DagsterClient | None],
    read_version: ReadVersion,
    query: ProjectQuery,
    *also: ColumnElement[bool],
) -> ProjectPage:
    """The page of projects that the query and conditions select, and the number of projects on all pages."""
    statuses, ended = _observe(records, dagster)
    # The states of these projects depend on Dagster, those of all others only on the tables.
    active = summaries(records, statuses, ended, has_open_run())
    changed = {each.project: each.changed_at for each in active if each.run_id in ended}
    with records.database.reading() as connection:
        states = {each.project: each.state for each in active}
        names, total, groups = matching(connection, query, states, changed, *also)
    page = summaries(records, statuses, ended, schema.projects.c.name.in_(names))
    found = {each.project: each for each in _with_unfinished(records, read_version, page, ended)}
    return ProjectPage(projects=tuple(found[name] for name in names if name in found), total=total, groups=groups)


def count_states(records: ProjectRecords, dagster: Callable[[], DagsterClient | None]) -> dict[ProjectState, int]:
    """State -> the number of projects in it."""
    statuses, ended = _observe(records, dagster)
    active = summaries(records, statuses, ended, has_open_run())
    with records.database.reading() as connection:
        return states_counted(connection, {each.project: each.state for each in active})


def summaries(
    records: ProjectRecords,
    statuses: Mapping[str, str],
    ended: Mapping[str, RunRecord] = NOTHING_ENDED,
    chosen: ColumnElement[bool] | None = None,
) -> tuple[ProjectSummary, ...]:
    """All projects, or those `chosen`. `statuses` is Dagster's status of open runs; `ended` are those that have ended.

    `ended` takes precedence over the tables, in which these ends are not recorded yet.
    """
    condition = true() if chosen is None else chosen
    with records.database.reading() as connection:
        rows = connection.execute(_PROJECTS.where(condition)).all()
        details = _Details(connection, ended, condition)
    found = []
    # Unpacked, because looking up a row's names takes time with ten thousand rows. Most have a run that has ended, and
    # need only its outcome.
    for row in rows:
        name, pipeline, tags, latest, by, owner, changed_at, _run_id, outcome, reason, sweep, _start_from, _waits = row
        if latest in ended:
            run = ended[latest]
            outcome, reason, changed_at = run.outcome, run.outcome_reason, run.ended_at or changed_at
        if outcome is not None and sweep is None:
            state, why = after_run(outcome, reason, answered=latest not in details.unanswered)
        else:
            state, why = project_state(details.snapshot(row, statuses), details.running.get(latest, ()))
        found.append(ProjectSummary(name, pipeline, state, why, tuple(tags), latest, changed_at, by, owner))
    return tuple(found)


def _with_unfinished(
    records: ProjectRecords,
    read_version: ReadVersion,
    found: tuple[ProjectSummary, ...],
    ended: Mapping[str, RunRecord],
) -> tuple[ProjectSummary, ...]:
    """The summaries, those of projects that succeeded with the stages that are not up to date."""
    succeeded = [each.project for each in found if each.state == "succeeded"]
    reasons = unfinished_projects(records, read_version, succeeded, ended) if succeeded else {}
    return tuple(each._replace(reason=reasons.get(each.project, each.reason)) for each in found)


def _observe(
    records: ProjectRecords, dagster: Callable[[], DagsterClient | None]
) -> tuple[dict[str, str], dict[str, RunRecord]]:
    """Dagster's statuses of the open runs, and those runs that have ended."""
    open_runs = records.open_runs()
    client = dagster() if open_runs else None
    if client is None:
        return {}, {}
    seen = client.runs_by_id(run.run_id for run in open_runs)
    ended = ended_runs(records, open_runs, seen.get, partial(run_failure, client))
    return statuses_of(open_runs, seen.get), ended


_PROJECTS = (
    select(
        schema.projects.c.name,
        schema.projects.c.pipeline,
        schema.projects.c.tags,
        schema.projects.c.latest_run,
        schema.projects.c.created_by,
        schema.projects.c.owner,
        CHANGED_AT,
        schema.runs.c.run_id,
        schema.runs.c.outcome,
        schema.runs.c.outcome_reason,
        schema.runs.c.sweep,
        schema.runs.c.start_from,
        schema.runs.c.waits_for,
    )
    .select_from(WITH_LATEST_RUN)
    .where(schema.LIVE)
    .order_by(schema.projects.c.name)
)


class _Details:
    """Details that only some projects need: pauses and stages of open runs, unanswered questions, runs of sweeps."""

    def __init__(self, connection: Connection, ended: Mapping[str, RunRecord], chosen: ColumnElement[bool]) -> None:
        self._connection = connection
        self._pauses: dict[str, str] = {}
        self.running: dict[str, list[str]] = defaultdict(list)
        self._read_open_runs()
        runs = schema.runs
        waiting = or_(runs.c.outcome == "awaiting_input", runs.c.run_id.in_(list(ended)))
        self.unanswered = self._latest_runs(runs.c.run_id, chosen, waiting, unanswered(runs))
        self._picked = self._latest_runs(runs.c.sweep, chosen, runs.c.sweep.is_not(None), picked(runs))
        self._sweeps = self._read_sweeps(ended, chosen)

    def snapshot(self, row: Any, statuses: Mapping[str, str]) -> RunSnapshot:
        """What the state of one project is derived from."""
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
            waits_for=row.waits_for,
        )
        return RunSnapshot((run,), statuses, pause=self._pauses.get(row.latest_run, ""))

    def _read_open_runs(self) -> None:
        runs, pauses, attempts = schema.runs, schema.pauses, schema.attempts
        requested = (
            select(pauses.c.run_id, pauses.c.asked_by, pauses.c.after_stage)
            .join(runs, runs.c.run_id == pauses.c.run_id)
            .where(runs.c.ended_at.is_(None), pauses.c.withdrawn_at.is_(None))
        )
        for row in self._connection.execute(requested):
            self._pauses[row.run_id] = pause_text(row.asked_by, row.after_stage)
        stages = (
            select(attempts.c.run_id, attempts.c.stage)
            .join(runs, runs.c.run_id == attempts.c.run_id)
            .where(runs.c.ended_at.is_(None), attempts.c.ended_at.is_(None))
        )
        for row in self._connection.execute(stages):
            self.running[row.run_id].append(row.stage)

    def _latest_runs(self, column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> frozenset[str]:
        query = select(column).select_from(WITH_LATEST_RUN).where(*conditions)
        return frozenset(self._connection.execute(query).scalars())

    def _read_sweeps(
        self, ended: Mapping[str, RunRecord], chosen: ColumnElement[bool]
    ) -> Mapping[str, list[RunRecord]]:
        of_sweep = schema.runs.alias()
        query = (
            select(of_sweep)
            .select_from(WITH_LATEST_RUN.join(of_sweep, of_sweep.c.sweep == schema.runs.c.sweep))
            .where(chosen)
            .order_by(of_sweep.c.launched_at)
        )
        sweeps: dict[str, list[RunRecord]] = defaultdict(list)
        for row in self._connection.execute(query).mappings():
            run = RunRecord(**row)
            sweeps[row["sweep"]].append(ended.get(run.run_id, run))
        return sweeps
