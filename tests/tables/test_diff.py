"""Two tables row by row, whatever is in them."""

from __future__ import annotations

import csv
import io
import random
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import InputRejected
from winslow_dagster.tables import read_file
from winslow_dagster.tables.diff import KINDS, RowKind, TableDiff
from winslow_dagster.tables.diff import diff as diff_tables
from winslow_dagster.tables.table import Table

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=5).map(
    lambda text: f"x{text}"
)
FOLDERS: list[Path] = []
ROWS = st.dictionaries(st.integers(0, 40), st.tuples(CELLS, CELLS), max_size=20)


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[Path]:
    """Where tables are. Each is read in this process, because there are hundreds."""
    with tempfile.TemporaryDirectory() as directory:
        FOLDERS.append(Path(directory))
        yield FOLDERS[-1]


def read(content: bytes) -> Table:
    source = FOLDERS[-1] / sha256(content).hexdigest()
    target = source.with_suffix(".sqlite")
    if not target.exists():
        source.write_bytes(content)
        limit = csv.field_size_limit()
        try:
            read_file._read("csv", source, target)
        except sqlite3.Error as error:  # as its process says it
            raise InputRejected(str(error)) from error
        finally:
            csv.field_size_limit(limit)
    return Table.open(target)


def written(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return text.getvalue().encode()


def diff(  # noqa: PLR0913, PLR0917  # as the function that is tested
    left: bytes,
    right: bytes,
    key: Sequence[str] | None = None,
    kinds: Sequence[RowKind] = KINDS,
    first: int = 1,
    count: int = 1000,
) -> TableDiff:
    return diff_tables(read(left), read(right), "t.csv", key=key, kinds=kinds, first=first, count=count)


@settings(deadline=None, max_examples=60)
@given(ROWS, ROWS, st.randoms())
def test_rows_are_found_by_their_key_in_any_order(
    left: dict[int, tuple[str, str]], right: dict[int, tuple[str, str]], shuffler: random.Random
) -> None:
    one = [(f"k{number}", *cells) for number, cells in left.items()]
    other = [(f"k{number}", *cells) for number, cells in right.items()]
    shuffler.shuffle(other)
    found = diff(written(("id", "a", "b"), one), written(("id", "a", "b"), other), ["id"])
    assert {row.right[0] for row in found.rows if row.kind == "added" and row.right} == {
        f"k{n}" for n in right.keys() - left.keys()
    }
    assert {row.left[0] for row in found.rows if row.kind == "removed" and row.left} == {
        f"k{n}" for n in left.keys() - right.keys()
    }
    both = left.keys() & right.keys()
    changed = {f"k{n}" for n in both if left[n] != right[n]}
    assert {row.left[0] for row in found.rows if row.kind == "changed" and row.left} == changed
    assert found.same == len(both) - len(changed)
    assert (found.left_rows, found.right_rows) == (len(left), len(right))


def test_the_cells_that_differ_are_named_and_columns_that_one_side_lacks_are_said_apart() -> None:
    found = diff(b"id,speed,class\n1,10,car\n2,20,bus\n", b"id,lane,speed\n2,a,20\n1,b,11\n")
    assert (found.key, found.columns_added, found.columns_removed) == (("id",), ("lane",), ("class",))
    (row,) = found.rows
    assert (row.kind, row.left_row, row.right_row, row.changed) == ("changed", 1, 2, ("speed",))
    assert found.columns == ("id", "speed", "class", "lane")
    assert (row.left, row.right) == (("1", "10", "car", ""), ("1", "11", "", "b"))


def test_rows_without_a_key_are_compared_by_position() -> None:
    found = diff(b"a,b\n1,1\n1,1\n2,2\n", b"a,b\n1,1\n1,2\n", ())
    assert [(row.kind, row.left_row, row.right_row) for row in found.rows] == [("changed", 2, 2), ("removed", 3, None)]


def test_a_key_is_found_that_tells_all_rows_apart() -> None:
    text = b"frame,vehicle,x\n1,1,0\n1,2,0\n2,1,0\n"
    assert diff(text, text.replace(b"2,1,0", b"2,1,9")).key == ("frame", "vehicle")
    assert diff(b"a,b\n1,1\n1,1\n", b"a,b\n1,1\n1,1\n").key == ()


def test_rows_with_an_equal_key_are_paired_in_order_and_that_is_said() -> None:
    found = diff(b"id,x\n1,1\n1,2\n", b"id,x\n1,1\n1,3\n1,4\n", ["id"])
    assert [(row.kind, row.left_row, row.right_row) for row in found.rows] == [("changed", 2, 2), ("added", None, 3)]
    assert "id does not identify every row: 3 rows repeat a key" in found.notes[0]


def test_an_unknown_key_names_the_nearest_column() -> None:
    with pytest.raises(InputRejected, match="Did you mean vehicle_id"):
        diff(b"vehicle_id,x\n1,1\n", b"vehicle_id,x\n1,1\n", ["vehicle_di"])


def test_a_window_has_its_part_and_kinds_can_be_chosen() -> None:
    left = written(("id", "x"), [(n, 0) for n in range(100)])
    right = written(("id", "x"), [(n, n % 2) for n in range(50, 150)])
    whole = diff(left, right, ["id"])
    assert whole.counts == {"changed": 25, "added": 50, "removed": 50}
    parts = [row for first in range(1, 126, 10) for row in diff(left, right, ["id"], first=first, count=10).rows]
    assert tuple(parts) == whole.rows
    assert diff(left, right, ["id"], kinds=("removed",), first=50).rows[0].left_row == 50


def test_numbers_are_equal_however_they_are_written_and_words_are_not() -> None:
    assert diff(b"id,x\n1,1\n2,2.50\n", b"id,x\n1.0,1.0\n2,2.5\n").total == 0
    assert diff(b"id,x\n1,1\n2,a\n", b"id,x\n1,1.0\n2,a\n", ["id"]).counts["changed"] == 1
    assert diff(b"id;x\n1;1,5\n", b"id,x\n1,1.5\n").total == 0
    assert diff(b"id,x\n1,\n2,nan\n3,4\n", b"id,x\n1,\n2,\n3,4\n").rows[0].changed == ("x",)


def test_a_short_row_has_empty_cells_and_a_table_without_common_columns_is_compared_by_position() -> None:
    assert diff(b"id,x\n1\n", b"id,x\n1,\n").total == 0
    assert diff(b"a\n1\n2\n", b"b\n1\n").counts == {"changed": 0, "added": 0, "removed": 1}


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_the_bytes_are_the_rows_add_up_or_there_is_a_reason(left: bytes, right: bytes) -> None:
    try:
        found = diff(left, right)
    except InputRejected:
        return
    assert found.counts["changed"] + found.counts["removed"] + found.same == found.left_rows
    assert found.counts["changed"] + found.counts["added"] + found.same == found.right_rows
    assert len(found.rows) == found.total
