"""The project tables as plain calls: what projects there are, what was asked, what ran, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Select, Table, and_, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects import tables
from winslow_dagster.projects.database import WRITING, Database
from winslow_dagster.projects.values import Attempt, InputVersion, Project, RunRecord, checked_name
from winslow_dagster.stages.task import StageResult, StageTask
from winslow_dagster.storage.manifest import Manifest

_ATTEMPT_COLUMNS = [tables.attempts.c[name] for name in Attempt.__dataclass_fields__]
UNKNOWN_REQUESTER = "dagit"
_END_OF_RUN = ("ended_at", "outcome", "reason")


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

    def alone_with(self, project: str) -> AbstractContextManager[None]:
        """Nobody else decides about this project inside the block: the second waits, and sees what the first did."""
        return self._database.alone(f"project-{checked_name(project)}")

    def create_project(
        self, name: str, *, pipeline: str, pipeline_digest: str, env: dict[str, str], created_by: str
    ) -> Project:
        """A new project. Raises InputRejected for a name that cannot be one, ProjectConflict for one that is taken."""
        project = Project(checked_name(name), pipeline, pipeline_digest, env, datetime.now(UTC), created_by)
        row = {key: value for key, value in asdict(project).items() if key != "inputs"}
        try:
            with self._database.writing() as connection:
                connection.execute(tables.projects.insert().values(row))
        except IntegrityError as error:
            raise ProjectConflict(f"there is a project {name!r} already", where=f"project {name}") from error
        return project

    def project(self, name: str) -> Project:
        """The project of that name, with the inputs now in use."""
        with self._database.reading() as connection:
            query = select(tables.projects).where(tables.projects.c.name == name)
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                raise _unknown(name)
            return _project(row, _inputs_in_use(connection, name))

    def projects(self) -> tuple[Project, ...]:
        """All projects by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.projects).order_by(tables.projects.c.name)).mappings().all()
            inputs: dict[str, list[InputVersion]] = {}
            for found in _inputs_in_use(connection):
                inputs.setdefault(found.project, []).append(found)
        return tuple(_project(row, inputs.get(row["name"], ())) for row in rows)

    def pin_pipeline(self, project: str, pipeline: str, digest: str) -> None:
        """From now on the project's runs use this version of this pipeline."""
        with self._database.writing() as connection:
            done = connection.execute(
                tables.projects.update()
                .where(tables.projects.c.name == project)
                .values(pipeline=pipeline, pipeline_digest=digest)
            )
        if done.rowcount == 0:
            raise _unknown(project)

    def add_input(
        self, project: str, name: str, manifest: Manifest, *, original_path: str, added_by: str
    ) -> InputVersion:
        """Take a file into use under a name; what was there before stays in the history.

        The content that is in use already adds nothing. Of two people who add at the same moment, the later is used.
        """
        with self._database.writing() as connection:
            # Holds the project's row, so that versions are counted by one at a time.
            self._require(connection, project)
            in_use = next((found for found in _inputs_in_use(connection, project) if found.name == name), None)
            if in_use is not None and in_use.manifest.files == manifest.files:
                return in_use
            version = 1 if in_use is None else in_use.version + 1
            added = InputVersion(project, name, version, manifest, original_path, datetime.now(UTC), added_by)
            row = {**asdict(added), "manifest": manifest.model_dump(mode="json")}
            connection.execute(tables.inputs.insert().values(row))
        return added

    def inputs(self, project: str) -> tuple[InputVersion, ...]:
        """The inputs now in use, by name."""
        with self._database.reading() as connection:
            self._require(connection, project)
            return _inputs_in_use(connection, project)

    def note_run(self, run: RunRecord) -> None:
        """Keep what was asked of a run. Said again, the last word stands."""
        row = asdict(run)
        with self._database.writing() as connection:
            self._require(connection, run.project)
            # The run may be quicker than this: how it ended is not asked for, and stays.
            asked = {key: value for key, value in row.items() if key not in {"run_id", *_END_OF_RUN}}
            connection.execute(
                _insert(connection, tables.runs)
                .values(row)
                .on_conflict_do_update(index_elements=["run_id"], set_=asked)
            )
            _point_to_latest_run(connection, run.project)

    def runs(self, project: str) -> tuple[RunRecord, ...]:
        """The project's runs, the latest first."""
        query = select(tables.runs).where(tables.runs.c.project == project).order_by(tables.runs.c.launched_at.desc())
        with self._database.reading() as connection:
            self._require(connection, project)
            return tuple(RunRecord(**row) for row in connection.execute(query).mappings())

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
        """
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            pinned = self._require(connection, task.project)
            common = {
                "run_id": task.run_id,
                "project": task.project,
                "pipeline": task.pipeline,
                "pipeline_digest": pipeline_digest or pinned,
            }
            _note_unknown_run(connection, common, now)
            attempt = {
                **common,
                "inputs": {stage: outputs.address for stage, outputs in task.inputs.items()},
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
            connection.execute(_insert(connection, tables.attempts).values(attempt).on_conflict_do_nothing())

    def attempt_ended(self, task_id: str, result: StageResult) -> bool:
        """Keep how an attempt ended; whether that was news. Said again, it changes nothing.

        Raises NotFound for an attempt that never started, and ProjectConflict for another end than the one it has, or a
        second success of the same stage in the same run.
        """
        row = {
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
        open_attempt = and_(tables.attempts.c.task_id == task_id, tables.attempts.c.ended_at.is_(None))
        try:
            with self._database.writing() as connection:
                done = connection.execute(tables.attempts.update().where(open_attempt).values(row))
        except IntegrityError as error:
            raise ProjectConflict("the stage has succeeded in this run already", where=task_id) from error
        if done.rowcount == 0 and self.result(task_id) != result:
            raise ProjectConflict("the attempt has ended before, in another way", where=task_id)
        return done.rowcount > 0

    def attempts(self, project: str) -> tuple[Attempt, ...]:
        """Every attempt of the project, in the order in which they started."""
        query = select(*_ATTEMPT_COLUMNS).where(tables.attempts.c.project == project)
        order = (tables.attempts.c.started_at, tables.attempts.c.task_id)
        with self._database.reading() as connection:
            self._require(connection, project)
            rows = connection.execute(query.order_by(*order)).mappings()
            return tuple(Attempt(**row) for row in rows)

    def result(self, task_id: str) -> StageResult | None:
        """How the attempt ended, or None while it has not. Raises NotFound for an attempt that never started."""
        columns = (tables.attempts.c.result, tables.attempts.c.manifest)
        with self._database.reading() as connection:
            row = connection.execute(select(*columns).where(tables.attempts.c.task_id == task_id)).one_or_none()
        if row is None:
            raise NotFound("the attempt never started", where=task_id)
        return None if row.result is None else StageResult.model_validate({**row.result, "outputs": row.manifest})

    def latest_outputs(self, project: str) -> dict[str, Manifest]:
        """Stage -> the outputs of its latest attempt that succeeded, in the pipeline the project has now."""
        pipeline = self.project(project).pipeline
        table = tables.attempts
        newest = (
            select(
                table.c.stage,
                table.c.manifest,
                func.row_number()
                .over(partition_by=table.c.stage, order_by=(table.c.ended_at.desc(), table.c.task_id.desc()))
                .label("rank"),
            )
            .where(table.c.project == project, table.c.pipeline == pipeline, table.c.outcome == "succeeded")
            .subquery()
        )
        with self._database.reading() as connection:
            rows = connection.execute(select(newest.c.stage, newest.c.manifest).where(newest.c.rank == 1)).all()
        return {row.stage: Manifest.model_validate(row.manifest) for row in rows if row.manifest is not None}

    def note_handed_on(self, run_id: str, stage: str, manifest: Manifest) -> None:
        """Keep which outputs a run gave its later stages for `stage`, whether it made them or found them stored.

        Said again, it changes nothing. Raises ProjectConflict when the run handed on others before.
        """
        row = {"run_id": run_id, "stage": stage, "manifest": manifest.model_dump(mode="json")}
        with self._database.writing() as connection:
            connection.execute(_insert(connection, tables.handed_on).values(row).on_conflict_do_nothing())
            kept = connection.execute(_handed_on(run_id, stage)).scalar_one()
        if Manifest.model_validate(kept) != manifest:
            raise ProjectConflict("the run handed on other outputs of this stage before", where=f"{run_id}.{stage}")

    def handed_on(self, run_id: str, stage: str) -> Manifest | None:
        """The outputs that a run gave its later stages for `stage`."""
        with self._database.reading() as connection:
            kept = connection.execute(_handed_on(run_id, stage)).scalar_one_or_none()
        return None if kept is None else Manifest.model_validate(kept)

    @staticmethod
    def _require(connection: Connection, project: str) -> str:
        """The version the project is pinned to. Raises NotFound where there is no such project.

        A writer holds the project's row from here until its transaction ends.
        """
        query = select(tables.projects.c.pipeline_digest).where(tables.projects.c.name == project)
        if connection.get_execution_options().get(WRITING):
            query = query.with_for_update()
        digest: str | None = connection.execute(query).scalar_one_or_none()
        if digest is None:
            raise _unknown(project)
        return digest


def _unknown(project: str) -> NotFound:
    return NotFound(f"there is no project {project!r}", remedy="`winslow status` lists the projects")


def _insert(connection: Connection, table: Table) -> Any:
    """An insert that can say what to do on conflict; the two dialects spell it alike in classes of their own."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _note_unknown_run(connection: Connection, common: dict[str, Any], now: datetime) -> None:
    """A run that nobody announced was started in Dagit; one that was announced stays as it is."""
    run = {
        **common,
        "launched_at": now,
        "settings": {},
        "requested_by": UNKNOWN_REQUESTER,
        "via": UNKNOWN_REQUESTER,
        "why": "",
        "reason": "",
    }
    done = connection.execute(_insert(connection, tables.runs).values(run).on_conflict_do_nothing())
    if done.rowcount:
        _point_to_latest_run(connection, common["project"])


def _point_to_latest_run(connection: Connection, project: str) -> None:
    table = tables.runs
    latest = (
        select(table.c.run_id)
        .where(table.c.project == project)
        .order_by(table.c.launched_at.desc(), table.c.run_id)
        .limit(1)
        .scalar_subquery()
    )
    update = tables.projects.update().where(tables.projects.c.name == project)
    connection.execute(update.values(latest_run=latest))


def _handed_on(run_id: str, stage: str) -> Select[Any]:
    table = tables.handed_on
    return select(table.c.manifest).where(table.c.run_id == run_id, table.c.stage == stage)


def _inputs_in_use(connection: Connection, project: str | None = None) -> tuple[InputVersion, ...]:
    table = tables.inputs
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
