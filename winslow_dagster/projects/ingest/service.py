"""What a person can do with ingested files: list them, and retry one."""

from __future__ import annotations

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.domain.views import Need, Needs
from winslow_dagster.projects.ingest.config import Watch, load_watches
from winslow_dagster.projects.ingest.table import IngestFile, IngestState, IngestTable


class IngestList(Frozen):
    """Files found in watched folders, the earliest first."""

    files: tuple[IngestFile, ...]


class IngestService:
    """All methods raise ServiceUnavailable."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def watches(self) -> tuple[Watch, ...]:
        """Read the watch file. Raises WatchFileInvalid."""
        return load_watches(self._context.settings.watch_file)

    def files(self, *, watch: str | None = None, state: IngestState | None = None) -> IngestList:
        """List files: of all watches or one, in any state or one. Those of deleted projects are left out."""
        files = self._table().all(watch=watch, states=() if state is None else (state,))
        deleted = {each.project for each in Deletions(self._context.records.database).all()}
        return IngestList(files=tuple(file for file in files if file.project not in deleted))

    def needs(self, limit: int) -> Needs:
        """The rejected and failed files, the latest first, at most `limit`."""
        files, total = self._table().waiting_for_person(limit)
        return Needs(needs=tuple(map(_need, files)), total=total)

    def retry(self, file_id: int) -> IngestFile:
        """Start over with a rejected or failed file. Raises NotFound, ProjectConflict."""
        self._context.actor.require("operator")
        file = self._table().retry(file_id, self._context.clock())
        self._context.audit("retry_ingest", file.project, file=file.id, path=file.path)
        return file

    def _table(self) -> IngestTable:
        return IngestTable(self._context.records.database)


def _need(file: IngestFile) -> Need:
    return Need(
        kind="file",
        reason=file.reason,
        since=file.state_since or file.seen_at,
        project=file.project,
        file=file.id,
        path=f"{file.watch}: {file.path}",
    )
