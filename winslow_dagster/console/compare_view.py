"""What the parts of a comparison's page show: settings in groups, runs as rows, columns as axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from winslow_dagster.console.footage_paths import footage_path
from winslow_dagster.console.previews import kind_of
from winslow_dagster.console.project_view import file_path, stage_path
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.projects.commands.comparisons import PickEffect
from winslow_dagster.projects.comparison.compare import AttemptFacts, CrossTable, ParameterRow
from winslow_dagster.projects.comparison.parameters import Value

COLOURS = 8
MOST_COLUMNS = 25
"""Of parameters, and of results."""
DIGEST_SHOWN = 10
MOST_AXES = 8
GROUPS = (
    ("Variables", ("env.",)),
    ("Command and arguments", ("command", "args")),
    ("Inputs", ("inputs.", "resources.")),
)
DURATION = "duration"
INPUTS = ("parameter.inputs.", "parameter.resources.")
OTHERS = "Image, resources and rules"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PICTURE_WIDTH = 4096
"""What a picture has at most: a browser holds two of them, with four bytes a pixel."""
MORE_VIDEOS = frozenset({".mov", ".mkv", ".avi", ".mts", ".m2ts"})
"""A browser does not play these; the server makes pictures of their frames."""
Cell = tuple[str, float | str | None]


def letter(place: int) -> str:
    """A, B, …, Z, A2, B2, …: how the page calls an attempt."""
    turn, at = divmod(place, len(LETTERS))
    return LETTERS[at] + (str(turn + 1) if turn else "")


@dataclass(frozen=True, slots=True)
class ShownAttempt:
    """One of the attempts, with its letter and its colour."""

    name: str
    facts: AttemptFacts
    letter: str
    colour: int
    pick: PickEffect | None

    @property
    def path(self) -> str:
        """The address of its results."""
        return stage_path(self.facts.project, self.facts.stage, "result", attempt=self.facts.number)

    @property
    def stage_path(self) -> str:
        """The address of its stage's attempts."""
        return stage_path(self.facts.project, self.facts.stage, "attempts")

    def file_path(self, path: str, **query: int) -> str:
        """The address of one of its files."""
        return file_path(self.facts.project, self.facts.stage, path, attempt=self.facts.number, **query)

    def footage_path(self, what: str, path: str, version: str, **query: int) -> str:
        """The address of facts, frames or pictures of one of its files. With its hash, a browser may keep them."""
        file = f"{self.facts.stage}/{path}"
        return footage_path(self.facts.project, what, file, attempt=self.facts.number, version=version, **query)

    def picture_path(self, path: str, version: str) -> str:
        """The address of a picture: drawings as they are, others made by the server, so that any browser shows them."""
        if PurePosixPath(path).suffix.lower() == ".svg":
            return self.file_path(path)
        return self.footage_path("pictures", path, version, width=PICTURE_WIDTH)


def shown_attempts(
    named: Sequence[tuple[str, AttemptFacts]], effects: Mapping[str, PickEffect]
) -> tuple[ShownAttempt, ...]:
    """The attempts in the order of the address."""
    return tuple(
        ShownAttempt(name, facts, letter(place), place % COLOURS, effects.get(facts.task_id))
        for place, (name, facts) in enumerate(named)
    )


def seen_kind(path: str) -> Literal["picture", "video"] | None:
    """Whether a file of this name is a picture or a video."""
    kind, suffix = kind_of(path), PurePosixPath(path).suffix.lower()
    if kind == "picture":
        return "picture"
    return "video" if kind == "video" or suffix in MORE_VIDEOS else None


def grouped(rows: Iterable[ParameterRow]) -> list[tuple[str, list[ParameterRow]]]:
    """Parameters by what they are about. Groups without any are left out."""
    found: dict[str, list[ParameterRow]] = {name: [] for name in (*(name for name, _ in GROUPS), OTHERS)}
    for row in rows:
        name = next((name for name, prefixes in GROUPS if row.path.startswith(prefixes)), OTHERS)
        found[name].append(row)
    return [(name, rows) for name, rows in found.items() if rows]


