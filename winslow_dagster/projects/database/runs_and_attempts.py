"""The project tables as plain calls: what projects there are, what was asked, what ran, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Select, and_, func, select
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import LOCK_TIMEOUT_S, Database, hold_project, insert, unknown_project
from winslow_dagster.projects.database.locks import LockHolder
from winslow_dagster.projects.domain.lineage import ANSWER, ANSWER_RESOURCE
from winslow_dagster.projects.domain.model import Attempt, InputVersion, Project, RunOutcome, RunRecord, checked_name
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import Manifest

_ATTEMPT_COLUMNS = [schema.attempts.c[name] for name in Attempt.__dataclass_fields__]
UNKNOWN_REQUESTER = "dagit"
_END_OF_RUN = ("ended_at", "outcome", "outcome_reason")


class ProjectRecords:
    """Every method is one transaction, safe from any thread and process, and may be called again after a crash.

    All raise ServiceUnavailable when the database does not answer, and NotFound for a project that does not exist.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, database_url: str) -> Self:
        """The records at a SQLAlchemy address; their tables are made, or brought forward, first."""
        return cls(Database(database_url))

    @property
    def database(self) -> Database:
        """Where the tables are, for those who keep a table of their own."""
        return self._database

    def close(self) -> None:
        """Give the database connections back."""
        self._database.close()

    def project_lock(
        self, project: str, *, holder: str = "", purpose: str = "", timeout_s: float = LOCK_TIMEOUT_S
    ) -> AbstractContextManager[None]:
        """Keep others from deciding about this project inside the block. `purpose` is shown to those who wait.

        Raises ProjectConflict, naming the holder, where another holds the lock for longer than `timeout_s`.
        """
        name = checked_name(project)
        by = LockHolder(holder, purpose)
        return self._database.alone(f"project-{name}", by, where=f"project {name}", timeout_s=timeout_s)

    def create_project(
        self, name: str, *, pipeline: str, pipeline_digest: str, env: dict[str, str], created_by: str
    ) -> Project:
        """A new project. Raises InputRejected for a name that cannot be one, ProjectConflict for one that is taken."""
        project = Project(checked_name(name), pipeline, pipeline_digest, env, datetime.now(UTC), created_by)
        row = {key: value for key, value in asdict(project).items() if key != "inputs"}
        try:
            with self._database.writing() as connection:
                connection.execute(schema.projects.insert().values(row))
        except IntegrityError as error:
            raise ProjectConflict(f"there is a project {name!r} already", where=f"project {name}") from error
        return project

    def project(self, name: str) -> Project:
        """The project of that name, with the inputs now in use."""
        with self._database.reading() as connection:
            query = select(schema.projects).where(schema.projects.c.name == name)
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                raise unknown_project(name)
            return _project(row, _inputs_in_use(connection, name))

    def projects(self) -> tuple[Project, ...]:
        """All projects by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.projects).order_by(schema.projects.c.name)).mappings().all()
            inputs: dict[str, list[InputVersion]] = {}
            for found in _inputs_in_use(connection):
                inputs.setdefault(found.project, []).append(found)
        return tuple(_project(row, inputs.get(row["name"], ())) for row in rows)

    def pin_pipeline(self, project: str, pipeline: str, digest: str) -> None:
        """From now on the project's runs use this version of this pipeline."""
        with self._database.writing() as connection:
            done = connection.execute(
                schema.projects.update()
                .where(schema.projects.c.name == project)
                .values(pipeline=pipeline, pipeline_digest=digest)
            )
        if done.rowcount == 0:
            raise unknown_project(project)

    def add_input(
        self, project: str, name: str, manifest: Manifest, *, original_path: str, added_by: str
    ) -> InputVersion:
        """Take a file into use under a name; what was there before stays in the history.

        The content that is in use already adds nothing. Of two people who add at the same moment, the later is used.
        """
        with self._database.writing() as connection:
            # Holds the project's row, so that versions are counted by one at a time.
            hold_project(connection, project)
            in_use = next((found for found in _inputs_in_use(connection, project) if found.name == name), None)
            if in_use is not None and in_use.manifest.files == manifest.files:
                return in_use
            version = 1 if in_use is None else in_use.version + 1
            added = InputVersion(project, name, version, manifest, original_path, datetime.now(UTC), added_by)
            row = {**asdict(added), "manifest": manifest.model_dump(mode="json")}
            connection.execute(schema.inputs.insert().values(row))
        return added

    def inputs(self, project: str) -> tuple[InputVersion, ...]:
        """The inputs now in use, by name."""
        with self._database.reading() as connection:
            hold_project(connection, project)
            return _inputs_in_use(connection, project)

    def record_run(self, run: RunRecord) -> None:
        """Keep what was asked of a run. Said again, the last word stands."""
        row = asdict(run)
        with self._database.writing() as connection:
            hold_project(connection, run.project)
            # The run may be quicker than this: how it ended is not asked for, and stays.
            asked = {key: value for key, value in row.items() if key not in {"run_id", *_END_OF_RUN}}
            connection.execute(
                insert(connection, schema.runs).values(row).on_conflict_do_update(index_elements=["run_id"], set_=asked)
            )
            _point_to_latest_run(connection, run.project)

    def runs(self, project: str) -> tuple[RunRecord, ...]:
        """The project's runs, the latest first."""
        query = select(schema.runs).where(schema.runs.c.project == project).order_by(schema.runs.c.launched_at.desc())
        with self._database.reading() as connection:
            hold_project(connection, project)
            return tuple(RunRecord(**row) for row in connection.execute(query).mappings())

    def run(self, run_id: str) -> RunRecord | None:
        """What was asked of a run and how it ended; None for one that nobody noted yet."""
        with self._database.reading() as connection:
            row = connection.execute(select(schema.runs).where(schema.runs.c.run_id == run_id)).mappings().one_or_none()
        return None if row is None else RunRecord(**row)

    def runs_of_sweep(self, sweep: str) -> tuple[RunRecord, ...]:
        """The runs of a sweep, in the order in which they were launched."""
        query = select(schema.runs).where(schema.runs.c.sweep == sweep).order_by(schema.runs.c.launched_at)
        with self._database.reading() as connection:
            return tuple(RunRecord(**row) for row in connection.execute(query).mappings())

    def record_unannounced_run(self, run: RunRecord) -> None:
        """Keep a run that somebody started in Dagit; one that was announced stays as it is."""
        with self._database.writing() as connection:
            hold_project(connection, run.project)
            done = connection.execute(insert(connection, schema.runs).values(asdict(run)).on_conflict_do_nothing())
            if done.rowcount:
                _point_to_latest_run(connection, run.project)

    def open_runs(self, project: str | None = None) -> tuple[RunRecord, ...]:
        """The runs whose end was not noted yet, of all projects or of one."""
        query = select(schema.runs).where(schema.runs.c.ended_at.is_(None)).order_by(schema.runs.c.launched_at)
        if project is not None:
            query = query.where(schema.runs.c.project == project)
        with self._database.reading() as connection:
            return tuple(RunRecord(**row) for row in connection.execute(query).mappings())

    def record_run_end(self, run_id: str, outcome: RunOutcome, reason: str, ended_at: datetime) -> bool:
        """Keep how a run ended; whether that was news. The first word stands."""
        table = schema.runs
        with self._database.writing() as connection:
            done = connection.execute(
                table.update()
                .where(table.c.run_id == run_id, table.c.ended_at.is_(None))
                .values(outcome=outcome, outcome_reason=reason, ended_at=ended_at)
            )
        return done.rowcount > 0

    def sweep_runs(self, project: str) -> frozenset[str]:
        """The runs of the project that are part of a sweep."""
        table = schema.runs
        query = select(table.c.run_id).where(table.c.project == project, table.c.sweep.is_not(None))
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def attempt_started(
        self,
        task: StageTask,
        *,
        pipeline_digest: str | None = None,
        fingerprint: str | None = None,
        reused_from: str | None = None,
    ) -> None:
        """Keep that an attempt was handed to the engine; a run started in Dagit is noted with it.

        Said again, it changes nothing. `pipeline_digest` defaults to the version the project is pinned to.
        Raises ProjectConflict where the outputs of `reused_from` went in this moment.
        """
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            pinned = hold_project(connection, task.project)
            if reused_from is not None:
                _require_outputs(connection, reused_from)
            common = {
                "run_id": task.run_id,
                "project": task.project,
                "pipeline": task.pipeline,
                "pipeline_digest": pipeline_digest or pinned,
            }
            run = RunRecord(
                task.run_id,
                task.project,
                task.pipeline,
                common["pipeline_digest"],
                now,
                UNKNOWN_REQUESTER,
                via=UNKNOWN_REQUESTER,
            )
            if connection.execute(
                insert(connection, schema.runs).values(asdict(run)).on_conflict_do_nothing()
            ).rowcount:
                _point_to_latest_run(connection, task.project)
            attempt = {
                **common,
                "inputs": _worked_on(task),
                "fingerprint": fingerprint,
                "reused_from": reused_from,
                "task_id": task.task_id,
                "stage": task.stage,
                "attempt": task.attempt,
                "task": task.model_dump(mode="json"),
                "started_at": now,
                "message": "",
                "node": "",
            }
            connection.execute(insert(connection, schema.attempts).values(attempt).on_conflict_do_nothing())

    def attempt_by_hand(self, task: StageTask, result: StageResult, of: Attempt) -> None:
        """Keep an attempt that no run made: a person changed what `of` had made."""
        with self._database.writing() as connection:
            hold_project(connection, task.project)
            row = {
                "task_id": task.task_id,
                "project": of.project,
                "pipeline": of.pipeline,
                "pipeline_digest": of.pipeline_digest,
                "stage": of.stage,
                "attempt": task.attempt,
                "run_id": task.run_id,
                "task": task.model_dump(mode="json"),
                "inputs": of.inputs,
                **_end_of_attempt(result),
            }
            connection.execute(schema.attempts.insert().values(row))

    def attempt_ended(self, task_id: str, result: StageResult) -> bool:
        """Keep how an attempt ended; whether that was news. Said again, it changes nothing.

        Raises NotFound for an attempt that never started, and ProjectConflict for another end than the one it has, or a
        second success of the same stage in the same run.
        """
        row = _end_of_attempt(result)
        open_attempt = and_(schema.attempts.c.task_id == task_id, schema.attempts.c.ended_at.is_(None))
        try:
            with self._database.writing() as connection:
                done = connection.execute(schema.attempts.update().where(open_attempt).values(row))
        except IntegrityError as error:
            raise ProjectConflict("the stage has succeeded in this run already", where=task_id) from error
        if done.rowcount == 0 and self.result(task_id) != result:
            raise ProjectConflict("the attempt has ended before, in another way", where=task_id)
        return done.rowcount > 0

    def task(self, task_id: str) -> StageTask | None:
        """The task of an attempt that was handed to the engine; None for one that was not."""
        query = select(schema.attempts.c.task).where(schema.attempts.c.task_id == task_id)
        with self._database.reading() as connection:
            row = connection.execute(query).scalar_one_or_none()
        return None if row is None else StageTask.model_validate(row)

    def attempts(self, project: str) -> tuple[Attempt, ...]:
        """Every attempt of the project, in the order in which they started."""
        query = select(*_ATTEMPT_COLUMNS).where(schema.attempts.c.project == project)
        order = (schema.attempts.c.started_at, schema.attempts.c.task_id)
        with self._database.reading() as connection:
            hold_project(connection, project)
            rows = connection.execute(query.order_by(*order)).mappings()
            return tuple(Attempt(**row) for row in rows)

    def attempt(self, task_id: str) -> Attempt:
        """The attempt of that task id, of whatever project. Raises NotFound."""
        query = select(*_ATTEMPT_COLUMNS).where(schema.attempts.c.task_id == task_id)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound("the attempt never started", where=task_id)
        return Attempt(**row)

    def result(self, task_id: str) -> StageResult | None:
        """How the attempt ended, or None while it has not. Raises NotFound for an attempt that never started."""
        columns = (schema.attempts.c.result, schema.attempts.c.manifest)
        with self._database.reading() as connection:
            row = connection.execute(select(*columns).where(schema.attempts.c.task_id == task_id)).one_or_none()
        if row is None:
            raise NotFound("the attempt never started", where=task_id)
        return None if row.result is None else StageResult.model_validate({**row.result, "outputs": row.manifest})

    def manifests(self, task_ids: Iterable[str]) -> dict[str, Manifest]:
        """Attempt -> its outputs, for those of these attempts that left some."""
        table = schema.attempts
        query = select(table.c.task_id, table.c.manifest).where(table.c.task_id.in_(list(task_ids)))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {row.task_id: Manifest.model_validate(row.manifest) for row in rows if row.manifest is not None}

    def record_run_output(self, run_id: str, stage: str, manifest: Manifest) -> None:
        """Keep which outputs a run gave its later stages for `stage`, whether it made them or found them stored.

        Said again, it changes nothing. Raises ProjectConflict when the run handed on others before.
        """
        row = {"run_id": run_id, "stage": stage, "manifest": manifest.model_dump(mode="json")}
        with self._database.writing() as connection:
            connection.execute(insert(connection, schema.run_outputs).values(row).on_conflict_do_nothing())
            kept = connection.execute(_run_outputs(run_id, stage)).scalar_one()
        if Manifest.model_validate(kept) != manifest:
            raise ProjectConflict("the run handed on other outputs of this stage before", where=f"{run_id}.{stage}")

    def run_outputs(self, run_id: str, stage: str) -> Manifest | None:
        """The outputs that a run gave its later stages for `stage`."""
        with self._database.reading() as connection:
            kept = connection.execute(_run_outputs(run_id, stage)).scalar_one_or_none()
        return None if kept is None else Manifest.model_validate(kept)


