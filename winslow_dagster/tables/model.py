"""What is known of a table, and what is asked of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

ColumnKind = Literal["number", "text", "empty"]


class Frozen(BaseModel):
    """A value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Frozen):
    """A column. `number`: every cell is a number, empty, or a word such as `nan`; `min` and `max` are then set.

    `decimal_comma`: its numbers are written as in `1,5`.
    """

    name: str
    kind: ColumnKind
    min: float | None = None
    max: float | None = None
    decimal_comma: bool = False


class TableShape(Frozen):
    """A table that has been read. `notes` say in sentences what of the file is not shown."""

    rows: int
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()


class Reading(Frozen):
    """A table that is still being read. `share`: how much of the file has been, from 0 to 1."""

    rows: int = 0
    share: float = 0.0


class TableWindow(Frozen):
    """Some rows of a table. `matching`: how many rows the filter leaves; `numbers`: the row of the file, from 1.

    While `reading` is set, the table is still being read, and there are no rows yet.
    """

    shape: TableShape | None
    reading: Reading | None = None
    columns: tuple[str, ...] = ()
    matching: int = 0
    begin: int = 0
    numbers: tuple[int, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
