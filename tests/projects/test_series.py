"""Columns of CSV files as curves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.projects.comparison.csv_file import CsvSource
from winslow_dagster.projects.comparison.series import Curve, _cell, axes, curve, numeric_columns


def source(content: bytes) -> CsvSource:
    return CsvSource(lambda start, length: content[start : start + length], len(content), "")


def drawn(text: str, x: str, y: str, points: int = 1000) -> Curve:
    return curve("a", source(text.encode()), x, y, points=points)


def test_columns_with_text_are_no_axes() -> None:
    content = b"t,class,v,empty\n1,car,2,\n2,bus,3,\n"
    assert numeric_columns(source(content)) == ("t", "v")
    assert axes(("t", "v"), "", "") == ("t", "v")
    assert axes(("v",), "", "") == ("", "v")
    with pytest.raises(InputRejected, match="Did you mean speed"):
        axes(("speed",), "", "sped")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(10, 50))
def test_no_peak_is_lost_and_no_point_is_made_up(values: list[float], points: int) -> None:
    found = drawn("v\nx\n" + "".join(f"{value!r}\n" for value in values), "", "v", points)
    assert len(found.y) <= max(points, 4)
    assert (min(found.y), max(found.y)) == (min(values), max(values))
    assert list(found.x) == sorted(found.x)
    assert all(values[int(x) - 2] == y for x, y in zip(found.x, found.y, strict=True))


def test_points_are_in_the_order_of_x() -> None:
    found = drawn("x,y\n3,30\n1,10\n2,20\n", "x", "y")
    assert (found.x, found.y, found.rows) == ((1, 2, 3), (10, 20, 30), 3)


def test_of_a_long_file_the_beginning_is_drawn_and_that_is_said() -> None:
    found = curve("a", source(b"x\n" + b"1\n" * 50), "", "x", rows=10)
    assert (found.rows, found.cut) == (10, True)


@given(st.text(max_size=8))
def test_a_cell_is_a_number_if_the_rest_of_winslow_says_so(text: str) -> None:
    assert _cell([text], 0) == parse_finite(text.strip())


def test_what_has_no_curve_says_why() -> None:
    assert drawn("x,y\n1,2\n", "x", "z").fault == "has no column z"
    assert drawn("x\0", "x", "z").fault == "cannot be read as a table: not a text file"
    assert drawn("x,y\ncar,2\n", "x", "y").x == ()
