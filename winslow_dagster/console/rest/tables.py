"""Output files as tables, by windows, and what is drawn of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.console.stage_place import Place, PlaceOf
from winslow_dagster.errors import NotFound
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.tables.charts import Chart, ChartKind, ChartQuery, chart
from winslow_dagster.tables.model import Reading, TableWindow
from winslow_dagster.tables.shapes import Shapes, shapes_of
from winslow_dagster.tables.table import Table
from winslow_dagster.tables.tracks import TrackColumns, Tracks, tracks_of

room = Room(prefix="/projects/{project}", tags=["tables"], threads=LOGS)

WAIT_S = 1.0
FileAddress = Annotated[str, Query(alias="file", description="The stage and the path of the file: `STAGE/PATH`.")]
Where = Annotated[
    tuple[str, ...],
    Query(description="Conditions on columns, all of which must hold: `speed_km_h > 50`, `class = car`, `name ~ bus`."),
]


Growing = Annotated[bool, Query(description="A CSV file that the stage is writing now, as it is so far.")]


@room.route_for("/table", role="viewer")
def show_table(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front,
    project: str,
    file: FileAddress,
    place: PlaceOf,
    begin: Annotated[int, Query(alias="from", ge=0, description="The first row, from 0.")] = 0,
    rows: Annotated[int, Query(ge=0, le=500, description="How many rows; there are fewer of a very wide table.")] = 100,
    columns: Annotated[tuple[str, ...], Query(description="The columns; by default all.")] = (),
    sort: Annotated[str, Query(description="A column; `-COLUMN` is descending.")] = "",
    where: Where = (),
    growing: Growing = False,  # noqa: FBT002  # by name, from the query
) -> TableWindow:
    """Some rows of a CSV, Parquet or GeoJSON file of any size, filtered and sorted."""
    handle = front.project(project)
    table = _table(handle, file, place, growing=growing)
    if isinstance(table, Reading):
        return TableWindow(shape=None, reading=table)
    return table.window(begin, rows, columns=columns, sort=sort, where=where)


@room.route_for("/chart", role="viewer")
def show_chart(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front,
    project: str,
    file: FileAddress,
    place: PlaceOf,
    y: Annotated[tuple[str, ...], Query(description="The columns to draw.")],
    x: Annotated[str, Query(description="The column of the horizontal axis; by default the row number.")] = "",
    kind: ChartKind = "line",
    group: Annotated[str, Query(description="A column; each of its values is drawn by itself.")] = "",
    where: Where = (),
    log_x: bool = False,  # noqa: FBT001, FBT002  # by name, from the query
    log_y: bool = False,  # noqa: FBT001, FBT002  # by name, from the query
    points: Annotated[int, Query(ge=50, le=4000, description="About as many points per series.")] = 1000,
    growing: Growing = False,  # noqa: FBT002  # by name, from the query
) -> Chart | Reading:
    """A chart of columns of a file, with as many points as a screen has pixels."""
    handle = front.project(project)
    table = _table(handle, file, place, growing=growing)
    if isinstance(table, Reading):
        return table
    query = ChartQuery(kind=kind, x=x, y=y, group=group, where=where, log_x=log_x, log_y=log_y)
    return chart(table, query, points)


@room.route_for("/tracks", role="viewer")
def show_tracks(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front,
    project: str,
    file: FileAddress,
    place: PlaceOf,
    track: Annotated[str, Query(description="The column that says which thing a row is of.")],
    time: Annotated[str, Query(description="The column of the time.")],
    x: str,
    y: str,
    speed: str = "",
    kind: Annotated[str, Query(description="The column of the kind of thing.")] = "",
    only: Annotated[str, Query(description="One thing, with all of its positions.")] = "",
    points: Annotated[int, Query(ge=100, le=200_000, description="About as many positions in all.")] = 40_000,
) -> Tracks | Reading:
    """Things that move, from a table with a row per thing and moment."""
    handle = front.project(project)
    table = handle.table(file_at(handle, file, place), WAIT_S)
    if isinstance(table, Reading):
        return table
    return tracks_of(table, TrackColumns(track=track, time=time, x=x, y=y, speed=speed, kind=kind), points, only)


@room.route_for("/shapes", role="viewer")
def show_shapes(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front,
    project: str,
    file: FileAddress,
    place: PlaceOf,
    begin: Annotated[int, Query(alias="from", ge=0, description="The first feature, from 0.")] = 0,
    count: Annotated[int, Query(ge=1, le=5000, description="How many features.")] = 2000,
) -> Shapes | Reading:
    """Features of a GeoJSON file, by windows."""
    handle = front.project(project)
    table = handle.table(file_at(handle, file, place), WAIT_S)
    return table if isinstance(table, Reading) else shapes_of(table, begin, count)


def _table(handle: ProjectHandle, address: str, place: Place, *, growing: bool) -> Table | Reading:
    if not growing:
        return handle.table(file_at(handle, address, place), WAIT_S)
    stage, _, path = address.partition("/")
    return handle.growing_table(stage, path, WAIT_S, pipeline=place.pipeline)


def file_at(handle: ProjectHandle, address: str, place: Place) -> ProjectFile:
    """The file at `STAGE/PATH`. Raises NotFound."""
    stage, _, path = address.partition("/")
    if not path:
        raise NotFound(f"{address!r} is not a file", expected="STAGE/PATH")
    return handle.file(stage, path, place.attempt, pipeline=place.pipeline)