def label(path: str) -> str:
    """The name of a parameter as a page shows it: the group already says that it is a variable."""
    return path.removeprefix("env.")


@dataclass(frozen=True, slots=True)
class Column:
    """A parameter or a result as a column and an axis. `numeric`: all its values are numbers."""

    id: str
    name: str
    kind: str
    numeric: bool
    differs: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """One attempt as a row: the text and the value of each column."""

    attempt: ShownAttempt
    cells: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class RunTable:
    """Many attempts as a table."""

    columns: tuple[Column, ...]
    rows: tuple[RunRow, ...]
    notes: tuple[str, ...]

    def column(self, name: str) -> Column | None:
        """The column with this id."""
        return next((each for each in self.columns if each.id == name), None)

    def axes(self, wanted: Sequence[str]) -> tuple[Column, ...]:
        """The columns to draw: those that were chosen, or else the first that differ."""
        chosen = tuple(each for name in wanted if (each := self.column(name)) is not None)
        return chosen or tuple(each for each in self.columns if each.differs)[:MOST_AXES]

    def drawing(self, axes: Sequence[Column]) -> dict[str, Any]:
        """What a view draws, as data."""
        return {
            "axes": [{"id": each.id, "name": each.name, "numeric": each.numeric} for each in axes],
            "runs": [
                {
                    "letter": row.attempt.letter,
                    "colour": row.attempt.colour,
                    "name": row.attempt.facts.name,
                    "path": row.attempt.path,
                    "values": [row.cells.get(each.id, ("", None))[1] for each in axes],
                }
                for row in self.rows
            ],
        }


def run_table(table: CrossTable, attempts: Sequence[ShownAttempt], sort: str, *, everything: bool) -> RunTable:
    """The table of runs, sorted by a column: by `-ID` downwards."""
    notes = table.notes
    raw: list[tuple[str, str, str, list[Value]]] = [
        ("parameter." + path, label(path), "parameter", [row.parameters.get(path) for row in table.rows])
        for path in table.parameters
    ]
    raw += [("result." + name, name, "result", [row.results.get(name) for row in table.rows]) for name in table.results]
    raw.append((DURATION, "duration (s)", "result", [row.attempt.duration_s for row in table.rows]))
    columns: list[Column] = []
    cells: list[dict[str, Cell]] = [{} for _ in table.rows]
    left_out: Counter[str] = Counter()
    for name, shown, kind, values in raw:
        numbers = [None if value is None else parse_finite(str(value)) for value in values]
        numeric = any(number is not None for number in numbers) and all(
            number is not None for number, value in zip(numbers, values, strict=True) if value is not None
        )
        differs = len({str(value) for value in values}) > 1
        if not (differs or everything):
            continue
        if sum(column.kind == kind for column in columns) >= MOST_COLUMNS:
            left_out[kind] += 1
            continue
        columns.append(Column(name, shown, kind, numeric, differs))
        for row, value, number in zip(cells, values, numbers, strict=True):
            if value is not None:
                row[name] = (_text(name, value), number if numeric else str(value))
    notes += tuple(f"{count} more {kind}s are not shown" for kind, count in left_out.items())
    rows = [RunRow(attempt, row) for attempt, row in zip(attempts, cells, strict=True)]
    by = sort.removeprefix("-")
    if any(column.id == by for column in columns):
        rows.sort(key=lambda row: _order(row.cells.get(by)), reverse=sort.startswith("-"))
    return RunTable(tuple(columns), tuple(rows), notes)


def _text(column: str, value: Value) -> str:
    if column.startswith(INPUTS):
        return f"{str(value)[:DIGEST_SHOWN]}…"
    if isinstance(value, float):
        return f"{value:.4g}" if column == DURATION else f"{value:g}"
    return str(value)


def _order(cell: Cell | None) -> tuple[int, float, str]:
    """Numbers before texts, and runs without a value at one end."""
    if cell is None:
        return (2, 0, "")
    _, value = cell
    return (0, value, "") if isinstance(value, float) else (1, 0, str(value))
