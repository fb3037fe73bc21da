"""What can be seen of a stored picture or video: exact frames, and pictures of any size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, TypeVar

from winslow_dagster.footage import Footage, FootageReader, Picture, Proxy, Source, Strip

File_contra = TypeVar("File_contra", contravariant=True)


class FileFootage(ABC, Generic[File_contra]):
    """The same for files of projects and of the pool. All raise NotFound, FootageUnreadable, StoreError."""

    @property
    @abstractmethod
    def _footage(self) -> FootageReader:
        """What decodes."""

    @abstractmethod
    def _source(self, file: File_contra) -> Source:
        """What is decoded."""

    def footage(self, file: File_contra) -> Footage:
        """Size, rate and number of frames of a video. The first look at a long one may take a while."""
        return self._footage.footage(self._source(file))

    def frame(self, file: File_contra, index: int, *, width: int | None = None) -> Picture:
        """The frame of a video with exactly this index, in the order of showing from 0; downscaled to a width."""
        return self._footage.frame(self._source(file), index, width)

    def frame_at(self, file: File_contra, time_s: float, *, width: int | None = None) -> Picture:
        """The frame that is shown at this time after the first one."""
        source = self._source(file)
        return self._footage.frame(source, self._footage.index_at(source, time_s), width)

    def picture_of(self, file: File_contra, *, width: int | None = None) -> Picture:
        """A picture as every browser shows it, or the middle frame of a video; downscaled to a width."""
        return self._footage.picture(self._source(file), width)

    def strip(self, file: File_contra, first: int, last: int, *, count: int = 12, width: int = 160) -> Strip:
        """Small frames of a video beside each other, from one index to another."""
        return self._footage.strip(self._source(file), first, last, count, width)

    def proxy(self, file: File_contra, *, start: bool = False) -> Proxy:
        """Whether there is a copy of a video that every browser plays; with `start`, it is made in the background."""
        return self._footage.proxy(self._source(file), start=start)

    def proxy_path(self, file: File_contra) -> Path:
        """That copy. Raises NotFound if it is not ready."""
        return self._footage.proxy_path(self._source(file))
