"""Attempts side by side, named as people name them: `PROJECT:STAGE:ATTEMPT`, or a task id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from winslow_dagster.errors import InputRejected, WinslowError
from winslow_dagster.projects.commands.attempt_address import AttemptAddress
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import log_of
from winslow_dagster.projects.comparison.compare import AttemptFacts, Comparison, CrossTable
from winslow_dagster.projects.comparison.log_diff import LogDiff, log_diff
from winslow_dagster.projects.comparison.series import POINTS, Chart
from winslow_dagster.projects.comparison.service import ComparisonService
from winslow_dagster.projects.comparison.table_diff import KINDS, RowKind, TableDiff
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.attempts import find_attempt
from winslow_dagster.projects.domain.lineage import Lineage, Pick
from winslow_dagster.projects.domain.model import Attempt

Named = AttemptAddress | str


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

    def two(self, left: Named, right: Named, *, tables: bool = True, everything: bool = False) -> Comparison:
        """Two attempts side by side. Without `tables`, no file is read; with `everything`, equal parameters, too."""
        return self._service.two(*self._task_ids((left, right)), tables=tables, everything=everything)

    def many(self, names: Sequence[Named]) -> CrossTable:
        """A table of attempts, by the parameters that differ and the results."""
        return self._service.many(self._task_ids(names))

    def tables(self, names: Sequence[Named]) -> tuple[str, ...]:
        """The paths of the CSV files that any of these attempts has."""
        return self._service.tables(self._task_ids(names))

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
    ) -> TableDiff:
        """The rows of a CSV file that differ, from the one numbered `first` on. `key` tells which belong together."""
        one, other = self._task_ids((left, right))
        return self._service.table(one, other, path, key=key, kinds=kinds, first=first, count=count)

    def chart(self, names: Sequence[Named], path: str, x: str = "", y: str = "", points: int = POINTS) -> Chart:
        """Two columns of a CSV file as one curve for each attempt. Without names, the first columns with numbers."""
        return self._service.chart(self._task_ids(names), path, x, y, points)

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
