"""Files as tables: what the csv module reads is what the windows show, and no file takes long or much memory."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import arro3.core as arrow
import pytest
from arro3.io import write_parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import InputRejected, NotFound, WinslowError
from winslow_dagster.tables.cache import TableCache, TableKind
from winslow_dagster.tables.charts import ChartQuery, chart
from winslow_dagster.tables.csv_rows import read_csv
from winslow_dagster.tables.geojson_rows import read_geojson
from winslow_dagster.tables.shapes import shapes_of
from winslow_dagster.tables.table import Table
from winslow_dagster.tables.tracks import TrackColumns, tracks_of

Open = Callable[..., Table]
LONG_S = 120.0


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Reads a file with this content, in the process that reads files."""
    cache = TableCache(tmp_path / "tables")
    count = iter(range(1000))

    def open_content(content: bytes | str, kind: TableKind = "csv") -> Table:
        number = next(count)
        path = tmp_path / f"{number}.file"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        table = cache.open(str(number), kind, lambda: contextlib.nullcontext(path), LONG_S)
        assert isinstance(table, Table)
        return table

    return open_content


def cells(table: Table, **options: Any) -> list[tuple[str, ...]]:
    return list(table.window(0, 500, **options).rows)


CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    rows=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=20),
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_rows_are_those_of_the_csv_module(rows: list[list[str]], delimiter: str, line_end: str, encoding: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([["name", "value"], *rows])
    table = read_csv(io.BytesIO(text.getvalue().encode(encoding)))
    assert table.header == ("name", "value")
    assert list(table.rows) == list(csv.reader(io.StringIO(text.getvalue(), newline=""), delimiter=delimiter))[1:]


def test_a_window_shows_any_part_of_a_file_with_all_that_csv_allows(opened: Open) -> None:
    table = opened('a,b\n1,"two\nlines"\n2,"say ""hi"""\n3,\n\n4,"x,y",more\n')
    assert cells(table, columns=["a", "b"]) == [("1", "two\nlines"), ("2", 'say "hi"'), ("3", ""), ("4", "x,y")]
    assert cells(table, columns=["column 3"])[2:] == [("",), ("more",)]
    assert table.window(1, 2).numbers == (2, 3)
    assert [column.kind for column in table.shape.columns] == ["number", "text", "text"]


def test_what_of_a_file_is_not_shown_is_said(opened: Open) -> None:
    table = opened("a,b\n" + "1,2\n" * 2000 + "1,2,3\n" + f"1,{'y' * 50_000}\n")
    assert [note.split(" ", 1)[1] for note in table.shape.notes] == [
        "cells are longer than 32,768 characters and are cut.",
        "rows have more cells than there are columns; these cells are not shown.",
    ]
    assert table.window(2001, 1).rows[0][1] == "y" * 1000 + "…"


@pytest.mark.parametrize(
    ("content", "names", "row"),
    [
        ("x;y\n1,5;ä\n".encode("cp1252"), ("x", "y"), ("1,5", "ä")),
        ("x\ty\n1\tü\n".encode("utf-16"), ("x", "y"), ("1", "ü")),
        (b"\xef\xbb\xbfx|y\n1|2\n", ("x", "y"), ("1", "2")),
        (b"1,2\n3,4\n", ("column 1", "column 2"), ("1", "2")),
        (b"x,x,\n1,2,3\n", ("x", "x (2)", "column 3"), ("1", "2", "3")),
        (b"x,y\r1,2\r", ("x", "y"), ("1", "2")),
    ],
)
def test_encodings_delimiters_and_headers_are_found_out(
    opened: Open, content: bytes, names: tuple[str, ...], row: tuple[str, ...]
) -> None:
    table = opened(content)
    assert tuple(column.name for column in table.shape.columns) == names
    assert cells(table)[0] == row


def test_numbers_with_a_decimal_comma_are_sorted_and_filtered_as_numbers(opened: Open) -> None:
    table = opened("name;speed\na;10,5\nb;9,25\nc;\nd;n/a\n")
    assert table.shape.columns[1].decimal_comma
    assert [row[0] for row in cells(table, sort="speed")] == ["b", "a", "c", "d"]
    assert [row[0] for row in cells(table, sort="-speed")] == ["a", "b", "c", "d"]
    assert [row[0] for row in cells(table, where=["speed >= 9,5"])] == ["a"]


def test_filters_combine_and_say_what_is_wrong_with_them(opened: Open) -> None:
    table = opened("speed,speed > limit,kind\n50,no,car\n70,yes,car\n90,yes,bus\n")
    assert len(cells(table, where=["speed > 60", "kind = car"])) == 1
    assert len(cells(table, where=["speed > limit = yes"])) == 2
    assert len(cells(table, where=["kind ~ A", "kind != bus"])) == 2
    assert table.window(0, 1, where=["speed>=50"], sort="-speed").rows == (("90", "yes", "bus"),)
    for wrong in ("speed > fast", "height > 3", "speed", "", "x" * 2000, "kind; DROP TABLE cells = 1"):
        with pytest.raises(InputRejected):
            table.window(0, 1, where=[wrong])
    with pytest.raises(NotFound):
        table.window(0, 1, sort="height")
    with pytest.raises(NotFound):
        table.window(0, 1, columns=['kind" FROM facts --'])


def hostile() -> Iterator[tuple[str, bytes]]:
    draw = random.Random(7)
    yield from {
        "empty": b"",
        "only a mark": b"\xef\xbb\xbf",
        "only line ends": b"\r\n\n\r" * 1000,
        "zero bytes": b"a,b\n1,\0\n",
        "an endless line": b"a" * (3 << 20),
        "an endless cell": b'a,b\n"' + b"x\n" * (2 << 20),
        "an endless row": b'a\n"x' + b'\n","' * (1 << 20),
        "very many columns": b",".join(b"c%d" % each for each in range(50_000)) + b"\n1,2\n",
        "ragged rows": b"".join(b"," * draw.randrange(200) + b"\n" for _ in range(5000)),
        "a long cell": b"a,b\n1," + b"y" * (1 << 19) + b"\n",
        "only quotation marks": b'"' * 100_000,
        "half a character": b"a,b\n1,\xc3",
        "infinities": b"a,b\n1,inf\n1e999,-inf\nnan,-1e999\n",
        "a huge number": b"a\n" + b"9" * 5000 + b"\n",
        "underscores": b"a\n1_000\n",
        "sql": b'a"; DROP TABLE cells; --,b\n1,2\n',
        "utf-16 cut off": "a,b\n1,2\n".encode("utf-16")[:-1],
    }.items()
    for number in range(100):
        good = "id,speed,name\n" + "".join(f'{each},{each * 1.5},"n {each}"\n' for each in range(50))
        spoilt = bytearray(good.encode())
        for _ in range(draw.randrange(1, 30)):
            spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
        yield f"spoilt {number}", bytes(spoilt[: draw.randrange(1, len(spoilt))])


def read_all(content: bytes) -> int:
    return sum(1 for _ in read_csv(io.BytesIO(content)).rows)


@pytest.mark.parametrize(("name", "content"), [pytest.param(*each, id=each[0]) for each in hostile()])
def test_no_csv_file_breaks_the_reader(name: str, content: bytes) -> None:
    with contextlib.suppress(InputRejected):
        assert read_all(content) >= 0, name


@pytest.mark.parametrize(
    "name", ["empty", "an endless line", "very many columns", "ragged rows", "infinities", "sql", "a huge number"]
)
def test_hostile_files_are_tables_or_say_why_not(opened: Open, name: str) -> None:
    content = dict(hostile())[name]
    with contextlib.suppress(InputRejected):
        table = opened(content)
        assert len(cells(table)) <= table.shape.rows
        for column in table.shape.columns[:3]:
            cells(table, sort=f"-{column.name}")
            with contextlib.suppress(WinslowError):
                chart(table, ChartQuery(y=(column.name,)), 100)


def test_a_parquet_file_is_a_table(opened: Open, tmp_path: Path) -> None:
    rows = 10_000
    table = arrow.Table.from_pydict(
        {
            "id": arrow.Array(list(range(rows)), arrow.DataType.int64()),
            "speed": arrow.Array([each / 3 for each in range(rows)], arrow.DataType.float64()),
            "kind": arrow.Array(["car" if each % 2 else None for each in range(rows)], arrow.DataType.string()),
        }
    )
    write_parquet(table, tmp_path / "t.parquet")
    found = opened((tmp_path / "t.parquet").read_bytes(), "parquet")
    assert found.shape.rows == rows
    assert [column.kind for column in found.shape.columns] == ["number", "number", "text"]
    assert found.window(9998, 5).rows == (("9998", repr(9998 / 3), ""), ("9999", repr(9999 / 3), "car"))
    assert cells(found, sort="-speed")[0][0] == "9999"


def test_no_parquet_file_breaks_the_reader(opened: Open, tmp_path: Path) -> None:
    write_parquet(
        arrow.Table.from_pydict({"id": arrow.Array(list(range(500)), arrow.DataType.int64())}), tmp_path / "t.parquet"
    )
    good = (tmp_path / "t.parquet").read_bytes()
    draw = random.Random(3)
    for _ in range(12):
        spoilt = bytearray(good)
        for _ in range(draw.randrange(1, 20)):
            spoilt[draw.randrange(4, len(spoilt) - 8)] = draw.randrange(256)
        with contextlib.suppress(InputRejected):
            cells(opened(bytes(spoilt), "parquet"))
    for content in (b"", b"PAR1", good[:-1], good[4:], b"PAR1" + b"\xff" * 100 + b"\xff\xff\xff\x7fPAR1"):
        with pytest.raises(InputRejected):
            opened(content, "parquet")


GEOJSON = (
    '{"type": "FeatureCollection", "name": "x", "features": ['
    '{"type": "Feature", "properties": {"lane": "L1"}, "geometry": '
    '{"type": "LineString", "coordinates": [[1, 2], [3, 5]]}},'
    '\n{"type": "Feature", "properties": null, "geometry": null}], "more": 1}'
)


def test_features_of_geojson_are_rows(opened: Open) -> None:
    table = opened(GEOJSON, "geojson")
    assert [row[:6] for row in cells(table)] == [
        ("LineString", "1", "2", "3", "5", '{"lane": "L1"}'),
        ("", "", "", "", "", "{}"),
    ]
    single = opened('{"type": "Point", "coordinates": [1.5, 2]}', "geojson")
    assert cells(single)[0][:3] == ("Point", "1.5", "2")


def hostile_geojson() -> Iterator[bytes]:
    yield from (b"", b"{", b"[]", b"1", b'"a"', b"null", b'{"type": "Feature"', b"[" * 100_000, GEOJSON[:-30].encode())
    yield b'{"features": [' + b"[" * 100_000
    yield b'{"type": "Point", "coordinates": ["a", {}, null, NaN]}'
    yield b'{"type": "Polygon", "coordinates": [[[[[[[[[1, 2]]]]]]]]]}'
    yield b'{"type": "FeatureCollection", "features": ["' + b"x" * (17 << 20)
    draw = random.Random(5)
    for _ in range(100):
        spoilt = bytearray(GEOJSON.encode())
        for _ in range(draw.randrange(1, 10)):
            spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
        yield bytes(spoilt)


def test_no_geojson_file_breaks_the_reader() -> None:
    for content in hostile_geojson():
        with contextlib.suppress(InputRejected):
            assert all(len(row) == 7 for row in read_geojson(io.BytesIO(content)))


def test_a_table_is_read_once_and_the_ones_unused_longest_are_deleted(tmp_path: Path) -> None:
    cache = TableCache(tmp_path / "tables", limit_bytes=20_000)
    reads = []

    @contextlib.contextmanager
    def source() -> Iterator[Path]:
        reads.append(1)
        path = tmp_path / "t.csv"
        path.write_text("a\n1\n")
        yield path

    for key in ("one", "one", "two", "three", "four"):
        assert isinstance(cache.open(key, "csv", source, LONG_S), Table)
    assert len(reads) == 4
    assert {path.name.partition(".")[0] for path in (tmp_path / "tables").glob("*.sqlite")} <= {"two", "three", "four"}
    fault = tmp_path / "fault"
    fault.write_bytes(b"\0")
    for _ in range(2):
        with pytest.raises(InputRejected, match="zero bytes"):
            cache.open("bad", "csv", lambda: contextlib.nullcontext(fault), LONG_S)


def test_charts_keep_extremes_however_few_points_they_have(opened: Open) -> None:
    rows = [(each, 5.0) for each in range(20_000)]
    rows[12_345] = (12_345, 99.0)
    rows[777] = (777, -3.0)
    table = opened("t,v,k\n" + "".join(f"{t},{v},{'ab'[t % 2]}\n" for t, v in rows))
    line = chart(table, ChartQuery(x="t", y=("v",)), 100)
    assert len(line.series[0].x) <= 200
    assert (min(line.series[0].y), max(line.series[0].y)) == (-3.0, 99.0)
    assert list(line.series[0].x) == sorted(line.series[0].x)
    grouped = chart(table, ChartQuery(x="t", y=("v",), group="k"), 100)
    assert [each.name for each in grouped.series] == ["a", "b"]
    histogram = chart(table, ChartQuery(kind="histogram", y=("v",)), 100)
    assert sum(histogram.series[0].y) == 20_000
    points = chart(table, ChartQuery(kind="points", x="t", y=("v",)), 100)
    assert max(points.series[0].y) == 99.0
    box = chart(table, ChartQuery(kind="box", y=("v",), group="k"), 100).boxes
    assert [(each.name, each.median, each.max) for each in box] == [("a", 5.0, 5.0), ("b", 5.0, 99.0)]
    logarithmic = chart(table, ChartQuery(x="t", y=("v",), log_x=True, log_y=True), 100)
    assert min(logarithmic.series[0].y) == 5.0
    with pytest.raises(InputRejected, match="words"):
        chart(table, ChartQuery(y=("k",)), 100)


def test_tracks_are_thinned_evenly_and_keep_their_ends(opened: Open) -> None:
    rows = [f"{track},{step / 10},{step},{track},{50 + track},car" for step in range(1000) for track in range(5)]
    table = opened("id,t,x,y,v,k\n" + "\n".join(rows) + "\n6,,1,2,3,car\n")
    columns = TrackColumns(track="id", time="t", x="x", y="y", speed="v", kind="k")
    found = tracks_of(table, columns, 500)
    assert [each.name for each in found.tracks] == ["0", "1", "2", "3", "4"]
    assert (found.rows, found.every) == (5000, 10)
    for track in found.tracks:
        assert (track.t[0], track.t[-1], track.rows) == (0.0, 99.9, 1000)
        assert list(track.t) == sorted(track.t)
        assert len(track.t) <= 102
    alone = tracks_of(table, columns, 5000, only="3")
    assert [(each.name, len(each.t)) for each in alone.tracks] == [("3", 1000)]
    with pytest.raises(NotFound):
        tracks_of(table, TrackColumns(track="none", time="t", x="x", y="y"), 500)
    with pytest.raises(InputRejected, match="words"):
        tracks_of(table, TrackColumns(track="id", time="k", x="x", y="y"), 500)


def test_shapes_come_by_windows_with_bounded_vertices(opened: Open) -> None:
    line = [[each, each % 7] for each in range(50_000)]
    geometries: list[Any] = [
        {"type": "LineString", "coordinates": line},
        {"type": "Point", "coordinates": [5, 6, 7]},
        {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 0]], [[1, 1], [2, 1], [1, 1]]]},
        {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}]},
    ]
    features = [{"type": "Feature", "properties": {"n": n}, "geometry": each} for n, each in enumerate(geometries)]
    table = opened(json.dumps({"type": "FeatureCollection", "features": features}), "geojson")
    found = shapes_of(table, 0, 10)
    assert found.box == (0, 0, 49_999, 6)
    assert len(found.shapes[0].lines[0]) <= 2001
    assert found.shapes[0].lines[0][-1] == (49_999, 49_999 % 7)
    assert [len(each.lines) for each in found.shapes] == [1, 1, 2, 1]
    assert [each.number for each in shapes_of(table, 2, 1).shapes] == [3]
    with pytest.raises(InputRejected, match="no shapes"):
        shapes_of(opened("a,b\n1,2\n"), 0, 1)
