"""Pauses, picks, and the stages that a run held back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project, insert
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import pause_text

HoldCause = Literal["paused", "input", "check"]


@dataclass(frozen=True, slots=True)
class Hold:
    """A stage that a run did not start: the run was paused, a question is open, or an earlier check failed."""

    run_id: str
    stage: str
    project: str
    cause: HoldCause
    message: str
    held_at: datetime
    form: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A request that a run start no further stage, or none that follows `after_stage`."""

    run_id: str
    project: str
    asked_at: datetime
    asked_by: str
    after_stage: str | None = None
    withdrawn_at: datetime | None = None


class Holds:
    """Every method is one transaction and may be called again after a crash. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pause(self, project: str, run_id: str, by: str, after_stage: str | None = None) -> Pause:
        """Request a pause. Returns the pause that is in force: an equal one that was requested earlier stands."""
        requested = Pause(run_id, project, datetime.now(UTC), by, after_stage)
        with self._database.writing() as connection:
            hold_project(connection, project)
            query = select(schema.pauses).where(schema.pauses.c.run_id == run_id)
            row = connection.execute(query).mappings().one_or_none()
            if row is not None and row["withdrawn_at"] is None and row["after_stage"] == after_stage:
                return Pause(**row)
            connection.execute(
                insert(connection, schema.pauses)
                .values(asdict(requested))
                .on_conflict_do_update(index_elements=["run_id"], set_=asdict(requested))
            )
        return requested

    def withdraw_pause(self, project: str, run_id: str) -> None:
        """Withdraw the pause of a run. Raises ProjectConflict if it has held back a stage, or if there is none."""
        with self._database.writing() as connection:
            hold_project(connection, project)
            held = select(schema.holds.c.stage).where(schema.holds.c.run_id == run_id, schema.holds.c.cause == "paused")
            if (stage := connection.execute(held).scalars().first()) is not None:
                raise ProjectConflict(
                    f"the pause has already held back {stage}, and other stages are still running",
                    where=f"project {project}",
                    remedy="Resume the project once it is paused",
                )
            done = connection.execute(
                schema.pauses.update()
                .where(schema.pauses.c.run_id == run_id, schema.pauses.c.withdrawn_at.is_(None))
                .values(withdrawn_at=datetime.now(UTC))
            )
        if done.rowcount == 0:
            raise ProjectConflict("no pause was requested", where=f"project {project}")

    def pause_of(self, run_id: str) -> Pause | None:
        """The pause of a run that is in force."""
        return self.pauses_of([run_id]).get(run_id)

    def pauses_of(self, run_ids: Iterable[str]) -> dict[str, Pause]:
        """Run id -> its pause that is in force, for those of these runs that have one."""
        table = schema.pauses
        query = select(table).where(table.c.run_id.in_(list(run_ids)), table.c.withdrawn_at.is_(None))
        with self._database.reading() as connection:
            return {row["run_id"]: Pause(**row) for row in connection.execute(query).mappings()}

    def held_by_pause(self, project: str, run_id: str, stage: str, upstream: Collection[str]) -> Hold | None:
        """The hold that keeps the stage from starting, if the run is to pause. Once recorded, a hold stands.

        `upstream` are all stages that it depends on, directly or not.
        """
        with self._database.writing() as connection:
            hold_project(connection, project)
            held = select(schema.holds).where(schema.holds.c.run_id == run_id, schema.holds.c.stage == stage)
            if (row := connection.execute(held).mappings().one_or_none()) is not None:
                return Hold(**row)
            in_force = select(schema.pauses).where(
                schema.pauses.c.run_id == run_id, schema.pauses.c.withdrawn_at.is_(None)
            )
            pause = connection.execute(in_force).mappings().one_or_none()
            after = None if pause is None else pause["after_stage"]
            if pause is None or (after is not None and after not in upstream):
                return None
            message = pause_text(pause["asked_by"], after)
            hold = Hold(run_id, stage, project, "paused", message, datetime.now(UTC))
            connection.execute(insert(connection, schema.holds).values(asdict(hold)).on_conflict_do_nothing())
        return hold

    def hold(self, hold: Hold) -> None:
        """Record that a stage was held back. Recorded again, the first hold stands."""
        with self._database.writing() as connection:
            connection.execute(insert(connection, schema.holds).values(asdict(hold)).on_conflict_do_nothing())

    def holds(self, run_ids: Iterable[str]) -> tuple[Hold, ...]:
        """What was held back in these runs, the earliest first."""
        table = schema.holds
        query = select(table).where(table.c.run_id.in_(list(run_ids))).order_by(table.c.held_at, table.c.stage)
        with self._database.reading() as connection:
            return tuple(Hold(**row) for row in connection.execute(query).mappings())

    def pick(self, pick: Pick) -> None:
        """Make the outputs of an attempt the current ones of its stage."""
        with self._database.writing() as connection:
            hold_project(connection, pick.project)
            connection.execute(schema.picks.insert().values(asdict(pick)))

    def picks(self, project: str) -> tuple[Pick, ...]:
        """The picks of a project, the earliest first."""
        table = schema.picks
        columns = [table.c[name] for name in Pick.__dataclass_fields__]
        query = select(*columns).where(table.c.project == project).order_by(table.c.id)
        with self._database.reading() as connection:
            return tuple(Pick(**row) for row in connection.execute(query).mappings())
