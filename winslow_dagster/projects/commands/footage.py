"""Pictures and videos of a project: exact frames, and pictures of any size, of its outputs and its inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from winslow_dagster.errors import FootageUnreadable, NotFound, StoreError
from winslow_dagster.footage import FootageReader, Picture, Source
from winslow_dagster.pipelines.model.form import INPUT
from winslow_dagster.projects.commands.control import ProjectControl
from winslow_dagster.projects.commands.file_footage import FileFootage
from winslow_dagster.projects.commands.files import source_of
from winslow_dagster.projects.domain.views import ProjectFile

MOST_BYTES = 64 << 20
"""Of a picture that stands for a project."""
FileAddress = str | ProjectFile
"""`STAGE/PATH` of an output, `input:NAME` or `input:NAME/PATH` of an input, or the file itself."""


class ProjectFootage(ProjectControl, FileFootage[FileAddress], ABC):
    """What can be seen of a project's footage. All raise NotFound, FootageUnreadable, StoreError."""

    @abstractmethod
    def file(
        self, stage: str, path: str, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> ProjectFile:
        """One file."""

    @abstractmethod
    def picture(self, most_bytes: int) -> ProjectFile | None:
        """The newest picture among its current outputs."""

    def file_at(
        self, file: FileAddress, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> ProjectFile:
        """The file at `STAGE/PATH`, `input:NAME` or, of a directory, `input:NAME/PATH`. Raises NotFound."""
        if isinstance(file, ProjectFile):
            return file
        stage, _, path = file.partition("/")
        if not path and not stage.startswith(INPUT):
            raise NotFound(f"{file!r} names no file", where=f"project {self.name}", expected="STAGE/PATH or input:NAME")
        return self.file(stage, path, attempt, pipeline=pipeline)

    def thumbnail(self, width: int) -> Picture | None:
        """A small picture of the project: the newest of its outputs, or the middle of the film that it is about."""
        for look in (self._picture_of_outputs, *self._pictures_of_inputs()):
            # A list without a picture is better than none, and the next one may be readable.
            with suppress(FootageUnreadable, StoreError):
                file = look()
                if file is not None:
                    return self.picture_of(file, width=width)
        return None

    def _picture_of_outputs(self) -> ProjectFile | None:
        return self.picture(MOST_BYTES)

    def _pictures_of_inputs(self) -> Iterator[Callable[[], ProjectFile | None]]:
        declared = self.pipeline().inputs
        present = self._context.records.project(self.name).inputs
        for kind in ("video", "image"):
            for name in declared:
                if declared[name].kind == kind and name in present and len(present[name].files) == 1:
                    yield partial(self.file_at, f"{INPUT}{name}")

    @property
    def _footage(self) -> FootageReader:
        return self._context.resources.footage

    def _source(self, file: FileAddress) -> Source:
        return source_of(self._context.store, self.file_at(file))
