"""One project of an installation: what can be seen of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from winslow_dagster.actions import Action
from winslow_dagster.engines.engine import UsageHistory, explanation
from winslow_dagster.errors import Forbidden, InputRejected, NotFound
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.pipelines.model.form import INPUT
from winslow_dagster.projects.accounts.people import People
from winslow_dagster.projects.commands.acts import act
from winslow_dagster.projects.commands.attempt_details import (
    details_of_attempt,
    settings_of_attempt,
    settings_of_stage,
)
from winslow_dagster.projects.commands.attempt_log import AttemptLog
from winslow_dagster.projects.commands.attempt_usage import attempt_usage
from winslow_dagster.projects.commands.deletion import effect
from winslow_dagster.projects.commands.downloads import ProjectDownloads
from winslow_dagster.projects.commands.files import fetch, files_of, input_file, log_of, open_file, read_file
from winslow_dagster.projects.commands.pictures import newest_picture
from winslow_dagster.projects.commands.run import Run
from winslow_dagster.projects.commands.sweeps import LATEST, sweep_of, sweeps_of
from winslow_dagster.projects.commands.tables import growing_table, growing_tables, table_of
from winslow_dagster.projects.comparison.compare import Comparison, CrossTable
from winslow_dagster.projects.comparison.service import ComparisonService
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.database.dismissals import Dismissals
from winslow_dagster.projects.database.lineage_queries import lineage_of, outputs_in_use
from winslow_dagster.projects.database.permission import Permissions
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.audit import AuditEntry
from winslow_dagster.projects.domain.deletion import Deletion, DeletionEffect
from winslow_dagster.projects.domain.lineage import goes_out_of_date
from winslow_dagster.projects.domain.lineage_view import ProjectLineage, project_lineage
from winslow_dagster.projects.domain.model import Attempt, RunRecord
from winslow_dagster.projects.domain.sweeps import Sweep, SweepSummary
from winslow_dagster.projects.domain.todo import Todo
from winslow_dagster.projects.domain.used_pipelines import newest_versions
from winslow_dagster.projects.domain.views import (
    AttemptDetails,
    Dismissal,
    HistoryLine,
    HistoryPage,
    ProjectFile,
    ProjectStatus,
    StageSettings,
)
from winslow_dagster.stages.log import LogLine, LogReader
from winslow_dagster.stages.log.patterns import LinePattern
from winslow_dagster.stages.task.growing_output import GrowingFile
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import BytesMoved
from winslow_dagster.tables.model import Reading
from winslow_dagster.tables.table import Table


class ProjectOwner(NamedTuple):
    """Who may act on a project: the owner and the members of the group; without a group, every operator."""

    owner: str
    group: str | None


class ProjectHandle(ProjectDownloads):
    """One project: what can be seen of it, and every action on it.

    A stage is that of the project's pipeline; if that has none of the name, of the one that ran last of its other
    pipelines. `pipeline` names another. Attempts are numbered over all pipelines, so that a number needs none.
    """

    def __repr__(self) -> str:
        return f"ProjectHandle({self.name!r})"

    def status(self) -> ProjectStatus:
        """Its status."""
        return self._context.status(self.name)

    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts of all stages, in the order in which they started."""
        return self._context.records.attempts(self.name)

    def files(
        self, stage: str | None = None, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> tuple[ProjectFile, ...]:
        """The current output files of all stages or of one; or those of one attempt, however it ended.

        Raises NotFound for an unknown stage, attempt or pipeline, InputRejected for an attempt without a stage.
        """
        store, records = self._context.store, self._context.records
        if attempt is not None:
            if stage is None:
                raise InputRejected("an attempt belongs to a stage", expected="the stage, too")
            found = self.attempt(stage, attempt, pipeline=pipeline)
            outputs = records.manifests([found.task_id]).get(found.task_id)
            return files_of(store, found.pipeline, {} if outputs is None else {stage: outputs}, [stage])
        if stage is not None:
            pipelines = [self._pipeline_with(stage, pipeline)]
        elif pipeline is not None:
            pipelines = [self.pipeline(pipeline)]
        else:
            used = self._context.used_pipelines(records.project(self.name))
            pipelines = [each.read() for each in newest_versions(used)]
        return tuple(
            file
            for each in pipelines
            for file in files_of(
                store, each.name, self._outputs(each), [stage] if stage else [found.name for found in each.stages]
            )
        )

    def file(
        self, stage: str, path: str, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> ProjectFile:
        """One current output file of a stage, or one of an attempt; of the stage `input:NAME`, a file of an input.

        Raises NotFound.
        """
        if stage.startswith(INPUT):
            return input_file(self._context, self.name, stage.removeprefix(INPUT), path)
        store, records = self._context.store, self._context.records
        if attempt is not None:
            found = self.attempt(stage, attempt, pipeline=pipeline)
            name, outputs = found.pipeline, records.manifests([found.task_id]).get(found.task_id)
        else:
            asked = self._pipeline_with(stage, pipeline)
            name, outputs = asked.name, self._outputs(asked).get(stage)
        for entry in outputs.files if outputs is not None else ():
            if entry.path == path and outputs is not None:
                (file,) = files_of(store, name, {stage: outputs.model_copy(update={"files": (entry,)})}, [stage])
                return file
        raise NotFound(
            f"{stage} has no output file {path!r}",
            where=self._where,
            remedy=Action("list_files", {"project": self.name}),
        )

    def pipeline_of_stage(self, stage: str, pipeline: str | None = None) -> Pipeline:
        """The pipeline that has the stage, in the version that the project uses. Raises NotFound."""
        return self._pipeline_with(stage, pipeline)

    def outputs(self, *, pipeline: str | None = None) -> dict[str, Manifest]:
        """Stage -> its current outputs, of the project's pipeline or of another that it ran through."""
        return self._outputs(self.pipeline(pipeline))

    def _outputs(self, pipeline: Pipeline) -> dict[str, Manifest]:
        records = self._context.records
        return outputs_in_use(records, lineage_of(records, self.name, pipeline))

    def fetch(self, file: ProjectFile, directory: Path, moved: BytesMoved | None = None) -> Path:
        """Copy a file to `<directory>/<stage>/<path>`, and return that. Raises StoreError, ProjectConflict."""
        return fetch(self._context.store, file, directory, moved)

    def open_file(self, file: ProjectFile) -> BufferedReader:
        """A file for reading from any position; only the ranges that are read are fetched. Raises StoreError."""
        return open_file(self._context.store, file)

    def read_file(self, file: ProjectFile, begin: int, end: int) -> bytes:
        """The bytes of a file from `begin` to before `end`, fewer if it is shorter than it was. Raises StoreError."""
        return read_file(self._context.store, file, begin, end)

    def growing_tables(self, stage: str, *, pipeline: str | None = None) -> tuple[GrowingFile, ...]:
        """The CSV files that the stage has written so far, while it runs. Raises NotFound."""
        return growing_tables(self._context, self._logged_attempt(stage, None, pipeline))

    def growing_table(
        self, stage: str, path: str, wait_s: float = 1.0, *, pipeline: str | None = None
    ) -> Table | Reading:
        """A CSV file that the stage is writing, as it is now. Raises NotFound, InputRejected."""
        return growing_table(self._context, self._logged_attempt(stage, None, pipeline), path, wait_s)

    def table(self, file: ProjectFile, wait_s: float = 1.0) -> Table | Reading:
        """A CSV, Parquet or GeoJSON file as a table, or how far its reading is. Raises InputRejected, StoreError."""
        return table_of(self._context, file, wait_s)

    def logs(self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None) -> LogReader:
        """The log of the stage's latest attempt, or of one of its attempts, by number or task id.

        Live while it runs, from the store once it has ended. Raises NotFound.
        """
        return log_of(self._context, self._logged_attempt(stage, attempt, pipeline))

    def log(self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None) -> AttemptLog:
        """The same log as a page shows it: in windows, with levels, searched step by step. Raises NotFound."""
        found = self._logged_attempt(stage, attempt, pipeline)
        version = self._context.resources.pipeline_version(found.pipeline, found.pipeline_digest)
        return AttemptLog(self._context, found, version.stage(stage).log)

    def outcome_of(self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None) -> str:
        """The outcome and message of the attempt whose log `logs` reads, or its state and reason. Raises NotFound."""
        found = self._logged_attempt(stage, attempt, pipeline)
        if found.outcome is not None:
            return f"{found.outcome}: {found.message}" if found.message else found.outcome
        task = self._context.engine.status(found.task_id)
        return ": ".join(filter(None, ("running" if task.running else "waiting", explanation(task))))

    def _logged_attempt(self, stage: str, attempt: str | int | None, pipeline: str | None) -> Attempt:
        if attempt is not None:
            return self.attempt(stage, attempt, pipeline=pipeline)
        running = self._pipeline_of(stage, pipeline)
        attempts = [each for each in self.attempts() if (each.pipeline, each.stage) == (running, stage)]
        if not attempts:
            raise NotFound(
                "the stage has no log yet", where=f"{self.name}/{stage}", expected="a stage that has started"
            )
        return attempts[-1]

    def _pipeline_of(self, stage: str, pipeline: str | None) -> str:
        """The name of the pipeline that has the stage. Its file is read only if no attempt shows that it is its own."""
        own = self._context.records.project(self.name).pipeline
        attempted = {(each.pipeline, each.stage) for each in self.attempts()}
        if pipeline in {None, own} and (own, stage) in attempted:
            return own
        return self._pipeline_with(stage, pipeline).name

    def details(
        self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> AttemptDetails | None:
        """The stage's latest attempt, or one of its attempts, with what its runner reported. None if it has none.

        Raises NotFound.
        """
        found = _numbered(self.attempts(), stage)
        if attempt is None:
            own = (
                pipeline if any(each.pipeline == pipeline for _, each in found) else self._pipeline_of(stage, pipeline)
            )
            found = [each for each in found if each[1].pipeline == own]
        else:
            task_id = self.attempt(stage, attempt, pipeline=pipeline).task_id
            found = [each for each in found if each[1].task_id == task_id]
        if not found:
            return None
        number, last = found[-1]
        line = history_line(last, number, self._context.records.run(last.run_id))
        return details_of_attempt(self._context, line)

    def usage(
        self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> UsageHistory | None:
        """What the stage's latest attempt, or one of its attempts, uses or used over its time; None if it has none.

        Raises NotFound.
        """
        found = self.details(stage, attempt, pipeline=pipeline)
        return None if found is None else attempt_usage(self._context, found.line.task_id)

    def settings(self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None) -> StageSettings:
        """What the stage's latest attempt, or one of its attempts, ran with; before its first, what it would.

        Raises NotFound.
        """
        if attempt is not None:
            return settings_of_attempt(self._context, self.attempt(stage, attempt, pipeline=pipeline))
        found = self._pipeline_with(stage, pipeline)
        attempts = [each for each in self.attempts() if (each.pipeline, each.stage) == (found.name, stage)]
        if attempts:
            return settings_of_attempt(self._context, attempts[-1])
        return settings_of_stage(self._context, self._context.records.project(self.name), found, found.stage(stage))

    def results(self, task_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """Task id -> the results that it reported, for attempts that have ended."""
        return self._context.records.log_results(task_ids)

    def error_lines(
        self, stage: str, lines: Iterable[LogLine], attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> Iterator[LogLine]:
        """The lines that the stage's error patterns match; if it declares none, those of stderr. Raises NotFound."""
        if attempt is not None:
            pipeline = self.attempt(stage, attempt, pipeline=pipeline).pipeline
        rules = self._pipeline_with(stage, pipeline).stage(stage).log
        patterns = [LinePattern(pattern) for pattern in rules.errors]
        for line in lines:
            if any(pattern.search(line.text) for pattern in patterns) or (not patterns and line.stream == "stderr"):
                yield line

    def runs(self) -> tuple[RunRecord, ...]:
        """All runs, the latest first: what was requested, by whom and why, and how each ended."""
        return self._context.records.runs(self.name)

    def run(self, run_id: str) -> Run:
        """One run, such as one of a sweep. Raises NotFound."""
        record = self._context.records.run(run_id)
        if record is None or record.project != self.name:
            raise NotFound(f"there is no run {run_id}", where=self._where)
        return Run(self._context, self.name, run_id)

    def sweeps(self) -> tuple[SweepSummary, ...]:
        """All its sweeps, the latest first."""
        return sweeps_of(self._context, self.name)

    def sweep_runs(self, sweep: str = LATEST) -> Sweep:
        """One sweep, by its id or the latest, with its runs and what picking one would do. Raises NotFound."""
        return sweep_of(self._context, self.name, sweep)

    def goes_out_of_date(self, stage: str, *, pipeline: str | None = None) -> tuple[str, ...]:
        """The stages that would be out of date if this one got other outputs. Raises NotFound."""
        lineage = lineage_of(self._context.records, self.name, self._pipeline_with(stage, pipeline))
        return goes_out_of_date(lineage, stage)

    def lineage(self) -> ProjectLineage:
        """Which of its outputs were made from which, in all its pipelines."""
        records = self._context.records
        used = newest_versions(self._context.used_pipelines(records.project(self.name)))
        lineages = {each.name: lineage_of(records, self.name, each.read()) for each in used}
        runs = (run.run_id for run in self.runs())
        return project_lineage(self.name, self.attempts(), lineages, runs)

    def answers(self) -> tuple[Answer, ...]:
        """All answers that people gave, in order."""
        return Answers(self._context.records.database).of_project(self.name)

    def audit(self) -> tuple[AuditEntry, ...]:
        """Who did what with it, the latest first."""
        return Audit(self._context.records.database).entries(self.name)

    def compare(self, stage: str, left: str | int, right: str | int) -> Comparison:
        """What differs between two attempts of a stage, by number or task id: their parameters and their results."""
        attempts = (self.attempt(stage, left), self.attempt(stage, right))
        return self._comparison.two(*(each.task_id for each in attempts))

    def compare_all(self, stage: str, *, pipeline: str | None = None) -> CrossTable:
        """All finished attempts of a stage side by side, such as those of a sweep."""
        return self._comparison.many(self._comparison.finished(self.name, self._pipeline_of(stage, pipeline), stage))

    def history(self, stage: str | None = None) -> tuple[HistoryLine, ...]:
        """All attempts of all stages or of one, of all its pipelines, in the order in which they started."""
        return self._history_lines(_numbered(self.attempts(), stage))

    def history_page(self, stage: str | None = None, *, limit: int, offset: int = 0) -> HistoryPage:
        """Some of its history, the latest first, so that a project with many attempts is shown as quickly as others."""
        found = _numbered(self.attempts(), stage)
        return HistoryPage(lines=self._history_lines(found[::-1][offset : offset + limit]), total=len(found))

    def _history_lines(self, numbered: Sequence[tuple[int, Attempt]]) -> tuple[HistoryLine, ...]:
        runs = {run.run_id: run for run in self.runs()} if numbered else {}
        return tuple(history_line(attempt, number, runs.get(attempt.run_id)) for number, attempt in numbered)

    def owner(self) -> ProjectOwner:
        """Who may act on it: its owner and the members of its group; without a group, every operator."""
        return ProjectOwner(*Permissions(self._context.records.database).of(self.name))

    def may_act(self) -> bool:
        """Whether the actor may act on it, or only look at it."""
        try:
            self._context.require_may_act(self.name)
        except Forbidden:
            return False
        return True

    def give(self, owner: str | None = None, *, group: str | None = None) -> ProjectOwner:
        """Give it another owner, another group, or with `group=""` none. Only its owner and administrators may.

        Raises NotFound for an unknown person, InputRejected for an unknown group.
        """
        context = self._context
        ownership, people = Permissions(context.records.database), People(context.records.database)
        old_owner, old_group = ownership.of(self.name)
        if not context.actor.unlimited and context.actor.who != old_owner:
            raise Forbidden(
                f"it belongs to {old_owner}, not to {context.actor.who}",
                where=f"project {self.name}",
                remedy="Ask its owner, or an administrator",
            )
        context.require_may_act(self.name)
        if owner is not None:
            people.get(owner)
        if group:
            people.require_group(group)
        new = ProjectOwner(old_owner if owner is None else owner, old_group if group is None else group or None)
        ownership.give(self.name, owner=new.owner, group=new.group)
        context.audit("give", self.name, owner=owner, group=group)
        return new

    def dismissal(self) -> Dismissal | None:
        """Who has taken note that its latest run failed; None if nobody has, or it has not failed."""
        return Dismissals(self._context.records.database).of(self.name)

    def deletion(self) -> Deletion | None:
        """Who deleted it, when and why; None if nobody did."""
        return Deletions(self._context.records.database).of(self.name)

    def deletion_effect(self) -> DeletionEffect:
        """What it would mean to delete it: what it has, and which other projects use its outputs."""
        return effect(self._context, self.name)

    def notes(self) -> str:
        """The notes on it."""
        return self._context.records.project(self.name).notes

    @act
    def note(self, notes: str) -> None:
        """Replace the notes on it."""
        self._annotations.set_notes(self.name, notes)
        self._context.audit("note", self.name)

    def tags(self) -> tuple[str, ...]:
        """Its tags, in order."""
        return self._context.records.project(self.name).tags

    @act
    def tag(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Replace its tags. Raises InputRejected."""
        kept = self._annotations.set_tags(self.name, tags)
        self._context.audit("tag", self.name, tags=list(kept))
        return kept

    @act
    def change_tags(self, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[str, ...]:
        """Add tags and remove others. Returns all that it has now. Raises InputRejected."""
        kept = self._annotations.change_tags(self.name, add, remove)
        self._context.audit("tag", self.name, tags=list(kept))
        return kept

    def picture(self, most_bytes: int) -> ProjectFile | None:
        """The newest picture among its current outputs that is not larger, by the highlights of the stages."""
        records = self._context.records
        pipeline = self.pipeline()
        lineage = lineage_of(records, self.name, pipeline)
        found = newest_picture(lineage, outputs_in_use(records, lineage), most_bytes)
        if found is None:
            return None
        stage, manifest, entry = found
        (file,) = files_of(
            self._context.store, pipeline.name, {stage: manifest.model_copy(update={"files": (entry,)})}, [stage]
        )
        return file

    @act
    def add_todo(self, text: str) -> Todo:
        """Add an entry to its to-do list. Raises InputRejected for an empty text."""
        todo = self._annotations.add_todo(self.name, text, self._context.actor.who)
        self._context.audit("todo", self.name, number=todo.number, text=todo.text)
        return todo

    @act
    def finish_todo(self, number: int, *, done: bool = True) -> None:
        """Tick an entry off, or open it again. Raises NotFound."""
        self._annotations.finish_todo(self.name, number, self._context.actor.who, done=done)
        self._context.audit("todo", self.name, number=number, done=done)

    def todos(self) -> tuple[Todo, ...]:
        """Its to-do list."""
        return self._annotations.todos(self.name)

    @property
    def _annotations(self) -> Annotations:
        return Annotations(self._context.records.database)

    @property
    def _comparison(self) -> ComparisonService:
        return ComparisonService(self._context.records, self._context.store)


def _numbered(attempts: Iterable[Attempt], stage: str | None) -> list[tuple[int, Attempt]]:
    """The attempts of all stages or of one, each with its number among those of its stage."""
    numbers: Counter[str] = Counter()
    found = []
    for attempt in attempts:
        numbers[attempt.stage] += 1
        if stage is None or attempt.stage == stage:
            found.append((numbers[attempt.stage], attempt))
    return found


def history_line(attempt: Attempt, number: int, run: RunRecord | None) -> HistoryLine:
    """One attempt with what its run was requested to do. An edited attempt has no run: its message names the person."""
    duration = None if attempt.ended_at is None else (attempt.ended_at - attempt.started_at).total_seconds()
    return HistoryLine(
        task_id=attempt.task_id,
        stage=attempt.stage,
        number=number,
        pipeline=attempt.pipeline,
        pipeline_version=attempt.pipeline_digest,
        started_at=attempt.started_at,
        duration_s=duration,
        outcome=attempt.outcome,
        message=attempt.message,
        node=attempt.node,
        image_digest=attempt.image_digest,
        run_id=attempt.run_id,
        requested_by=run.requested_by if run else "",
        via=run.via if run else "by hand",
        reason=run.reason if run else "",
        settings=run.settings.get("stages", {}).get(attempt.stage, {}) if run else {},
        reused_from=attempt.reused_from,
        outputs_removed_at=attempt.outputs_removed_at,
    )
