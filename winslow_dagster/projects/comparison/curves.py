"""Two columns of a table as one curve for each of several attempts. Values."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import nearest
from winslow_dagster.tables.model import Reading

ROW = ""
"""In place of a column for x: the number of the row."""


class Curve(BaseModel):
    """One file's curve. `fault` is why it has none; `notes` say what is not drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt: str
    x: tuple[float, ...] = ()
    y: tuple[float | None, ...] = ()
    rows: int = 0
    fault: str = ""
    notes: tuple[str, ...] = ()


class Curves(BaseModel):
    """Curves of the same columns. `columns` have numbers in at least one of the files; an empty `x` is the row.

    While `reading` is set, a file is still being read, and there are no curves yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    reading: Reading | None = None
    x: str = ""
    y: str = ""
    columns: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()


def axes(columns: tuple[str, ...], x: str, y: str) -> tuple[str, str]:
    """The columns to draw: as requested, or else the second over the first. Raises InputRejected."""
    for name in (x, y):
        if name and name not in columns:
            suggestion = nearest(name, set(columns))
            raise InputRejected(
                f"{name!r} is not a column with numbers",
                expected=f"one of {', '.join(columns[:20])}" if columns else "a table with numbers",
                remedy=f"Did you mean {suggestion}?" if suggestion else "",
            )
    if y:
        return x, y
    others = [name for name in columns if name != x]
    if not x and len(others) > 1:
        return others[0], others[1]
    return x, others[0] if others else x
