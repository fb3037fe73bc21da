"""Pictures and videos of a project: exact frames, and pictures of any size, of its outputs and its inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from winslow_dagster.errors import FootageUnreadable, NotFound, StoreError
from winslow_dagster.footage import Footage, FootageReader, Picture, Proxy, Source, Strip
from winslow_dagster.pipelines.model.form import INPUT
from winslow_dagster.projects.commands.control import ProjectControl
from winslow_dagster.projects.commands.files import source_of
from winslow_dagster.projects.domain.views import ProjectFile

MOST_BYTES = 64 << 20
"""Of a picture that stands for a project."""
FileAddress = str | ProjectFile
"""`STAGE/PATH` of an output, `input:NAME` or `input:NAME/PATH` of an input, or the file itself."""


class ProjectFootage(ProjectControl, ABC):
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

    def footage(self, file: FileAddress) -> Footage:
        """Size, rate and number of frames of a video. The first look at a long one may take a while."""
        return self._footage.footage(self._source(file))

    def frame(self, file: FileAddress, index: int, *, width: int | None = None) -> Picture:
        """The frame of a video with exactly this index, in the order of showing from 0; downscaled to a width."""
        return self._footage.frame(self._source(file), index, width)

    def frame_at(self, file: FileAddress, time_s: float, *, width: int | None = None) -> Picture:
        """The frame that is shown at this time after the first one."""
        source = self._source(file)
        return self._footage.frame(source, self._footage.index_at(source, time_s), width)

    def picture_of(self, file: FileAddress, *, width: int | None = None) -> Picture:
        """A picture as every browser shows it, or the middle frame of a video; downscaled to a width."""
        return self._footage.picture(self._source(file), width)

    def strip(self, file: FileAddress, first: int, last: int, *, count: int = 12, width: int = 160) -> Strip:
        """Small frames of a video beside each other, from one index to another."""
        return self._footage.strip(self._source(file), first, last, count, width)

    def proxy(self, file: FileAddress, *, start: bool = False) -> Proxy:
        """Whether there is a copy of a video that every browser plays; with `start`, it is made in the background."""
        return self._footage.proxy(self._source(file), start=start)

    def proxy_path(self, file: FileAddress) -> Path:
        """That copy. Raises NotFound if it is not ready."""
        return self._footage.proxy_path(self._source(file))

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
