"""Removes deleted projects for good: first their files, then their runs in Dagster, at last their rows.

What another project uses stays, and the rows that say so. Each step is recorded before it begins, or can be repeated:
the next pass finishes what a killed process did not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.deletion import PurgeResult
from winslow_dagster.projects.retention.cleanup import Cleanup


class Purge:
    """All methods raise NotFound, ServiceUnavailable, and StoreError or EngineError where files cannot be removed.

    `forget_runs` deletes all runs of a project from Dagster, and may be called again.
    """

    def __init__(
        self, records: ProjectRecords, cleanup: Cleanup, forget_runs: Callable[[str], None], actor: str = ""
    ) -> None:
        self._records = records
        self._deletions = Deletions(records.database)
        self._cleanup = cleanup
        self._forget_runs = forget_runs
        self._actor = actor

    def begin(self, project: str, *, deleted_before: datetime | None = None) -> bool:
        """From here on the project cannot be restored. False if it is not deleted, or not since before that moment."""
        with self._records.project_lock(project, holder=self._actor, purpose="removing it for good"):
            return self._deletions.begin_purge(project, datetime.now(UTC), deleted_before=deleted_before)

    def carry_out(self, project: str, stop: Callable[[], bool] = lambda: False) -> PurgeResult:
        """Remove what may be removed of a project, as `Cleanup.carry_out` does, and forget it if nothing is left."""
        freed_bytes = self._cleanup.carry_out(self._cleanup.plan(project), stop)
        used_by = self._deletions.users_of(project)
        if used_by or stop() or self._cleanup.left_of(project):
            return PurgeResult(project=project, freed_bytes=freed_bytes, gone=False, used_by=used_by)
        self._forget_runs(project)
        self._deletions.forget(project)
        return PurgeResult(project=project, freed_bytes=freed_bytes, gone=True)
