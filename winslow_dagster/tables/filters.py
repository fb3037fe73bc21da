"""A condition on the rows of a table, as text: `speed_km_h > 50`, `class = car`, `name ~ truck`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.tables.model import Column

OPERATORS = ("!=", "<=", ">=", "=", "<", ">", "~")
"""`~`: the cell contains the text, in upper or lower case."""
LONGEST = 1000
EXPECTED = "a column, one of = != < <= > >= ~ and a value"


@dataclass(frozen=True, slots=True)
class Condition:
    """A column compared with a value: a number where the column has numbers, unless it is searched for a text."""

    column: int
    operator: str
    value: str | float

    def sql(self, cell: str, number: str | None) -> tuple[str, list[Any]]:
        """SQL for it, and its values. `cell`: SQL for the text; `number`: for the number, in a column of numbers."""
        if self.operator == "~":
            return f"instr(lower({cell}), lower(?)) > 0", [self.value]
        if self.value == "":
            return f"COALESCE({cell}, '') {self.operator} ''", []
        compared = f"({number})" if number is not None and isinstance(self.value, float) else f"COALESCE({cell}, '')"
        return f"{compared} {self.operator} ?", [self.value]


def parse_condition(text: str, columns: Sequence[Column]) -> Condition:
    """What the text means. Raises InputRejected."""
    written = text.strip()
    if len(written) > LONGEST:
        raise InputRejected(f"the condition is longer than {LONGEST} characters", where="filter", expected=EXPECTED)
    by_length = sorted(range(len(columns)), key=lambda at: len(columns[at].name), reverse=True)
    for at in by_length:
        rest = written.removeprefix(columns[at].name).lstrip()
        if written.startswith(columns[at].name) and (
            operator := next((each for each in OPERATORS if rest.startswith(each)), "")
        ):
            return _condition(at, columns[at], operator, rest[len(operator) :].strip())
    raise InputRejected(f"{text!r} is not a condition on a column of the table", where="filter", expected=EXPECTED)


def _condition(at: int, column: Column, operator: str, value: str) -> Condition:
    if operator == "~" or column.kind != "number" or not value:
        return Condition(at, operator, value)
    number = parse_finite(value.replace(",", ".") if column.decimal_comma else value)
    if number is None:
        if operator in {"=", "!="}:
            return Condition(at, operator, value)
        raise InputRejected(f"{value!r} is not a number", where=f"filter on {column.name}", expected="a number")
    return Condition(at, operator, number)
