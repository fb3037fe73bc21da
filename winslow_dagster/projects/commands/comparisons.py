"""Attempts side by side, named as people name them: `PROJECT:STAGE:ATTEMPT`, or a task id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from winslow_dagster.errors import InputRejected, WinslowError
from winslow_dagster.projects.commands.attempt_address import AttemptAddress
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import files_of, log_of
from winslow_dagster.projects.commands.shared_stages import shared_stages
from winslow_dagster.projects.commands.tables import table_of
from winslow_dagster.projects.comparison.compare import AttemptFacts, Comparison, CrossTable, SharedStage
from winslow_dagster.projects.comparison.curves import Curve, Curves, axes
from winslow_dagster.projects.comparison.log_diff import LogDiff, log_diff
from winslow_dagster.projects.comparison.service import ComparisonService
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.attempts import find_attempt
from winslow_dagster.projects.domain.lineage import Lineage, Pick
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.tables.charts import ChartQuery, chart
from winslow_dagster.tables.diff import KINDS, RowKind, TableDiff, diff
from winslow_dagster.tables.model import Reading
from winslow_dagster.tables.table import Table

Named = AttemptAddress | str
TABLES = frozenset({".csv", ".tsv", ".parquet", ".pq"})
LONG_S = 600.0
"""How long a program waits for files to be read. A page asks again instead."""
MOST_CURVES = 20
MOST_COLUMNS = 200
POINTS = 1_000


@dataclass(frozen=True, slots=True)
class NamedAttempt:
    """An attempt as it was named, or why there is none: then `task_id` is empty."""

    name: str
    task_id: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PickEffect:
    """What picking an attempt changes. `outdated` are the stages that are then out of date, and are not now.

    `current`: the stage has its outputs already. `problem` is why it cannot be picked; empty if it can.
    """

    current: bool
    outdated: tuple[str, ...] = ()
    problem: str = ""


class ComparisonCommands:
    """Compares attempts of one project or several. Each part is read when it is asked for; nothing is changed."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def attempts(self, names: Sequence[Named]) -> tuple[AttemptFacts, ...]:
        """What is known of these attempts. Raises NotFound, InputRejected."""
        return self._service.facts(self._task_ids(names))

    def named(self, names: Sequence[Named]) -> tuple[NamedAttempt, ...]:
        """Each attempt once, with its task id, or the reason why it cannot be found."""
        found: dict[str, NamedAttempt] = {}
        known: dict[str, tuple[Attempt, ...]] = {}
        for name in names:
            text = name if isinstance(name, str) else f"{name.project}:{name.stage}:{name.attempt}"
            try:
                task_id = self._task_id(name, known)
            except WinslowError as error:
                found.setdefault(text, NamedAttempt(text, "", str(error)))
                continue
            found.setdefault(task_id, NamedAttempt(text, task_id))
        return tuple(found.values())

    def find(self, text: str = "", limit: int = 20) -> tuple[AttemptFacts, ...]:
        """The latest attempts that match each word: part of the name of project or stage, or the attempt's number."""
        return self._service.find(text, limit)

    def shared_stages(self, projects: Sequence[str]) -> tuple[SharedStage, ...]:
        """The stages that at least two of these projects have outputs of, with the attempts that made them.

        Raises NotFound.
        """
        return shared_stages(self._context, projects)

    def two(self, left: Named, right: Named, *, tables: bool = True, everything: bool = False) -> Comparison:
        """Two attempts side by side. Without `tables`, no file is read.

        With `everything`, equal parameters and files are named, too.
        """
        return self._service.two(*self._task_ids((left, right)), tables=tables, everything=everything)

    def many(self, names: Sequence[Named]) -> CrossTable:
        """A table of attempts, by the parameters that differ and the results."""
        return self._service.many(self._task_ids(names))

    def tables(self, names: Sequence[Named]) -> tuple[str, ...]:
        """The paths of the CSV and Parquet files that any of these attempts has."""
        outputs = self._context.records.manifests(self._task_ids(names)).values()
        paths = {entry.path for manifest in outputs for entry in manifest.files}
        return tuple(sorted(path for path in paths if PurePosixPath(path).suffix.lower() in TABLES))

    def table(  # noqa: PLR0913  # what is compared, and which part is shown
        self,
        left: Named,
        right: Named,
        path: str,
        *,
        key: Sequence[str] | None = None,
        kinds: Sequence[RowKind] = KINDS,
        first: int = 1,
        count: int = 100,
        wait_s: float = LONG_S,
    ) -> TableDiff:
        """The rows of a table that differ between two attempts, from the one numbered `first` on.

        `key` are the columns that tell which rows belong together, none for rows at the same position. Without it, one
        is looked for. Where the files have not been read after `wait_s`, the answer says how far that is.
        Raises NotFound, InputRejected for an unknown column, StoreError.
        """
        tables: list[Table] = []
        faults: list[str] = []
        for side, task_id in zip(("left", "right"), self._task_ids((left, right)), strict=True):
            found = self._table(task_id, path, wait_s)
            if isinstance(found, Reading):
                return TableDiff(path=path, reading=found)
            if isinstance(found, str):
                faults.append(f"{side}: {found}")
            else:
                tables.append(found)
        if faults:
            return TableDiff(path=path, faults=tuple(faults))
        return diff(tables[0], tables[1], path, key=key, kinds=kinds, first=first, count=count)

    def chart(  # noqa: PLR0913  # what is drawn, by name
        self,
        names: Sequence[Named],
        path: str,
        x: str = "",
        y: str = "",
        *,
        points: int = POINTS,
        wait_s: float = LONG_S,
    ) -> Curves:
        """Two columns of a table as one curve for each attempt. Without names, the first columns with numbers.

        Raises NotFound, and InputRejected for too many attempts or a column that has no numbers.
        """
        if len(names) > MOST_CURVES:
            raise InputRejected(f"{len(names)} curves are too many", expected=f"at most {MOST_CURVES}")
        found: dict[str, Table | str] = {}
        for task_id in self._task_ids(names):
            table = self._table(task_id, path, wait_s)
            if isinstance(table, Reading):
                return Curves(path=path, reading=table)
            found[task_id] = table
        shapes = [table.shape for table in found.values() if isinstance(table, Table)]
        columns = tuple(
            dict.fromkeys(each.name for shape in shapes for each in shape.columns if each.kind == "number")
        )[:MOST_COLUMNS]
        x, y = axes(columns, x, y)
        curves = tuple(_curve(task_id, table, x, y, points) for task_id, table in found.items())
        return Curves(path=path, x=x, y=y, columns=columns, curves=curves)

    def _table(self, task_id: str, path: str, wait_s: float) -> Table | Reading | str:
        """The file of an attempt as a table, how far its reading is, or why there is none."""
        file = self._file(task_id, path)
        if file is None:
            return "there is no file of this name"
        if self._context.store.manifest(file.address) is None:
            return "its outputs are no longer in the store"
        try:
            return table_of(self._context, file, wait_s)
        except InputRejected as error:
            return error.what

    def _file(self, task_id: str, path: str) -> ProjectFile | None:
        records = self._context.records
        attempt, manifest = records.attempt(task_id), records.manifests([task_id]).get(task_id)
        for entry in manifest.files if manifest is not None else ():
            if entry.path == path and manifest is not None:
                outputs = {attempt.stage: manifest.model_copy(update={"files": (entry,)})}
                (file,) = files_of(self._context.store, attempt.pipeline, outputs, [attempt.stage])
                return file
        return None

    def log(
        self, left: Named, right: Named, *, first_left: int = 1, first_right: int = 1, ignore_times: bool = False
    ) -> LogDiff:
        """What differs between two logs, from these lines on: one step, which takes half a second at most."""
        records = self._context.records
        one, other = (log_of(self._context, records.attempt(each)) for each in self._task_ids((left, right)))
        return log_diff(
            one.lines, other.lines, first_left=first_left, first_right=first_right, ignore_times=ignore_times
        )

    def pick_effect(self, name: Named) -> PickEffect:
        """What picking this attempt would change. Raises NotFound."""
        (effect,) = self.pick_effects([name]).values()
        return effect

    def pick_effects(self, names: Sequence[Named]) -> dict[str, PickEffect]:
        """Task id -> what picking that attempt alone would change. Raises NotFound."""
        lineages: dict[str, Lineage] = {}
        return {task_id: self._pick_effect(task_id, lineages) for task_id in self._task_ids(names)}

    def _pick_effect(self, task_id: str, lineages: dict[str, Lineage]) -> PickEffect:
        context = self._context
        attempt = context.records.attempt(task_id)
        if attempt.project not in lineages:
            project = context.records.project(attempt.project)
            own = context.resources.pipeline_version(project.pipeline, project.pipeline_digest)
            lineages[attempt.project] = lineage_of(context.records, attempt.project, own)
        lineage = lineages[attempt.project]
        if attempt.pipeline != lineage.pipeline.name:
            return PickEffect(current=False, problem=f"it is one of the pipeline {attempt.pipeline}")
        current = lineage.current.get(attempt.stage)
        if current is not None and current.task_id == task_id:
            return PickEffect(current=True)
        if not attempt.usable:
            problem = (
                "its outputs were removed" if attempt.outputs_removed_at else f"it is {attempt.outcome or 'running'}"
            )
            return PickEffect(current=False, problem=problem)
        pick = Pick(attempt.project, attempt.pipeline, attempt.stage, task_id, context.clock(), context.actor.who)
        picked = replace(lineage, picks=(*lineage.picks, pick))
        outdated = {stage for stage in picked.outdated if stage in picked.current} - set(lineage.outdated)
        stages = (stage.name for stage in lineage.pipeline.stages)
        return PickEffect(current=False, outdated=tuple(stage for stage in stages if stage in outdated))

    def _task_ids(self, names: Sequence[Named]) -> list[str]:
        known: dict[str, tuple[Attempt, ...]] = {}
        return [self._task_id(name, known) for name in names]

    def _task_id(self, name: Named, known: dict[str, tuple[Attempt, ...]]) -> str:
        records = self._context.records
        if isinstance(name, str) and not name.isprintable():
            raise InputRejected(f"{name!r} does not name an attempt", expected="PROJECT:STAGE:ATTEMPT, or a task id")
        if isinstance(name, str) and ":" not in name:
            attempt = records.attempt(name)
            records.project(attempt.project)
            return attempt.task_id
        address = AttemptAddress.parse(name) if isinstance(name, str) else name
        if address.project not in known:
            records.project(address.project)
            known[address.project] = records.attempts(address.project)
        return find_attempt(known[address.project], address.stage, address.attempt).task_id

    @property
    def _service(self) -> ComparisonService:
        return ComparisonService(self._context.records, self._context.store)


def _curve(task_id: str, table: Table | str, x: str, y: str, points: int) -> Curve:
    if isinstance(table, str):
        return Curve(attempt=task_id, fault=table)
    if not y:
        return Curve(attempt=task_id, fault="it has no column with numbers")
    try:
        drawn = chart(table, ChartQuery(x=x, y=(y,)), points)
    except WinslowError as error:
        return Curve(attempt=task_id, fault=error.what)
    series = drawn.series[0] if drawn.series else None
    return Curve(
        attempt=task_id,
        x=series.x if series else (),
        y=series.y if series else (),
        rows=drawn.rows,
        notes=(*table.shape.notes, *drawn.notes),
    )
