"""What a person can do with watched folders and ingested files: list them, and retry or dismiss one."""

from __future__ import annotations

from datetime import datetime

from winslow_dagster.errors import WatchFileInvalid, WinslowError
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.domain.ingest import (
    IngestFile,
    IngestPage,
    IngestQuery,
    IngestState,
    WatchFolder,
    WatchFolders,
)
from winslow_dagster.projects.domain.views import Need, Needs
from winslow_dagster.projects.ingest.config import Watch, load_watches
from winslow_dagster.projects.ingest.sources import open_source
from winslow_dagster.projects.ingest.table import IngestTable


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

    def folders(self) -> WatchFolders:
        """The watched folders, with the number of files in each state, and what keeps one from being used."""
        path, problem = self._context.settings.watch_file, ""
        watches: tuple[Watch, ...] = ()
        try:
            watches = self.watches()
        except WatchFileInvalid as error:
            problem = str(error)
        counts, problems = self._table().counts(), self._table().problems()
        folders = [self._folder(watch, counts.get(watch.name, {}), problems.get(watch.name)) for watch in watches]
        left = sorted(counts.keys() - {watch.name for watch in watches})
        # Without a readable watch file, nobody knows which ones are watched.
        folders += [WatchFolder(name=name, watched=bool(problem), counts=counts[name]) for name in left]
        return WatchFolders(watch_file=str(path), folders=tuple(folders), problem=problem)

    def _folder(
        self, watch: Watch, counts: dict[IngestState, int], recorded: tuple[str, datetime] | None
    ) -> WatchFolder:
        problem, since = recorded or ("", None)
        try:
            watch.input_of(self._context.pipeline(watch.pipeline).pipeline)
            open_source(watch, self._context.settings).require_readable()
        except WinslowError as error:
            # As it is now: the last scan may have met another one.
            since = since if problem == str(error) else None
            problem = str(error)
        return WatchFolder(
            **watch.model_dump(include={"name", "source", "pipeline", "glob", "stable_for_s", "max_concurrent"}),
            auto_start=watch.auto_start,
            quarantine_dir=None if watch.quarantine_dir is None else str(watch.quarantine_dir),
            counts=counts,
            problem=problem,
            problem_since=since,
        )

    def find(self, query: IngestQuery) -> IngestPage:
        """One page of the files that match the query, the latest first. Those of deleted projects are left out."""
        return self._table().find(query)

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
        """Start over with a rejected, failed or dismissed file. Raises NotFound, ProjectConflict."""
        self._context.actor.require("operator")
        file = self._table().retry(file_id, self._context.clock())
        self._context.audit("retry_ingest", file.project, file=file.id, path=file.path)
        return file

    def dismiss(self, file_id: int) -> IngestFile:
        """Take note of a rejected or failed file: it no longer waits for a person, until its content changes.

        Raises NotFound, ProjectConflict.
        """
        self._context.actor.require("operator")
        file = self._table().dismiss(file_id, self._context.clock())
        self._context.audit("dismiss_ingest", file.project, file=file.id, path=file.path)
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
