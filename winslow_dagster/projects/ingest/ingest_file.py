"""From a file to a running project: exactly one project and one run each, whatever is killed at any time.

Every step is recorded before it begins, and can be repeated. The exception is the request for a run: a file found in
the middle of it is left alone until the request must have been answered; Dagster is then asked whether it has a run
before another is launched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import PurePosixPath

from winslow_dagster.errors import (
    DiskFull,
    InputRejected,
    ProjectConflict,
    ServiceUnavailable,
    StoreError,
    StoreUnreachable,
    WinslowError,
)
from winslow_dagster.pipelines.patterns import compile_pattern
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.launch import create, launch
from winslow_dagster.projects.commands.launch_request import LaunchRequest
from winslow_dagster.projects.dagster_api.client import ANSWER_TIMEOUT_S
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.engine import LOCK_TIMEOUT_S
from winslow_dagster.projects.database.runs import UNKNOWN_REQUESTER
from winslow_dagster.projects.domain.ingest import IngestFile
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.naming import candidates, project_name
from winslow_dagster.projects.ingest.scan import rejection
from winslow_dagster.projects.ingest.sources import OpenWatch, Source, SourceFile
from winslow_dagster.projects.ingest.table import IngestTable

LAUNCH_TIMEOUT = timedelta(seconds=LOCK_TIMEOUT_S + ANSWER_TIMEOUT_S)
"""A launch that began longer ago has led to a run by now, or never will."""
TEMPORARY = (ServiceUnavailable, StoreUnreachable, DiskFull)
"""Errors that no file causes: nothing else is tried before the next pass."""


@dataclass(frozen=True, slots=True)
class Ingester:
    """Ingests the files of one watch. The context's clock is read at every step."""

    context: Context
    table: IngestTable
    opened: OpenWatch

    @property
    def _watch(self) -> Watch:
        return self.opened.watch

    @property
    def _source(self) -> Source:
        return self.opened.source

    def ingest(self, file: IngestFile) -> IngestFile:
        """Take a file as far as possible: to `running` or `done`, or to `rejected` or `failed`.

        Raises ServiceUnavailable, StoreUnreachable, DiskFull; the file then keeps its state, with the reason.
        """
        try:
            return self._ingest(file)
        except TEMPORARY as error:
            self.table.save(replace(self.table.get(file.id), reason=str(error)))
            raise
        except WinslowError as error:
            # Read again: steps may have been recorded since `file` was read.
            current, now = self.table.get(file.id), self.context.clock()
            match error:
                case InputRejected():
                    after = current.to("rejected", now, rejection(error))
                case StoreError():
                    # The file may have changed while it was copied: it starts over.
                    after = replace(current, unchanged_since=now).to("receiving", now, str(error))
                case _:
                    after = current.to("failed", now, str(error))
            return self.table.save(after)

    def _ingest(self, file: IngestFile) -> IngestFile:
        if file.state == "starting":
            started_at = file.state_since or file.unchanged_since
            if self._run_of(file) is None and self.context.clock() - started_at < LAUNCH_TIMEOUT:
                return file
        else:
            existing = self._source.file(file.path)
            if existing is None:
                raise InputRejected(
                    "file was removed before it was copied",
                    where=self._source.address(file.path),
                    remedy="Copy it to the watched folder again",
                )
            if (existing.size_bytes, existing.modified) != (file.size_bytes, file.modified):
                return self.table.save(file.received(existing.size_bytes, existing.modified, self.context.clock()))
            file = self._with_project(self._with_name(file, existing), existing)
            if not self._watch.auto_start:
                return self.table.save(file.to("done", self.context.clock()))
        file = self.table.save(file.to("starting", self.context.clock()))
        run_id = self._run_of(file) or self._launch(file)
        return self.table.save(replace(file, run_id=run_id).to("running", self.context.clock()))

    def _with_name(self, file: IngestFile, existing: SourceFile) -> IngestFile:
        """Reserve a project name. The file is checked once more: it may have been in line for days."""
        if file.state == "importing":
            return file
        self.opened.check(existing)
        if file.project is not None:
            return self.table.save(file.to("importing", self.context.clock()))
        return self.table.reserve(file, self._names(file, existing), self.context.clock())

    def _names(self, file: IngestFile, existing: SourceFile) -> tuple[str, ...]:
        path = PurePosixPath(file.path)
        matching = (suffix for suffix in self.opened.input.suffixes if path.name.lower().endswith(suffix.lower()))
        suffix = max(matching, key=len, default=path.suffix)
        values = {
            "stem": path.name[: len(path.name) - len(suffix)],
            "parent": PurePosixPath(self._source.address(file.path)).parent.name,
            "date": f"{existing.modified_at:%Y-%m-%d}",
        }
        if self._watch.path_regex is not None:
            found = compile_pattern(self._watch.path_regex).search(file.path.encode(errors="replace").decode())
            if found is None:
                raise InputRejected("the path does not match `path_regex`", expected=self._watch.path_regex)
            values |= {name: text or "" for name, text in found.groupdict().items()}
        return tuple(candidates(project_name(self._watch.project, values), _digest(file)))

    def _with_project(self, file: IngestFile, existing: SourceFile) -> IngestFile:
        """Create the project, and copy the file to the store as its input."""
        file = self._created(file, existing)
        project, records, input_name = _project_of(file), self.context.records, self.opened.input_name
        if input_name not in records.project(project).inputs:
            source_address = self._source.address(file.path)
            address = f"projects/{project}/inputs/{input_name}/{_digest(file)[:32]}"
            with self._source.local(existing) as path:
                manifest = self.context.store.put_file(path, address)
            if manifest.size_bytes != file.size_bytes:
                raise StoreError("the file grew while it was copied", where=source_address)
            records.add_input(
                project, input_name, manifest, original_path=source_address, added_by=self.context.actor.who
            )
        return file

    def _created(self, file: IngestFile, existing: SourceFile) -> IngestFile:
        """Create the project, under another name if a person has created one of its name since."""
        while True:
            project = _project_of(file)
            try:
                create(
                    self.context,
                    LaunchRequest(
                        project=project,
                        pipeline=self._watch.pipeline,
                        project_env=self._watch.env,
                        tags=self._watch.tags,
                    ),
                )
            except ProjectConflict:
                if self.context.records.project(project).created_by == self.context.actor.who:
                    # Killed after creating it: the tags may be missing.
                    Annotations(self.context.records.database).set_tags(project, self._watch.tags)
                    return file
                file = self.table.reserve(file, self._names(file, existing), self.context.clock())
            else:
                return file

    def _launch(self, file: IngestFile) -> str:
        try:
            request = LaunchRequest(
                project=_project_of(file), pipeline=self._watch.pipeline, reason=self._run_reason(file)
            )
            return launch(self.context, "run", request).run_id
        except ProjectConflict:
            run_id = self._run_of(file)
            if run_id is None:
                raise
            return run_id

    def _run_of(self, file: IngestFile) -> str | None:
        """Find the run of its project in our tables or in Dagster; one that only Dagster has is recorded."""
        project = _project_of(file)
        recorded = self.context.records.runs(project)
        if recorded and recorded[-1].requested_by != UNKNOWN_REQUESTER:
            return recorded[-1].run_id
        found = self.context.dagster().runs(project=project)
        if not found:
            return None
        first = found[-1]
        self.context.records.record_run(
            RunRecord(
                run_id=first.run_id,
                project=project,
                pipeline=self._watch.pipeline,
                pipeline_digest=self.context.records.project(project).pipeline_digest,
                launched_at=first.created_at,
                requested_by=self.context.actor.who,
                via=self.context.actor.via,
                reason=self._run_reason(file),
            )
        )
        return first.run_id

    def _run_reason(self, file: IngestFile) -> str:
        return f"{self._source.address(file.path)} was ingested"


def _digest(file: IngestFile) -> str:
    """Identify a file and its content."""
    text = "\0".join((file.watch, file.path, str(file.size_bytes), file.modified))
    return sha256(text.encode(errors="surrogateescape")).hexdigest()


def _project_of(file: IngestFile) -> str:
    assert file.project is not None  # noqa: S101  # reserved before anything is created
    return file.project