def _require_outputs(connection: Connection, task_id: str) -> None:
    """Raise ProjectConflict unless the attempt has its outputs, and nobody takes them before this transaction ends."""
    table = schema.attempts
    query = select(table.c.outputs_removed_at).where(table.c.task_id == task_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None or row.outputs_removed_at is not None:
        raise ProjectConflict(
            "the outputs that were to be taken over have just been removed", where=task_id, remedy="Resume the project"
        )


def _end_of_attempt(result: StageResult) -> dict[str, Any]:
    return {
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "outcome": result.outcome,
        "message": result.message,
        "node": result.node,
        "mode": result.mode,
        "image_digest": result.image_digest,
        "result": result.model_dump(mode="json", exclude={"outputs"}),
        "manifest": result.outputs.model_dump(mode="json") if result.outputs else None,
        "output_address": result.outputs.address if result.outputs else None,
    }


def _worked_on(task: StageTask) -> dict[str, str]:
    """Upstream stage -> address of its outputs; and of the answer, if it read one."""
    answer = task.resources.get(ANSWER_RESOURCE)
    read = {} if answer is None else {ANSWER: answer.address}
    return {stage: outputs.address for stage, outputs in task.inputs.items()} | read


def _point_to_latest_run(connection: Connection, project: str) -> None:
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


def _inputs_in_use(connection: Connection, project: str | None = None) -> tuple[InputVersion, ...]:
    table = schema.inputs
    newest = select(table.c.project, table.c.name, func.max(table.c.version).label("version")).group_by(
        table.c.project, table.c.name
    )
    if project is not None:
        newest = newest.where(table.c.project == project)
    found = newest.subquery()
    query = select(table).join(
        found,
        and_(table.c.project == found.c.project, table.c.name == found.c.name, table.c.version == found.c.version),
    )
    rows = connection.execute(query.order_by(table.c.project, table.c.name)).mappings()
    return tuple(InputVersion(**{**row, "manifest": Manifest.model_validate(row["manifest"])}) for row in rows)


def _project(row: RowMapping, inputs: Iterable[InputVersion]) -> Project:
    return Project(**{**row, "tags": tuple(row["tags"])}, inputs={found.name: found.manifest for found in inputs})
