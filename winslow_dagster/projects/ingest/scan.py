"""One scan of a watched folder: finds new, changed, complete and invalid files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.domain.ingest import IngestFile
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.sources import DirectorySource, OpenWatch, SourceFile
from winslow_dagster.projects.ingest.table import IngestTable

MAX_CHECKED = 500
"""How many complete files one scan opens; the next scan checks the others."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """How many files are new, became ready, and were rejected."""

    new: int
    ready: int
    rejected: int


def scan(opened: OpenWatch, table: IngestTable, now: datetime) -> ScanResult:
    """Update the table from the files in the source. Raises what listing them raises."""
    watch, source = opened.watch, opened.source
    existing = {file.path: file for file in source.files()}
    known = table.of_watch(watch.name)
    new = [_new(watch, file, now) for path, file in existing.items() if path not in known]
    updates = [(before, _updated(before, existing.get(path), now)) for path, before in known.items()]
    changed = [after for before, after in updates if after is not None and after != before]
    removed = [before for before, after in updates if after is None]
    table.apply(new, changed, removed)
    if new or changed or removed:
        known = table.of_watch(watch.name)
    stable_for = timedelta(0) if source.complete_when_listed else timedelta(seconds=watch.stable_for_s)
    complete = [
        file
        for file in known.values()
        if file.state == "receiving" and file.path in existing and now - file.unchanged_since >= stable_for
    ]
    checked = [_checked(opened, file, existing[file.path], now) for file in complete[:MAX_CHECKED]]
    table.apply((), checked)
    if watch.quarantine_dir is not None and isinstance(source, DirectorySource):
        for file in table.all(watch=watch.name, states=("rejected",)):
            if file.path in existing:
                source.quarantine(file.path, watch.quarantine_dir, file.reason)
    rejected = sum(file.state == "rejected" for file in checked)
    return ScanResult(len(new), len(checked) - rejected, rejected)


def _new(watch: Watch, file: SourceFile, now: datetime) -> IngestFile:
    return IngestFile(
        id=0,
        watch=watch.name,
        path=file.path,
        size_bytes=file.size_bytes,
        modified=file.modified,
        state="receiving",
        reason="",
        project=None,
        run_id=None,
        seen_at=now,
        unchanged_since=now,
        state_since=None,
    )


def _updated(before: IngestFile, file: SourceFile | None, now: datetime) -> IngestFile | None:
    """Update a known file; None removes it from the table, because it is gone and nothing came of it."""
    if file is None:
        return None if before.state in {"receiving", "ready"} and before.project is None else before
    if (file.size_bytes, file.modified) == (before.size_bytes, before.modified):
        return before
    after = before.received(file.size_bytes, file.modified, now)
    match before.state:
        case "receiving" | "ready" | "rejected" | "failed" | "dismissed":
            return after
        case "done" if file.size_bytes != before.size_bytes:
            # Cameras reuse file names. A new time alone is no new video: copies and backups set it.
            reason = f"an earlier file of this name became project {before.project}"
            return replace(after, project=None, run_id=None, seen_at=now, reason=reason)
        case _:
            return before


def _checked(opened: OpenWatch, file: IngestFile, existing: SourceFile, now: datetime) -> IngestFile:
    try:
        opened.check(existing)
    except InputRejected as error:
        return file.to("rejected", now, rejection(error))
    return file.to("ready", now)


def rejection(error: InputRejected) -> str:
    """Word why a file was rejected, without its path: the table has that."""
    return f"{error.what}; expected {error.expected}" if error.expected else error.what
