"""Folders of a project as one archive: the outputs of an attempt, of a stage, or all current ones."""

from __future__ import annotations

from abc import ABC
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.footage import ProjectFootage
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.database.stored_files import StoredFileLists, StoredFiles
from winslow_dagster.projects.domain.downloads import ArchivedOutputs, OutputFolder
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.used_pipelines import newest_versions
from winslow_dagster.projects.inputs.input_storage import UploadStarted
from winslow_dagster.projects.inputs.resource_pool import POOL
from winslow_dagster.storage.archives import FORMATS, Archive, ArchiveFormat, Group, PackedManifest
from winslow_dagster.storage.disk import disk_errors, new_file


class ProjectDownloads(ProjectFootage, ABC):
    """The folders of a project."""

    def output_folder(
        self, stage: str | None = None, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> OutputFolder:
        """The current outputs of all stages or of one, or those of one attempt, as they are named in an archive.

        Raises NotFound for an unknown stage, attempt or pipeline, InputRejected for an attempt without a stage.
        """
        if stage is None and attempt is not None:
            raise InputRejected("an attempt belongs to a stage", expected="the stage, too")
        if stage is None:
            return self._all_outputs(pipeline)
        if attempt is not None:
            found: Attempt | None = self.attempt(stage, attempt, pipeline=pipeline)
        else:
            asked = self._pipeline_with(stage, pipeline)
            found = lineage_of(self._context.records, self.name, asked).current.get(stage)
        if found is None:
            raise self._no_files(stage)
        attempts = self._context.records.attempts(self.name)
        number = [each.task_id for each in attempts if each.stage == stage].index(found.task_id) + 1
        name = f"{self.name}-{stage}-{number}"
        return OutputFolder(name=name, outputs=(ArchivedOutputs(task_id=found.task_id, folder=name),))

    def archive(
        self,
        stage: str | None = None,
        attempt: str | int | None = None,
        *,
        pipeline: str | None = None,
        form: ArchiveFormat = "tar",
    ) -> Archive:
        """The same folder as one file, which is never stored: any range of it can be read, at any time.

        Raises what `output_folder` raises, and NotFound if there are no files.
        """
        folder = self.output_folder(stage, attempt, pipeline=pipeline)
        if not folder.outputs:
            raise self._no_files("it")
        return open_archive(self._context, folder, form)

    def download(  # noqa: PLR0913  # which folder, and how, by name
        self,
        target: str | Path,
        stage: str | None = None,
        attempt: str | int | None = None,
        *,
        pipeline: str | None = None,
        form: ArchiveFormat = "tar",
        started: UploadStarted | None = None,
    ) -> Path:
        """Write the archive to the new file `target`, and return that.

        `started` is called with name and size, and returns a callback for bytes written. Raises what `archive` raises,
        ProjectConflict if there is such a file, StoreError.
        """
        return write_archive(self.archive(stage, attempt, pipeline=pipeline, form=form), target, started)

    def _all_outputs(self, pipeline: str | None) -> OutputFolder:
        records = self._context.records
        if pipeline is not None:
            pipelines = [self.pipeline(pipeline)]
        else:
            used = self._context.used_pipelines(records.project(self.name))
            pipelines = [each.read() for each in newest_versions(used)]
        found = [
            (each.name, stage.name, current[stage.name].task_id)
            for each in pipelines
            for current in (lineage_of(records, self.name, each).current,)
            for stage in each.stages
            if stage.name in current
        ]
        times = Counter(stage for _, stage, _ in found)
        outputs = tuple(
            ArchivedOutputs(
                task_id=task_id,
                folder=f"{self.name}/{stage}" if times[stage] == 1 else f"{self.name}/{owner}/{stage}",
            )
            for owner, stage, task_id in found
        )
        return OutputFolder(name=self.name, outputs=outputs)

    def _no_files(self, what: str) -> NotFound:
        return NotFound(
            f"{what} has no output files",
            where=f"project {self.name}",
            remedy=Action("list_files", {"project": self.name}),
        )


def write_archive(archive: Archive, target: str | Path, started: UploadStarted | None = None) -> Path:
    """Write an archive to a new file, and return its path. Raises ProjectConflict if there is one, StoreError."""
    path = Path(target).expanduser()
    if path.exists():
        raise ProjectConflict("the file exists", where=str(path), remedy="Choose another name")
    moved = started(path.name, archive.size_bytes) if started is not None else None
    with (
        disk_errors(str(path), disk=path.parent, needed_bytes=archive.size_bytes),
        new_file(path) as partial_path,
        partial_path.open("wb") as file,
    ):
        for piece in archive.pieces(0, archive.size_bytes):
            file.write(piece)
            if moved is not None:
                moved(len(piece))
    return path


def open_archive(context: Context, folder: OutputFolder, form: ArchiveFormat) -> Archive:
    """The archive of a folder. Raises NotFound if it has no files, or they were removed."""
    lists = StoredFileLists(context.records.database)
    found = {each: lists.stored_at(each.task_id) for each in folder.outputs}
    key = (form, lists.last_removal(), folder, *found.values())
    parts = {each.folder: partial(lists.of_attempt, each.task_id) for each, at in found.items() if at is not None}
    return _archive(context, key, parts, form, folder.name)


def open_pool_archive(context: Context, name: str, form: ArchiveFormat) -> Archive:
    """The archive of a directory of the pool, or of a file. Raises NotFound."""
    lists = StoredFileLists(context.records.database)
    file_id = lists.pool_id(name)
    if file_id is None:
        raise NotFound(f"there is no {name!r} in the pool", remedy=Action("list_pool_files"))
    return _archive(context, (form, name, file_id), {name: partial(lists.of_pool, file_id)}, form, f"{POOL}{name}")


def _archive(
    context: Context,
    key: Hashable,
    parts: Mapping[str, Callable[[], StoredFiles | None]],
    form: ArchiveFormat,
    where: str,
) -> Archive:
    """The archive of some lists of files, each of which becomes a folder. They are read if that was not done before."""

    def make() -> Archive:
        groups = []
        for folder, read in parts.items():
            files = read()
            if files is not None:
                is_removed = files.is_removed if files.removed else None
                groups.append(Group(folder, files.stored_at, PackedManifest.parse(files.manifest, is_removed)))
        return FORMATS[form](context.store, groups)

    archive = context.resources.archives.get(key, make)
    if archive.file_count == 0:
        raise NotFound("there are no files, or they were removed", where=where)
    return archive
