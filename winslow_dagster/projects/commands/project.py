"""A project in a person's hand: what can be seen of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.commands.control import ProjectControl
from winslow_dagster.projects.commands.files import fetch, files_of, log_of
from winslow_dagster.projects.comparison.compare import Comparison, CrossTable
from winslow_dagster.projects.comparison.service import ComparisonService
from winslow_dagster.projects.database.annotations import Todo
from winslow_dagster.projects.database.answers import Answer, Answers
from winslow_dagster.projects.database.audit import AuditEntry
from winslow_dagster.projects.database.lineage_queries import lineage_of, outputs_in_use
from winslow_dagster.projects.domain.model import Attempt, RunRecord
from winslow_dagster.projects.domain.run_request import require_stage
from winslow_dagster.projects.domain.views import HistoryLine, ProjectFile, ProjectStatus
from winslow_dagster.stages.log import LogReader
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import BytesMoved


class ProjectHandle(ProjectControl):
    """One project of an installation: what is to be seen of it, and what can be done with it."""

    def __repr__(self) -> str:
        return f"ProjectHandle({self.name!r})"

    def status(self) -> ProjectStatus:
        """The project as it is now."""
        return self._actions.status(self.name)

    def attempts(self) -> tuple[Attempt, ...]:
        """Everything that ran for it, in order."""
        return self._actions.records.attempts(self.name)

    def files(self, stage: str | None = None, attempt: str | int | None = None) -> tuple[ProjectFile, ...]:
        """The output files that its stages have now, of all or of one; or those of one attempt, however it ended.

        Raises NotFound for an unknown one, InputRejected for an attempt of no stage.
        """
        pipeline = self._pipeline()
        if attempt is not None:
            if stage is None:
                raise InputRejected("an attempt is one of a stage", expected="the stage, too")
            task_id = self.attempt(stage, attempt).task_id
            made = self._actions.records.manifests([task_id]).get(task_id)
            return files_of(self._actions.store, {} if made is None else {stage: made}, [stage])
        stages = [each.name for each in pipeline.stages] if stage is None else [require_stage(pipeline, stage).name]
        return files_of(self._actions.store, self.outputs(), stages)

    def outputs(self) -> dict[str, Manifest]:
        """Stage -> the outputs it has now."""
        records = self._actions.records
        return outputs_in_use(records, lineage_of(records, self.name, self._pipeline()))

    def logs(self, stage: str, attempt: int | None = None) -> LogReader:
        """The log of the stage's latest attempt, or of one of its attempts counted from 1 over all runs.

        Live where it runs, from the store where it has ended. Raises NotFound.
        """
        require_stage(self._pipeline(), stage)
        actions = self._actions
        return log_of(actions.settings, actions.store, actions.records, (self.name, stage), attempt)

    def fetch(self, file: ProjectFile, directory: Path, moved: BytesMoved | None = None) -> Path:
        """Copy one of its files to `<directory>/<stage>/<path>`, and give that. Raises StoreError, ProjectConflict."""
        return fetch(self._actions.store, file, directory, moved)

    def error_patterns(self, stage: str) -> tuple[str, ...]:
        """The regular expressions by which the stage's error lines are known. Raises NotFound."""
        return require_stage(self._pipeline(), stage).log.errors

    def runs(self) -> tuple[RunRecord, ...]:
        """What was asked of every run, by whom and why, and how it ended; the latest first."""
        return self._actions.records.runs(self.name)

    def answers(self) -> tuple[Answer, ...]:
        """What people answered, in order."""
        return Answers(self._actions.records.database).of_project(self.name)

    def audit(self) -> tuple[AuditEntry, ...]:
        """Who did what with it, the latest first."""
        return self._actions.audit.entries(self.name)

    def compare(self, stage: str, left: str | int, right: str | int) -> Comparison:
        """What differs between two attempts of a stage, by number or task id: what they were told, and what came."""
        attempts = (self.attempt(stage, left), self.attempt(stage, right))
        return ComparisonService(self._actions.records, self._actions.store).two(*(each.task_id for each in attempts))

    def compare_all(self, stage: str) -> CrossTable:
        """All finished attempts of a stage side by side, such as those of a sweep."""
        comparing = ComparisonService(self._actions.records, self._actions.store)
        return comparing.many(comparing.finished(self.name, stage))

    def history(self, stage: str | None = None) -> tuple[HistoryLine, ...]:
        """Every attempt of every stage, or of one, of all its pipelines, in the order in which they started."""
        runs = {run.run_id: run for run in self.runs()}
        numbers: Counter[str] = Counter()
        lines = []
        for attempt in self.attempts():
            numbers[attempt.stage] += 1
            if stage is None or attempt.stage == stage:
                lines.append(history_line(attempt, numbers[attempt.stage], runs.get(attempt.run_id)))
        return tuple(lines)

    def note(self, notes: str) -> None:
        """Replace its notes."""
        self._actions.annotations.set_notes(self.name, notes)
        self._actions.audit.note(self._actions.actor, "note", self.name)

    def tag(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Replace its tags. Raises InputRejected."""
        kept = self._actions.annotations.set_tags(self.name, tags)
        self._actions.audit.note(self._actions.actor, "tag", self.name, tags=list(kept))
        return kept

    def add_todo(self, text: str) -> Todo:
        """Put something on its list of what is to be done. Raises InputRejected for an empty text."""
        todo = self._actions.annotations.add_todo(self.name, text, self._actions.actor.who)
        self._actions.audit.note(self._actions.actor, "todo", self.name, number=todo.number, text=todo.text)
        return todo

    def finish_todo(self, number: int, *, done: bool = True) -> None:
        """Tick one off, or open it again. Raises NotFound."""
        self._actions.annotations.finish_todo(self.name, number, self._actions.actor.who, done=done)
        self._actions.audit.note(self._actions.actor, "todo", self.name, number=number, done=done)

    def todos(self) -> tuple[Todo, ...]:
        """Its list of what is to be done."""
        return self._actions.annotations.todos(self.name)


def history_line(attempt: Attempt, number: int, run: RunRecord | None) -> HistoryLine:
    """One attempt with what its run was told; a change by hand has no run, and says itself who made it."""
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
