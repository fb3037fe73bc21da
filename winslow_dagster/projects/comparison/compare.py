"""Compares attempts: parameters, results and files. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict

from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.projects.comparison.csv_summary import ColumnFacts, TableFacts
from winslow_dagster.projects.comparison.parameters import Value, Words, differing, parameters, typed, word_difference
from winslow_dagster.stages.task.model import Outcome, StageResult, StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".svg"})
TABLES = frozenset({".csv"})
MOST_TABLES = 20
MOST_INPUT_FILES_NAMED = 50
"""A stage may read thousands of frames; the rest is summed up in a note."""
COMMAND_LINES = frozenset({"command", "args"})


class Compared(BaseModel):
    """A frozen value, equal by content. `left` and `right` are None if that side has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AttemptFacts(Compared):
    """An attempt and its outcome. `number` counts the stage's attempts from 1 over all runs."""

    task_id: str
    project: str
    pipeline: str
    pipeline_digest: str
    stage: str
    number: int
    run_id: str
    started_at: datetime
    duration_s: float | None
    outcome: Outcome | None
    message: str
    node: str
    mode: str | None
    image_digest: str | None

    @property
    def name(self) -> str:
        """The address of the attempt, as a person writes it."""
        return f"{self.project}:{self.stage}:{self.number}"


class SharedStage(Compared):
    """A stage of that name in several projects, and of each the attempt whose outputs it has now."""

    stage: str
    attempts: tuple[AttemptFacts, ...]


