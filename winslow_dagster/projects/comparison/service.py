"""Reads the attempts to compare from the project tables, and their files from the store."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from threading import Lock

from sqlalchemy import RowMapping, Select, and_, func, or_, select

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.projects.comparison.compare import (
    TABLES,
    AttemptFacts,
    Comparison,
    CrossTable,
    FileRef,
    Side,
    compare,
    compare_many,
)
from winslow_dagster.projects.comparison.csv_file import CsvSource, NoTable
from winslow_dagster.projects.comparison.csv_summary import TableFacts, table_facts
from winslow_dagster.projects.comparison.series import MOST_ROWS, POINTS, Chart, Curve, axes, curve, numeric_columns
from winslow_dagster.projects.comparison.table_diff import (
    KINDS,
    Differences,
    RowKind,
    TableDiff,
    differences,
    window,
)
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.store import Store

MOST_ATTEMPTS = 1000
"""The limit of one table."""
MOST_CURVES = 20
MOST_FOUND = 50
GONE = "its outputs are no longer in the store"


class _Kept:
    """The latest comparisons of tables: whoever pages through one does not wait for it again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._found: OrderedDict[tuple[object, ...], Differences] = OrderedDict()

    def get(self, left: CsvSource, right: CsvSource, key: tuple[str, ...] | None) -> Differences:
        name = (left.blake3, right.blake3, key)
        with self._lock:
            if name in self._found:
                self._found.move_to_end(name)
                return self._found[name]
        found = differences(left, right, key)
        with self._lock:
            self._found[name] = found
            while len(self._found) > self._most:
                self._found.popitem(last=False)
        return found


KEPT = _Kept(4)


