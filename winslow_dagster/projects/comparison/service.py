"""Reads the attempts to compare from the project tables, and their files from the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import RowMapping, Select, and_, func, or_, select

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.projects.comparison.compare import (
    AttemptFacts,
    Comparison,
    CrossTable,
    FileRef,
    Side,
    compare,
    compare_many,
)
from winslow_dagster.projects.comparison.csv_summary import TableFacts, table_facts
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.store import Store

MOST_ATTEMPTS = 1000
"""The limit of one table."""
MOST_FOUND = 50
GONE = "its outputs are no longer in the store"


class ComparisonService:
    """Compares attempts of one project or several. Changes nothing."""

    def __init__(self, records: ProjectRecords, store: Store) -> None:
        self._records = records
        self._store = store

    def two(self, left: str, right: str, *, tables: bool = True, everything: bool = False) -> Comparison:
        """Compare two attempts by task id. Raises NotFound, ServiceUnavailable, StoreError.

        Without `tables`, no file is read. With `everything`, parameters and files that are equal are named, too.
        """
        one, other = self._sides([left, right])
        return compare(one, other, self._read_table if tables else None, everything=everything)

    def facts(self, task_ids: Sequence[str]) -> tuple[AttemptFacts, ...]:
        """What is known of these attempts. Raises NotFound."""
        return tuple(side.facts for side in self._sides(task_ids))

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
        entry = FileEntry(path=file.path, size_bytes=file.size_bytes, blake3=file.blake3)
        tree = Manifest(address=file.address, files=(entry,))
        return table_facts(lambda start, length: self._store.read_range(tree, entry, start, length), file.size_bytes)


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
