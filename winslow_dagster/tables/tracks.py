"""Things that move, from a table with a row per thing and moment, with as many points as a screen can show."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby

from winslow_dagster.tables.model import Frozen
from winslow_dagster.tables.table import Table

TRACKS_MOST = 5000
LIMITS = "BETWEEN -1e300 AND 1e300"


class TrackColumns(Frozen):
    """Which columns say what. Empty: there is no such column."""

    track: str
    time: str
    x: str
    y: str
    speed: str = ""
    kind: str = ""


class Track(Frozen):
    """One thing: where it was, and when, in order of time. `rows`: how many rows of the table it has."""

    name: str
    kind: str
    rows: int
    t: tuple[float, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    speed: tuple[float | None, ...]


class Tracks(Frozen):
    """All tracks, and one of `every` rows of each."""

    tracks: tuple[Track, ...]
    rows: int
    every: int
    begin: float = 0.0
    end: float = 0.0
    notes: tuple[str, ...] = ()


def tracks_of(table: Table, columns: TrackColumns, points: int, only: str = "") -> Tracks:
    """The tracks, with about `points` points in all; or all points of one. Raises NotFound, InputRejected."""
    name = f"COALESCE(c{table.index(columns.track)}, '')"
    time, x, y = (table.number(each) for each in (columns.time, columns.x, columns.y))
    speed = table.number(columns.speed) if columns.speed else "NULL"
    kind = f"COALESCE(c{table.index(columns.kind)}, '')" if columns.kind else "''"
    where = f"({time}) {LIMITS} AND ({x}) {LIMITS} AND ({y}) {LIMITS}"
    values: list[str] = []
    if only:
        where, values = f"{where} AND {name} = ?", [only]
    with table.connection() as database:
        ((rows, begin, end),) = database.execute(
            f"SELECT COUNT(*), MIN({time}), MAX({time}) FROM cells WHERE {where}",  # noqa: S608  # of column numbers
            values,
        ).fetchall()
        every = max(1, -(-rows // points))
        ordered = database.execute(
            f"SELECT {name}, {time}, {x}, {y}, {speed}, {kind} FROM cells WHERE {where} ORDER BY 1, 2",  # noqa: S608
            values,
        )
        found = tuple(_tracks(ordered, every))
    notes = []
    if every > 1:
        notes.append(f"Of {rows:,} positions, one in {every:,} is drawn.")
    if len(found) == TRACKS_MOST:
        notes.append(f"Only the first {TRACKS_MOST:,} are drawn.")
    return Tracks(tracks=found, rows=rows, every=every, begin=begin or 0.0, end=end or 0.0, notes=tuple(notes))


def _tracks(ordered: sqlite3.Cursor, every: int) -> Iterator[Track]:
    for number, (name, group) in enumerate(groupby(ordered, key=lambda row: row[0])):
        if number == TRACKS_MOST:
            return
        kept, last, count, kind = [], None, 0, ""
        for row in group:
            if count % every == 0:
                kept.append(row)
                kind = str(row[5])
            last, count = row, count + 1
        if last is not None and kept[-1] is not last:
            kept.append(last)
        yield Track(
            name=str(name),
            kind=kind,
            rows=count,
            t=tuple(round(row[1], 3) for row in kept),
            x=tuple(round(row[2], 3) for row in kept),
            y=tuple(round(row[3], 3) for row in kept),
            speed=tuple(None if row[4] is None else round(row[4], 2) for row in kept),
        )
