"""What people say while a project goes on, and what that held back: pauses, holds and picks, as plain calls."""

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

HoldCause = Literal["paused", "input", "check"]


@dataclass(frozen=True, slots=True)
class Hold:
    """A stage that a run did not begin, and why: somebody paused it, is asked something, or a check failed before."""

    run_id: str
    stage: str
    project: str
    cause: HoldCause
    message: str
    held_at: datetime
    form: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """That a run shall begin no further stage, or (`after_stage`) none that follows this one."""

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
        """Ask that the run begin no further stage; the first who asked for the same is the one who did."""
        asked = Pause(run_id, project, datetime.now(UTC), by, after_stage)
        with self._database.writing() as connection:
            hold_project(connection, project)
            query = select(schema.pauses).where(schema.pauses.c.run_id == run_id)
            row = connection.execute(query).mappings().one_or_none()
            if row is not None and row["withdrawn_at"] is None and row["after_stage"] == after_stage:
                return Pause(**row)
            connection.execute(
                insert(connection, schema.pauses)
                .values(asdict(asked))
                .on_conflict_do_update(index_elements=["run_id"], set_=asdict(asked))
            )
        return asked

    def withdraw_pause(self, project: str, run_id: str) -> None:
        """The run shall go on after all. Raises ProjectConflict where a stage was held back already, or none asked."""
        with self._database.writing() as connection:
            hold_project(connection, project)
            held = select(schema.holds.c.stage).where(schema.holds.c.run_id == run_id, schema.holds.c.cause == "paused")
            if (stage := connection.execute(held).scalars().first()) is not None:
                raise ProjectConflict(
                    f"the pause has taken effect before {stage} already, and other stages still end",
                    where=f"project {project}",
                    remedy="Resume it once it is paused",
                )
            done = connection.execute(
                schema.pauses.update()
                .where(schema.pauses.c.run_id == run_id, schema.pauses.c.withdrawn_at.is_(None))
                .values(withdrawn_at=datetime.now(UTC))
            )
        if done.rowcount == 0:
            raise ProjectConflict("nobody asked it to pause", where=f"project {project}")

    def pause_of(self, run_id: str) -> Pause | None:
        """The pause that stands for a run."""
        query = select(schema.pauses).where(schema.pauses.c.run_id == run_id, schema.pauses.c.withdrawn_at.is_(None))
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Pause(**row)

    def held_by_pause(self, project: str, run_id: str, stage: str, upstream: Collection[str]) -> Hold | None:
        """The hold that keeps the stage from beginning, if the run was asked to pause. Decided once for all.

        `upstream` are all stages that it needs, directly or not.
        """
        with self._database.writing() as connection:
            hold_project(connection, project)
            held = select(schema.holds).where(schema.holds.c.run_id == run_id, schema.holds.c.stage == stage)
            if (row := connection.execute(held).mappings().one_or_none()) is not None:
                return Hold(**row)
            asked = select(schema.pauses).where(
                schema.pauses.c.run_id == run_id, schema.pauses.c.withdrawn_at.is_(None)
            )
            pause = connection.execute(asked).mappings().one_or_none()
            after = None if pause is None else pause["after_stage"]
            if pause is None or (after is not None and after not in upstream):
                return None
            message = f"{pause['asked_by']} asked it to pause" + (f" after {after}" if after else "")
            hold = Hold(run_id, stage, project, "paused", message, datetime.now(UTC))
            connection.execute(insert(connection, schema.holds).values(asdict(hold)).on_conflict_do_nothing())
        return hold

    def hold(self, hold: Hold) -> None:
        """Keep that a stage was held back. Said again, the first word stands."""
        with self._database.writing() as connection:
            connection.execute(insert(connection, schema.holds).values(asdict(hold)).on_conflict_do_nothing())

    def holds(self, run_ids: Iterable[str]) -> tuple[Hold, ...]:
        """What was held back in these runs, in order."""
        table = schema.holds
        query = select(table).where(table.c.run_id.in_(list(run_ids))).order_by(table.c.held_at, table.c.stage)
        with self._database.reading() as connection:
            return tuple(Hold(**row) for row in connection.execute(query).mappings())

    def pick(self, pick: Pick) -> None:
        """From now on the stage has the outputs of this attempt."""
        with self._database.writing() as connection:
            hold_project(connection, pick.project)
            connection.execute(schema.picks.insert().values(asdict(pick)))

    def picks(self, project: str) -> tuple[Pick, ...]:
        """The picks of a project, in order."""
        table = schema.picks
        columns = [table.c[name] for name in Pick.__dataclass_fields__]
        query = select(*columns).where(table.c.project == project).order_by(table.c.id)
        with self._database.reading() as connection:
            return tuple(Pick(**row) for row in connection.execute(query).mappings())