class ParameterRow(Compared):
    """A parameter. `words` compares command lines word by word."""

    path: str
    left: Value
    right: Value
    words: tuple[Words, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether the sides differ."""
        return typed(self.left) != typed(self.right)


class Pair(Compared):
    """A figure of both sides. `difference` is right minus left, `ratio` right by left; None if they are not numbers."""

    name: str
    unit: str = ""
    left: float | str | None
    right: float | str | None
    difference: float | None = None
    ratio: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the sides differ."""
        return self.left != self.right

    @property
    def per_cent(self) -> float | None:
        """The difference in per cent of the left side; None if that is zero, or a side is not a number."""
        if self.difference is None or self.ratio is None or not isinstance(self.ratio, float):
            return None
        return (self.ratio - 1) * 100


class FileRef(Compared):
    """An output file in the store: its tree, and its path there."""

    stage: str
    path: str
    address: str
    size_bytes: int
    blake3: str


class FilePair(Compared):
    """The same path on both sides, or a file that only one side has."""

    path: str
    left: FileRef | None
    right: FileRef | None


class FilesCompared(Compared):
    """Output files compared by path and blake3. Added files are those that only the right side has.

    `unchanged` are those that both sides have alike, where everything was asked for.
    """

    added: tuple[FilePair, ...] = ()
    removed: tuple[FilePair, ...] = ()
    changed: tuple[FilePair, ...] = ()
    unchanged: tuple[FilePair, ...] = ()
    unchanged_count: int = 0
    left_bytes: int = 0
    right_bytes: int = 0


class ColumnPair(Compared):
    """A column that holds numbers on at least one side."""

    name: str
    left: ColumnFacts | None
    right: ColumnFacts | None


class TablePair(Compared):
    """A CSV file that differs between both sides."""

    path: str
    left: TableFacts
    right: TableFacts
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    columns: tuple[ColumnPair, ...]


class Comparison(Compared):
    """Two attempts. `parameters`, `files`, `tables` and `pictures` have only what differs, the rest has everything.

    `notes` name what was left out, and why.
    """

    left: AttemptFacts
    right: AttemptFacts
    parameters: tuple[ParameterRow, ...]
    results: tuple[Pair, ...]
    progress: tuple[Pair, ...]
    measures: tuple[Pair, ...]
    files: FilesCompared
    tables: tuple[TablePair, ...]
    pictures: tuple[FilePair, ...]
    notes: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the attempts differ in more than their identity."""
        files = self.files.added or self.files.removed or self.files.changed
        pairs = (*self.results, *self.progress, *self.measures)
        differing_rows = any(row.differs for row in self.parameters)
        return bool(differing_rows or files or any(pair.differs for pair in pairs))


class CrossRow(Compared):
    """One attempt in a table, with those parameters and results that it has."""

    attempt: AttemptFacts
    parameters: dict[str, Value]
    results: dict[str, str]


class CrossTable(Compared):
    """A table of attempts. `parameters`, those that differ, and `results` name its columns."""

    parameters: tuple[str, ...]
    results: tuple[str, ...]
    rows: tuple[CrossRow, ...]
    notes: tuple[str, ...] = ()


class Side(Compared):
    """One attempt with its task and result. `result` is None until it has ended."""

    facts: AttemptFacts
    task: StageTask
    result: StageResult | None

    @property
    def outputs(self) -> Manifest | None:
        """Its outputs, if it has any."""
        return self.result.outputs if self.result else None


TableReader = Callable[[FileRef], TableFacts]


def compare(left: Side, right: Side, read_table: TableReader | None, *, everything: bool = False) -> Comparison:
    """Compare two attempts. Raises what `read_table` raises; without it, tables are compared as files.

    With `everything`, `parameters` has those that are equal, too, and `files` those that are unchanged.
    """
    of_sides = [parameters(side.task) for side in (left, right)]
    rows, notes = _parameter_rows(*(found for found, _ in of_sides), everything=everything)
    files = _files(left, right, everything=everything)
    tables = [pair for pair in files.changed if read_table and PurePosixPath(pair.path).suffix.lower() in TABLES]
    if len(tables) > MOST_TABLES:
        notes += (f"{len(tables)} tables differ; only the first {MOST_TABLES} were compared",)
    return Comparison(
        left=left.facts,
        right=right.facts,
        parameters=rows,
        results=_results(left, right),
        progress=_progress(left, right),
        measures=_measures(left, right),
        files=files,
        tables=tuple(_table(pair, read_table) for pair in tables[:MOST_TABLES]) if read_table else (),
        pictures=tuple(pair for pair in files.changed if PurePosixPath(pair.path).suffix.lower() in PICTURES),
        notes=(*dict.fromkeys(note for _, note in of_sides if note), *notes),
    )


def compare_many(sides: Sequence[Side]) -> CrossTable:
    """A table of these attempts, in this order."""
    of_sides = [parameters(side.task) for side in sides]
    paths = differing([found for found, _ in of_sides])
    results = [_results_of(side) for side in sides]
    return CrossTable(
        parameters=paths,
        results=tuple(sorted({name for found in results for name in found})),
        rows=tuple(
            CrossRow(
                attempt=side.facts,
                parameters={path: found[path] for path in paths if path in found},
                results=result,
            )
            for side, (found, _), result in zip(sides, of_sides, results, strict=True)
        ),
        notes=tuple(note for _, note in of_sides if note),
    )


def _parameter_rows(
    left: Mapping[str, Value], right: Mapping[str, Value], *, everything: bool
) -> tuple[tuple[ParameterRow, ...], tuple[str, ...]]:
    rows: list[ParameterRow] = []
    notes: list[str] = []
    wanted = sorted({*left, *right}) if everything else differing([left, right])
    for tree, found in groupby(wanted, key=_input_of):
        paths = list(found)
        if tree and len(paths) > MOST_INPUT_FILES_NAMED:
            verb = "are known" if everything else "differ"
            notes.append(f"{len(paths)} files of {tree} {verb}; only the first {MOST_INPUT_FILES_NAMED} are listed")
            paths = paths[:MOST_INPUT_FILES_NAMED]
        rows += [_parameter_row(path, left.get(path), right.get(path)) for path in paths]
    return tuple(rows), tuple(notes)


def _input_of(path: str) -> str:
    return path.split("/", 1)[0] if path.startswith(("inputs.", "resources.")) else ""


def _parameter_row(path: str, left: Value, right: Value) -> ParameterRow:
    words: tuple[Words, ...] = ()
    if path in COMMAND_LINES:
        words = word_difference(str(left or ""), str(right or ""))
    return ParameterRow(path=path, left=left, right=right, words=words)


def _results_of(side: Side) -> dict[str, str]:
    return side.result.log.results if side.result else {}


def _results(left: Side, right: Side) -> tuple[Pair, ...]:
    one, other = _results_of(left), _results_of(right)
    return tuple(_pair(name, one.get(name), other.get(name)) for name in sorted({*one, *other}))


def _progress(left: Side, right: Side) -> tuple[Pair, ...]:
    sides = [
        {subject.subject: subject for subject in side.result.log.progress} if side.result else {}
        for side in (left, right)
    ]
    pairs = []
    for name in sorted({*sides[0], *sides[1]}):
        one, other = (subjects.get(name) for subjects in sides)
        unit = next((subject.unit for subject in (one, other) if subject and subject.unit), "")
        pairs.append(_pair(name, one.current if one else None, other.current if other else None, unit))
    return tuple(pairs)


def _measures(left: Side, right: Side) -> tuple[Pair, ...]:
    def of(side: Side) -> dict[str, float | None]:
        result = side.result
        return {
            "duration_s": side.facts.duration_s,
            "peak_memory_bytes": result.peak_memory_bytes if result else None,
            "warnings": result.log.warning_count if result else None,
            "errors": result.log.error_count if result else None,
            "exit_code": result.exit_code if result else None,
        }

    one, other = of(left), of(right)
    units = {"duration_s": "s", "peak_memory_bytes": "B"}
    return tuple(_pair(name, one[name], other[name], units.get(name, "")) for name in one)


def _pair(name: str, left: float | str | None, right: float | str | None, unit: str = "") -> Pair:
    one, other = _number(left), _number(right)
    if one is None or other is None:
        return Pair(name=name, unit=unit, left=left, right=right)
    return Pair(
        name=name,
        unit=unit,
        left=left,
        right=right,
        difference=_finite(other - one),
        ratio=_finite(other / one) if one else None,
    )


def _number(value: float | str | None) -> float | None:
    return None if value is None else parse_finite(str(value))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _files(left: Side, right: Side, *, everything: bool) -> FilesCompared:
    one, other = _by_path(left), _by_path(right)
    pairs = [FilePair(path=path, left=one.get(path), right=other.get(path)) for path in sorted({*one, *other})]
    both = [(pair, pair.left.blake3 == pair.right.blake3) for pair in pairs if pair.left and pair.right]
    return FilesCompared(
        added=tuple(pair for pair in pairs if pair.left is None),
        removed=tuple(pair for pair in pairs if pair.right is None),
        changed=tuple(pair for pair, same in both if not same),
        unchanged=tuple(pair for pair, same in both if same) if everything else (),
        unchanged_count=sum(same for _, same in both),
        left_bytes=sum(file.size_bytes for file in one.values()),
        right_bytes=sum(file.size_bytes for file in other.values()),
    )


def _by_path(side: Side) -> dict[str, FileRef]:
    outputs = side.outputs
    return {} if outputs is None else {file.path: _ref(side, outputs, file) for file in outputs.files}


def _ref(side: Side, outputs: Manifest, file: FileEntry) -> FileRef:
    place = outputs.location(file)
    return FileRef(
        stage=side.facts.stage,
        path=place.path,
        address=place.address,
        size_bytes=file.size_bytes,
        blake3=file.blake3,
    )


def _table(pair: FilePair, read: TableReader) -> TablePair:
    if pair.left is None or pair.right is None:
        raise ValueError(f"{pair.path} is not on both sides")
    left, right = read(pair.left), read(pair.right)
    numeric = [name for name in _merged(left.columns, right.columns) if name in left.numeric or name in right.numeric]
    return TablePair(
        path=pair.path,
        left=left,
        right=right,
        columns_added=tuple(name for name in right.columns if name not in set(left.columns)),
        columns_removed=tuple(name for name in left.columns if name not in set(right.columns)),
        columns=tuple(
            ColumnPair(name=name, left=left.numeric.get(name), right=right.numeric.get(name)) for name in numeric
        ),
    )


def _merged(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    """Each name once, those of the left side first."""
    return tuple(dict.fromkeys((*left, *right)))
