"""A project in a person's hand: what can be seen of it."""

from __future__ import annotations

from pathlib import Path

from winslow_dagster.projects.answers import Answer, Answers
from winslow_dagster.projects.audit import AuditEntry
from winslow_dagster.projects.files import fetch, files_of, log_of
from winslow_dagster.projects.request import require_stage
from winslow_dagster.projects.results import ProjectFile, ProjectStatus
from winslow_dagster.projects.standing import lineage_of, outputs_in_use
from winslow_dagster.projects.steering import Steering
from winslow_dagster.projects.values import Attempt, RunRecord
from winslow_dagster.stages.log import LogReader
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import BytesMoved


class ProjectHandle(Steering):
    """One project of an installation: what is to be seen of it, and what can be done with it."""

    def __repr__(self) -> str:
        return f"ProjectHandle({self.name!r})"

    def status(self) -> ProjectStatus:
        """The project as it is now."""
        return self._actions.status(self.name)

    def attempts(self) -> tuple[Attempt, ...]:
        """Everything that ran for it, in order."""
        return self._actions.records.attempts(self.name)

    def files(self, stage: str | None = None) -> tuple[ProjectFile, ...]:
        """The output files that its stages have now, of all or of one. Raises NotFound for an unknown one."""
        pipeline = self._pipeline()
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
