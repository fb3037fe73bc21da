"""How far projects have come: a mark for each stage, and when their runs are expected to end. For many at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256

from sqlalchemy import RowMapping, select

from winslow_dagster.engines.engine import TaskState
from winslow_dagster.errors import NotFound, PipelineInvalid, StoreError
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.lineage_queries import lineages_of
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.views import ProjectProgress, StageMark
from winslow_dagster.projects.status.estimate import expected_end, fraction_done, seconds_left, typical_durations
from winslow_dagster.projects.status.following import RunHolds, following_stages
from winslow_dagster.projects.status.state import state_of_ended
from winslow_dagster.projects.status.state_queries import WITH_LATEST_RUN
from winslow_dagster.projects.status.unfinished import ReadVersion

TaskStateOf = Callable[[str], TaskState]


def progress_of(
    records: ProjectRecords, read_version: ReadVersion, task_state_of: TaskStateOf, names: Iterable[str]
) -> dict[str, ProjectProgress]:
    """Project -> its progress. One whose pipeline cannot be read any more has no marks."""
    rows = _rows(records, names)
    pipelines = _read(read_version, {name: (row["pipeline"], row["pipeline_digest"]) for name, row in rows.items()})
    lineages = lineages_of(records, pipelines)
    open_runs = {name: row for name, row in rows.items() if row["run_id"] is not None and row["ended_at"] is None}
    others = {
        name: (row["run_pipeline"], row["run_digest"])
        for name, row in open_runs.items()
        if (row["run_pipeline"], row["run_digest"]) != (row["pipeline"], row["pipeline_digest"])
    }
    of_runs = lineages | lineages_of(records, _read(read_version, others))
    estimates = _Estimates(records, task_state_of)
    found = {}
    for name in rows:
        if name not in lineages:
            found[name] = ProjectProgress(stages=())
            continue
        lineage, row = lineages[name], open_runs.get(name)
        marks = _marks(lineage, task_state_of, active=row is not None)
        found[name] = ProjectProgress(
            stages=marks,
            fraction=_fraction(marks),
            expected_end=estimates.end(row, of_runs[name]) if row is not None and name in of_runs else None,
            outputs_version=_outputs_version(lineage),
        )
    return found


def _rows(records: ProjectRecords, names: Iterable[str]) -> dict[str, RowMapping]:
    projects, runs = schema.projects, schema.runs
    query = select(
        projects.c.name,
        projects.c.pipeline,
        projects.c.pipeline_digest,
        projects.c.env,
        runs.c.run_id,
        runs.c.pipeline.label("run_pipeline"),
        runs.c.pipeline_digest.label("run_digest"),
        runs.c.start_from,
        runs.c.stop_after,
        runs.c.settings,
        runs.c.sweep,
        runs.c.ended_at,
    ).select_from(WITH_LATEST_RUN)
    with records.database.reading() as connection:
        rows = connection.execute(query.where(schema.LIVE, projects.c.name.in_(list(names)))).mappings().all()
    return {row["name"]: row for row in rows}


def _read(read_version: ReadVersion, versions: Mapping[str, tuple[str, str]]) -> dict[str, Pipeline]:
    pipelines = {}
    for name, version in versions.items():
        try:
            pipelines[name] = read_version(*version)
        except (NotFound, StoreError, PipelineInvalid):
            # The list says so as the project's reason; the others are shown all the same.
            continue
    return pipelines


def _marks(lineage: Lineage, task_state_of: TaskStateOf, *, active: bool) -> tuple[StageMark, ...]:
    latest = {attempt.stage: attempt for attempt in lineage.attempts}
    marks = []
    for stage in lineage.pipeline.stages:
        attempt = latest.get(stage.name)
        outdated = stage.name in lineage.outdated
        if attempt is None:
            marks.append(StageMark(stage.name, "waiting" if active else "pending"))
        elif attempt.outcome is not None:
            marks.append(StageMark(stage.name, state_of_ended(attempt.outcome), outdated))
        else:
            task = task_state_of(attempt.task_id)
            done = fraction_done(task.status.log.progress) if task.running and task.status else None
            marks.append(StageMark(stage.name, "running" if task.running else "waiting", outdated, done))
    return tuple(marks)


def _fraction(marks: Collection[StageMark]) -> float | None:
    done = sum(1.0 if mark.state == "succeeded" and not mark.outdated else mark.fraction or 0.0 for mark in marks)
    return done / len(marks) if marks else None


def _outputs_version(lineage: Lineage) -> str:
    addresses = sorted(attempt.output_address or "" for attempt in lineage.current.values())
    return sha256("\n".join(addresses).encode()).hexdigest()[:16] if addresses else ""


class _Estimates:
    """The expected ends of open runs. What stages usually take is read once for each pipeline."""

    def __init__(self, records: ProjectRecords, task_state_of: TaskStateOf) -> None:
        self._records = records
        self._task_state_of = task_state_of
        self._typical: dict[str, dict[str, float]] = {}

    def end(self, row: RowMapping, lineage: Lineage) -> datetime | None:
        """When the run is expected to end, or to wait for a person. None for a sweep, and before its first stage."""
        of_run = [attempt for attempt in lineage.attempts if attempt.run_id == row["run_id"]]
        if row["sweep"] is not None or not of_run:
            return None
        typical_s = self._typical_s(lineage.pipeline)
        running: dict[str, float | None] = {}
        now = datetime.now(UTC)
        for attempt in of_run:
            if attempt.outcome is None:
                running[attempt.stage] = self._seconds_left(attempt, typical_s.get(attempt.stage), now)
        holds = RunHolds.read(self._records, [row["run_id"]])
        following = following_stages(self._records, row, lineage, of_run, holds) - set(running)
        return expected_end(lineage.pipeline, running, following, typical_s, now)

    def _seconds_left(self, attempt: Attempt, typical_s: float | None, now: datetime) -> float | None:
        """None for one that waits: nobody knows for how long."""
        task = self._task_state_of(attempt.task_id)
        if task.status is None or not task.running:
            return None
        began = task.status.started_at or attempt.started_at
        return seconds_left(task.status.log.progress, (now - began).total_seconds(), typical_s)

    def _typical_s(self, pipeline: Pipeline) -> dict[str, float]:
        if pipeline.name not in self._typical:
            names = [stage.name for stage in pipeline.stages]
            self._typical[pipeline.name] = typical_durations(self._records.database, pipeline.name, names)
        return self._typical[pipeline.name]
