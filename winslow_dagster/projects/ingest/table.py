"""The table of what landed in watched places, as plain calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import BindParameter, Connection, bindparam, func, select

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database

LandingState = Literal["growing", "waiting", "taking", "launching", "running", "taken", "set_aside", "failed"]
"""growing: may still change. waiting: whole, and waits for its turn. taking: it has a project's name, which is being
made. launching: a run was asked for. running: its run has not ended. taken: nothing is left to do. set_aside: a bad
file. failed: something else is wrong that a person has to mend."""
STATES: tuple[LandingState, ...] = get_args(LandingState)
IN_PROGRESS: frozenset[LandingState] = frozenset({"taking", "launching", "running"})
"""What counts against a watch's `at_once`."""
RETRIED: frozenset[LandingState] = frozenset({"set_aside", "failed"})


@dataclass(frozen=True, slots=True)
class Landing:
    """One file that landed. `modified` is a time or another mark of its content; `path` is below the watched place.

    `steady_since`: when it was first seen as it is. `settled_at`: since when it is in its state; None while it grows.
    """

    id: int
    watch: str
    path: str
    size_bytes: int
    modified: str
    state: LandingState
    reason: str
    project: str | None
    run_id: str | None
    seen_at: datetime
    steady_since: datetime
    settled_at: datetime | None

    def now(self, state: LandingState, at: datetime, reason: str = "") -> Landing:
        """The same in another state."""
        return replace(self, state=state, reason=reason, settled_at=None if state == "growing" else at)


class Landings:
    """Every method is one transaction. Only one pass over the watched places runs at a time (watching.py)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_watch(self, watch: str) -> dict[str, Landing]:
        """Path -> what landed there, the earliest first."""
        query = select(schema.landings).where(schema.landings.c.watch == watch).order_by(schema.landings.c.id)
        with self._database.reading() as connection:
            return {row["path"]: Landing(**row) for row in connection.execute(query).mappings()}

    def all(
        self, *, watch: str | None = None, states: Iterable[LandingState] = (), most: int | None = None
    ) -> tuple[Landing, ...]:
        """What landed anywhere, or in one place, or is in one of these states; the earliest first, `most` at most."""
        table, wanted = schema.landings, tuple(states)
        query = select(table).order_by(table.c.id).limit(most)
        if watch is not None:
            query = query.where(table.c.watch == watch)
        if wanted:
            query = query.where(table.c.state.in_(wanted))
        with self._database.reading() as connection:
            return tuple(Landing(**row) for row in connection.execute(query).mappings())

    def count(self, watch: str, state: LandingState) -> int:
        """How many of a watch are in a state."""
        table = schema.landings
        query = select(func.count()).select_from(table).where(table.c.watch == watch, table.c.state == state)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def get(self, landing_id: int) -> Landing:
        """One of them, as it is in the table. Raises NotFound."""
        with self._database.reading() as connection:
            return _one(connection, landing_id)

    def note(self, fresh: Iterable[Landing], changed: Iterable[Landing], gone: Iterable[Landing] = ()) -> None:
        """Keep what one look at a place showed: all or nothing. The ids of fresh ones are given by the database."""
        table = schema.landings
        new = [{key: value for key, value in asdict(each).items() if key != "id"} for each in fresh]
        rows = [_values(each) for each in changed]
        ids = [{"landing": each.id} for each in gone]
        if not (new or rows or ids):
            return
        with self._database.writing() as connection:
            if new:
                connection.execute(table.insert(), new)
            if rows:
                _write(connection, rows)
            if ids:
                connection.execute(table.delete().where(table.c.id == bindparam("landing")), ids)

    def keep(self, landing: Landing) -> Landing:
        """Keep one as it is now, and give it back."""
        with self._database.writing() as connection:
            _write(connection, [_values(landing)])
        return landing

    def reserve(self, landing: Landing, names: Iterable[str], at: datetime) -> Landing:
        """Give it the first of these names that no project has and no other file was given; it is then `taking`.

        Raises ProjectConflict where all are taken.
        """
        with self._database.writing() as connection:
            for name in names:
                if _free(connection, name, landing.id):
                    reserved = replace(landing, project=name).now("taking", at)
                    _write(connection, [_values(reserved)])
                    return reserved
        raise ProjectConflict("every name that its project could have is taken", where=landing.path)

    def retry(self, landing_id: int, at: datetime) -> Landing:
        """Have a file that was set aside, or failed, looked at again. Raises NotFound, ProjectConflict."""
        with self._database.writing() as connection:
            landing = _one(connection, landing_id)
            if landing.state not in RETRIED:
                raise ProjectConflict(
                    f"it is {landing.state}",
                    where=f"landing {landing_id}, {landing.path}",
                    expected=f"one that is {' or '.join(sorted(RETRIED))}",
                )
            again = replace(landing, steady_since=at).now("growing", at)
            _write(connection, [_values(again)])
        return again


def _one(connection: Connection, landing_id: int) -> Landing:
    query = select(schema.landings).where(schema.landings.c.id == landing_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(
            f"nothing landed as number {landing_id}",
            remedy=Action("list_ingest_files"),
        )
    return Landing(**row)


def _values(landing: Landing) -> dict[str, object]:
    return {("landing" if key == "id" else f"new_{key}"): value for key, value in asdict(landing).items()}


def _write(connection: Connection, rows: list[dict[str, object]]) -> None:
    table = schema.landings
    values: dict[str, BindParameter[object]] = {
        column.name: bindparam(f"new_{column.name}") for column in table.c if column.name != "id"
    }
    connection.execute(table.update().where(table.c.id == bindparam("landing")).values(values), rows)


def _free(connection: Connection, name: str, landing_id: int) -> bool:
    project, other = schema.projects.c.name, schema.landings.c
    there = connection.execute(select(project).where(project == name)).first()
    promised = connection.execute(select(other.id).where(other.project == name, other.id != landing_id)).first()
    return there is None and promised is None
