"""A run and a project in a person's hand: what can be asked of them, and done with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from winslow_dagster.errors import ServiceUnavailable, StageFailed
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects.files import fetch, files_of, log_of
from winslow_dagster.projects.request import require_stage
from winslow_dagster.projects.results import ProjectFile, ProjectStatus
from winslow_dagster.projects.values import Attempt
from winslow_dagster.stages.log import LogReader
from winslow_dagster.storage.store import BytesMoved

if TYPE_CHECKING:
    from winslow_dagster.projects.actions import Actions

LOOK_S = 0.5
"""Between two looks at a run that is waited for."""
SILENCE_S = 60.0
"""So long may the web server be away while a run is waited for: its supervisor starts it again."""

Progress = Callable[[ProjectStatus], None]


class Run:
    """One run of a project."""

    def __init__(self, actions: Actions, project: str, run_id: str) -> None:
        self._actions = actions
        self.project = project
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"Run(project={self.project!r}, run_id={self.run_id!r})"

    def status(self) -> ProjectStatus:
        """The project as it is now."""
        return self._actions.status(self.project)

    def wait(self, progress: Progress | None = None) -> ProjectStatus:
        """Wait for the end of the run; `progress` is told twice a second how it stands.

        Raises StageFailed when it does not end well, saying which stage and why, and ServiceUnavailable when the web
        server stays away.
        """
        status = self.ended(progress)
        self.raise_unless_succeeded(status)
        return status

    def raise_unless_succeeded(self, status: ProjectStatus) -> None:
        """Raise StageFailed where the run's end is no good one."""
        if status.state != "succeeded":
            raise StageFailed(
                status.reason,
                where=f"project {self.project}",
                remedy="Running it again goes on from there; `start_from` goes back further",
            )

    def ended(self, progress: Progress | None = None) -> ProjectStatus:
        """As `wait`, whatever the end."""
        dagit = self._actions.dagit()
        heard_at = time.monotonic()
        pause = threading.Event()
        while True:
            try:
                over = dagit.run(self.run_id).ended
                status = self.status()
                heard_at = time.monotonic()
            except ServiceUnavailable:
                if time.monotonic() - heard_at > SILENCE_S:
                    raise
            else:
                if progress is not None:
                    progress(status)
                if over and status.over:
                    return status
            pause.wait(LOOK_S)

    def cancel(self) -> None:
        """Ask that it end. Raises ProjectConflict when it has."""
        self._actions.dagit().terminate(self.run_id)


class ProjectHandle:
    """One project of an installation."""

    def __init__(self, actions: Actions, name: str) -> None:
        self._actions = actions
        self.name = name

    def __repr__(self) -> str:
        return f"ProjectHandle({self.name!r})"

    def status(self) -> ProjectStatus:
        """The project as it is now."""
        return self._actions.status(self.name)

    def attempts(self) -> tuple[Attempt, ...]:
        """Everything that ran for it, in order."""
        return self._actions.records.attempts(self.name)

    def files(self, stage: str | None = None) -> tuple[ProjectFile, ...]:
        """The output files of the latest good attempts, of all stages or of one. Raises NotFound for an unknown one."""
        pipeline = self._pipeline()
        stages = [each.name for each in pipeline.stages] if stage is None else [require_stage(pipeline, stage).name]
        return files_of(self._actions.store, self._actions.records.latest_outputs(self.name), stages)

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

    def cancel(self) -> Run:
        """Ask that its run end. Raises ProjectConflict when nothing runs."""
        return self._actions.cancel(self.name)

    def _pipeline(self) -> Pipeline:
        return self._actions.pinned(self._actions.records.project(self.name))
