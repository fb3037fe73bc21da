"""Tables that a person sorts by any column: numbers as numbers, then words, then what has no value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from winslow_dagster.pipelines.units import parse_finite

Row = TypeVar("Row")
Key = tuple[int, float, str]


def key_of(value: object) -> Key:
    """Where a value stands among others of its column."""
    if value is None or value == "":
        return (2, 0.0, "")
    number = parse_finite(str(value))
    return (1, 0.0, str(value)) if number is None else (0, number, "")


def sorted_by(rows: Iterable[Row], value_of: Callable[[Row], object], *, descending: bool) -> list[Row]:
    """The rows by this value; those without one are last both ways."""
    keyed = [(key_of(value_of(row)), row) for row in rows]
    known = [pair for pair in keyed if pair[0][0] < 2]  # noqa: PLR2004  # no value
    ordered = sorted(known, key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in ordered] + [row for key, row in keyed if key[0] == 2]  # noqa: PLR2004  # no value