class ComparisonService:
    """Compares attempts of one project or several. Changes nothing."""

    def __init__(self, records: ProjectRecords, store: Store) -> None:
        self._records = records
        self._store = store

    def two(self, left: str, right: str, *, tables: bool = True, everything: bool = False) -> Comparison:
        """Compare two attempts by task id. Raises NotFound, ServiceUnavailable, StoreError.

        Without `tables`, no file is read. With `everything`, parameters that are equal are named, too.
        """
        one, other = self._sides([left, right])
        return compare(one, other, self._read_table if tables else None, everything=everything)

    def facts(self, task_ids: Sequence[str]) -> tuple[AttemptFacts, ...]:
        """What is known of these attempts. Raises NotFound."""
        return tuple(side.facts for side in self._sides(task_ids))

    def tables(self, task_ids: Sequence[str]) -> tuple[str, ...]:
        """The paths of the CSV files that any of these attempts has."""
        outputs = self._records.manifests(task_ids).values()
        paths = {entry.path for manifest in outputs for entry in manifest.files}
        return tuple(sorted(path for path in paths if PurePosixPath(path).suffix.lower() in TABLES))

    def table(  # noqa: PLR0913  # what is compared, and which part is shown
        self,
        left: str,
        right: str,
        path: str,
        *,
        key: Sequence[str] | None = None,
        kinds: Sequence[RowKind] = KINDS,
        first: int = 1,
        count: int = 100,
    ) -> TableDiff:
        """The rows of a CSV file that differ between two attempts, from the one numbered `first` on.

        `key` are the columns that tell which rows belong together, none for rows at the same position. Without it, one
        is looked for. Raises NotFound, InputRejected for an unknown column, StoreError.
        """
        sides, faults = [], []
        for name, task_id in (("left", left), ("right", right)):
            file = self._file(task_id, path)
            if file is None:
                faults.append(f"{name}: there is no file of this name")
            elif self._store.manifest(file.address) is None:
                faults.append(f"{name}: {GONE}")
            else:
                sides.append(self._source(file))
        if len(sides) == 2:  # noqa: PLR2004  # left, right
            try:
                found = KEPT.get(sides[0], sides[1], None if key is None else tuple(key))
                return window(path, (sides[0], sides[1]), found, kinds, first, count)
            except NoTable as error:
                faults.append(f"cannot be read as a table: {error}")
        return TableDiff(path=path, faults=tuple(faults))

    def chart(self, task_ids: Sequence[str], path: str, x: str = "", y: str = "", points: int = POINTS) -> Chart:
        """Two columns of a CSV file as one curve for each attempt. Without names, the first columns with numbers.

        Raises NotFound, and InputRejected for too many attempts or a column that has no numbers.
        """
        if len(task_ids) > MOST_CURVES:
            raise InputRejected(f"{len(task_ids)} curves are too many", expected=f"at most {MOST_CURVES}")
        files = {task_id: self._file(task_id, path) for task_id in task_ids}
        columns: dict[str, None] = {}
        faults: dict[str, str] = {}
        sources: dict[str, CsvSource] = {}
        for task_id, file in files.items():
            if file is None or self._store.manifest(file.address) is None:
                faults[task_id] = GONE if file else "it has no file of this name"
                continue
            sources[task_id] = self._source(file)
            try:
                columns |= dict.fromkeys(numeric_columns(sources[task_id]))
            except NoTable as error:
                faults[task_id] = f"cannot be read as a table: {error}"
        x, y = axes(tuple(columns), x, y)
        rows = min(MOST_ROWS, 2 * MOST_ROWS // max(1, len(sources)))
        curves = []
        for task_id in task_ids:
            if task_id in faults or not y:
                fault = faults.get(task_id, "it has no column with numbers")
                curves.append(Curve(attempt=task_id, fault=fault))
                continue
            curves.append(curve(task_id, sources[task_id], x, y, points=points, rows=rows))
        return Chart(path=path, x=x, y=y, columns=tuple(columns), curves=tuple(curves))

    def find(self, text: str, limit: int = MOST_FOUND) -> tuple[AttemptFacts, ...]:
        """The latest attempts that match each word: part of the name of project or stage, or the number."""
        table = schema.attempts
        other = table.alias()
        later = or_(
            other.c.started_at < table.c.started_at,
            and_(other.c.started_at == table.c.started_at, other.c.task_id <= table.c.task_id),
        )
        same_stage = and_(other.c.project == table.c.project, other.c.stage == table.c.stage)
        number = select(func.count()).select_from(other).where(same_stage, later).correlate(table).scalar_subquery()
        columns = [table.c[name] for name in AttemptFacts.model_fields if name in table.c]
        query: Select[tuple[object, ...]] = select(*columns, table.c.ended_at, number.label("number"))
        for word in text.replace("\0", " ").split():
            named = or_(*(column.icontains(word, autoescape=True) for column in (table.c.project, table.c.stage)))
            count = int(word) if word.isascii() and word.isdigit() and len(word) < 10 else None  # noqa: PLR2004
            query = query.where(named if count is None else or_(named, number == count))
        query = query.where(schema.of_live_project(table.c.project))
        query = query.order_by(table.c.started_at.desc(), table.c.task_id.desc()).limit(min(limit, MOST_FOUND))
        with self._records.database.reading() as connection:
            return tuple(_facts(row) for row in connection.execute(query).mappings())

    def many(self, task_ids: Sequence[str]) -> CrossTable:
        """A table of attempts by their differences. Raises NotFound, and InputRejected for too many."""
        if len(task_ids) > MOST_ATTEMPTS:
            raise InputRejected(f"{len(task_ids)} attempts are too many", expected=f"at most {MOST_ATTEMPTS}")
        return compare_many(self._sides(task_ids))

    def finished(self, project: str, pipeline: str, stage: str) -> tuple[str, ...]:
        """The task ids of a stage's attempts that have ended, in order. Raises NotFound where there is none."""
        self._records.project(project)
        table = schema.attempts
        of_stage = (table.c.project == project, table.c.pipeline == pipeline, table.c.stage == stage)
        query = select(table.c.task_id).where(*of_stage, table.c.ended_at.is_not(None))
        with self._records.database.reading() as connection:
            ended = tuple(connection.execute(query.order_by(table.c.started_at, table.c.task_id)).scalars())
        if not ended:
            raise NotFound("no attempt of the stage has ended yet", where=f"{project}/{stage}")
        return ended

    def _sides(self, task_ids: Sequence[str]) -> list[Side]:
        table = schema.attempts
        # Numbered before they are chosen: an attempt's number counts those that are not compared, too.
        of_stage = (table.c.project, table.c.stage)
        wanted = select(*of_stage).where(table.c.task_id.in_(task_ids)).distinct().subquery()
        order = (table.c.started_at, table.c.task_id)
        numbered = (
            select(table.c.task_id, func.row_number().over(partition_by=of_stage, order_by=order).label("number"))
            .join(wanted, (table.c.project == wanted.c.project) & (table.c.stage == wanted.c.stage))
            .subquery()
        )
        query = (
            select(table, numbered.c.number)
            .join(numbered, table.c.task_id == numbered.c.task_id)
            .where(table.c.task_id.in_(task_ids))
        )
        with self._records.database.reading() as connection:
            found = {row["task_id"]: _side(row) for row in connection.execute(query).mappings()}
        _require_all(task_ids, found)
        return [found[task_id] for task_id in task_ids]

    def _read_table(self, file: FileRef) -> TableFacts:
        if self._store.manifest(file.address) is None:
            return TableFacts(size_bytes=file.size_bytes, fault=GONE)
        return table_facts(self._source(file).read, file.size_bytes)

    def _source(self, file: FileRef) -> CsvSource:
        entry = FileEntry(path=file.path, size_bytes=file.size_bytes, blake3=file.blake3)
        read = functools.partial(self._store.read_range, Manifest(address=file.address, files=(entry,)), entry)
        return CsvSource(read, file.size_bytes, file.blake3)

    def _file(self, task_id: str, path: str) -> FileRef | None:
        """An output file of an attempt."""
        manifest = self._records.manifests([task_id]).get(task_id)
        for entry in manifest.files if manifest is not None else ():
            if entry.path == path and manifest is not None:
                place = manifest.location(entry)
                return FileRef(
                    stage="",
                    path=place.path,
                    address=place.address,
                    size_bytes=entry.size_bytes,
                    blake3=entry.blake3,
                )
        return None


def _require_all(task_ids: Sequence[str], found: Iterable[str]) -> None:
    missing = [task_id for task_id in task_ids if task_id not in set(found)]
    if missing:
        raise NotFound("the attempt never started", where=missing[0])


def _facts(row: RowMapping) -> AttemptFacts:
    duration = None if row["ended_at"] is None else (row["ended_at"] - row["started_at"]).total_seconds()
    found = {name: row[name] for name in AttemptFacts.model_fields if name in row and name != "duration_s"}
    return AttemptFacts(**found, duration_s=duration)


def _side(row: RowMapping) -> Side:
    result = (
        None if row["result"] is None else StageResult.model_validate({**row["result"], "outputs": row["manifest"]})
    )
    facts = {name: row[name] for name in AttemptFacts.model_fields if name in row and name != "duration_s"}
    return Side(
        facts=AttemptFacts(**facts, duration_s=None if result is None else result.duration_s),
        task=StageTask.model_validate(row["task"]),
        result=result,
    )
