"""Attempts of stages: their tasks, results and outputs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, case, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project, insert
from winslow_dagster.projects.database.runs import UNKNOWN_REQUESTER, add_unannounced_run
from winslow_dagster.projects.domain.lineage import ANSWER, ANSWER_RESOURCE
from winslow_dagster.projects.domain.model import Attempt, RunRecord
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import Manifest

_ATTEMPT_COLUMNS = [schema.attempts.c[name] for name in Attempt.__dataclass_fields__]


class Attempts:
    """See `ProjectRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def attempt_started(
        self,
        task: StageTask,
        *,
        pipeline_digest: str | None = None,
        fingerprint: str | None = None,
        reused_from: str | None = None,
    ) -> None:
        """Record that an attempt was submitted to the engine, and its run if nobody has recorded it.

        Recorded again, nothing changes. `pipeline_digest` defaults to the version that the project uses.
        Raises ProjectConflict if the outputs of `reused_from` have just been removed.
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
            add_unannounced_run(connection, run)
            attempt = {
                **common,
                "inputs": _input_addresses(task),
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
        """Record an attempt that no run made: a person changed the outputs of the attempt `of`."""
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
                "outputs_bytes": sum(_own_bytes(result)),
            }
            connection.execute(schema.attempts.insert().values(row))

    def attempt_ended(self, task_id: str, result: StageResult) -> bool:
        """Record how an attempt ended. Returns False if the same end was already recorded.

        Raises NotFound for an attempt that never started, and ProjectConflict for an end that differs from the recorded
        one, or a second success of the same stage in the same run.
        """
        direct_bytes, linked_bytes = _own_bytes(result)
        reused = schema.attempts.c.reused_from.is_not(None)
        row = {
            **_end_of_attempt(result),
            "outputs_bytes": case((reused, linked_bytes), else_=direct_bytes + linked_bytes),
        }
        open_attempt = and_(schema.attempts.c.task_id == task_id, schema.attempts.c.ended_at.is_(None))
        try:
            with self._database.writing() as connection:
                done = connection.execute(schema.attempts.update().where(open_attempt).values(row))
        except IntegrityError as error:
            raise ProjectConflict("the stage has already succeeded in this run", where=task_id) from error
        if done.rowcount == 0 and self.result(task_id) != result:
            raise ProjectConflict("the attempt has already ended in another way", where=task_id)
        return done.rowcount > 0

    def open_attempts(self) -> tuple[Attempt, ...]:
        """The attempts of all projects that have not ended."""
        query = select(*_ATTEMPT_COLUMNS).where(schema.attempts.c.ended_at.is_(None))
        with self._database.reading() as connection:
            return tuple(Attempt(**row) for row in connection.execute(query).mappings())

    def unrecorded_ends(self) -> tuple[Attempt, ...]:
        """The attempts whose run has ended, but whose own end nobody has recorded."""
        open_attempt = and_(schema.attempts.c.ended_at.is_(None), schema.runs.c.ended_at.is_not(None))
        of_run = schema.attempts.join(schema.runs, schema.runs.c.run_id == schema.attempts.c.run_id)
        with self._database.reading() as connection:
            rows = connection.execute(select(*_ATTEMPT_COLUMNS).select_from(of_run).where(open_attempt)).mappings()
            return tuple(Attempt(**row) for row in rows)

    def task(self, task_id: str) -> StageTask | None:
        """The task of an attempt; None if it was never submitted to the engine."""
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
        """The attempt with that task id, of any project. Raises NotFound."""
        query = select(*_ATTEMPT_COLUMNS).where(schema.attempts.c.task_id == task_id)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound("the attempt never started", where=task_id)
        return Attempt(**row)

    def result(self, task_id: str) -> StageResult | None:
        """The result of an attempt; None until it ends. Raises NotFound for an attempt that never started."""
        columns = (schema.attempts.c.result, schema.attempts.c.manifest)
        with self._database.reading() as connection:
            row = connection.execute(select(*columns).where(schema.attempts.c.task_id == task_id)).one_or_none()
        if row is None:
            raise NotFound("the attempt never started", where=task_id)
        return None if row.result is None else StageResult.model_validate({**row.result, "outputs": row.manifest})

    def manifests(self, task_ids: Iterable[str]) -> dict[str, Manifest]:
        """Task id -> outputs, for those of these attempts that have some."""
        table = schema.attempts
        query = select(table.c.task_id, table.c.manifest).where(table.c.task_id.in_(list(task_ids)))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {row.task_id: Manifest.model_validate(row.manifest) for row in rows if row.manifest is not None}

    def log_results(self, task_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """Task id -> the results that its log reported, for those of these attempts that have ended."""
        table = schema.attempts
        query = select(table.c.task_id, table.c.result["log"]["results"].label("results")).where(
            table.c.task_id.in_(list(task_ids)), table.c.ended_at.is_not(None)
        )
        with self._database.reading() as connection:
            return {row.task_id: row.results or {} for row in connection.execute(query)}


def _require_outputs(connection: Connection, task_id: str) -> None:
    """Raise ProjectConflict if the outputs are gone. Keeps others from removing them until this transaction ends."""
    table = schema.attempts
    query = select(table.c.outputs_removed_at).where(table.c.task_id == task_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None or row.outputs_removed_at is not None:
        raise ProjectConflict(
            "the outputs to take over have just been removed", where=task_id, remedy="Resume the project"
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
        "log_bytes": result.log_manifest.size_bytes if result.log_manifest else 0,
    }


def _own_bytes(result: StageResult) -> tuple[int, int]:
    """The bytes of its outputs in their own tree, which may be that of a reused attempt, and in further trees of it."""
    files = result.outputs.files if result.outputs else ()
    direct = sum(entry.size_bytes for entry in files if entry.stored_at is None)
    linked = (entry for entry in files if entry.stored_at is not None)
    own = (each for each in linked if result.task_id in (each.stored_at.address if each.stored_at else "").split("/"))
    return direct, sum(each.size_bytes for each in own)


def _input_addresses(task: StageTask) -> dict[str, str]:
    """Upstream stage -> address of its outputs, and of the answer if it read one."""
    answer = task.resources.get(ANSWER_RESOURCE)
    read = {} if answer is None else {ANSWER: answer.address}
    return {stage: outputs.address for stage, outputs in task.inputs.items()} | read
