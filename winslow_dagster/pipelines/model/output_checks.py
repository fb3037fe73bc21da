"""Checks of a stage's outputs, as frozen values."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from winslow_dagster.pipelines.model.frozen import Frozen, Name

LONGEST_CHECK_NAME = 63
Severity = Literal["error", "warn"]
Plain = str | int | float | bool


def check_name(kind: str, subject: str) -> str:
    """The default name of a check: `csv_tracks_csv` for the kind `csv` and the pattern `tracks.csv`."""
    return re.sub(r"[^a-z0-9]+", "_", f"{kind} {subject}".lower()).strip("_")[:LONGEST_CHECK_NAME].rstrip("_")


class CheckBase(Frozen):
    """Attributes of all checks. `blocking`: whether the project stops after the stage if the check fails."""

    name: Name
    severity: Severity = "error"
    blocking: bool


class FileCheck(CheckBase):
    """Existence and sizes of files."""

    kind: Literal["file"] = "file"
    glob: str
    exists: bool = True
    min_size_bytes: int | None = None
    max_size_bytes: int | None = None


class Range(Frozen):
    """The range of the values in a column."""

    min: float | None = None
    max: float | None = None
    allow_empty: bool = False


class CsvCheck(CheckBase):
    """A CSV file with a header line."""

    kind: Literal["csv"] = "csv"
    glob: str
    delimiter: str = ","
    columns: tuple[str, ...] = ()
    min_rows: int | None = None
    max_rows: int | None = None
    range: dict[str, Range] = Field(default_factory=dict)


class JsonCheck(CheckBase):
    """The value at `pointer` (RFC 6901; empty: the whole document) in a JSON file."""

    kind: Literal["json"] = "json"
    glob: str
    pointer: str = ""
    equals: Plain | None = None
    min: float | None = None
    max: float | None = None


class ResultCheck(CheckBase):
    """A result that the stage reported with `WINSLOW_RESULT: key=value`."""

    kind: Literal["result"] = "result"
    key: str
    min: float | None = None
    max: float | None = None


Check = Annotated[FileCheck | CsvCheck | JsonCheck | ResultCheck, Field(discriminator="kind")]
