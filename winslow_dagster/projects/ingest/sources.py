"""Watched folders: a directory, or a prefix in an S3 bucket. Each lists its files, and provides one for reading."""

from __future__ import annotations

import contextlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from winslow_dagster.errors import NotFound, ServiceUnavailable
from winslow_dagster.globs import matches_ignoring_case, walked
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.ingest.config import S3, Watch
from winslow_dagster.projects.inputs.validation import check_content, check_input, check_suffix
from winslow_dagster.settings import Settings

if TYPE_CHECKING:
    from winslow_dagster.storage.s3_bucket import S3Bucket, S3Object

REASON_SUFFIX = ".reason.txt"
S3_TIMEOUT_S = 20.0
"""How long to wait for a silent S3 server: the next pass tries again."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it is now. `path` is relative to the source, with `/`; `modified` changes with the content."""

    path: str
    size_bytes: int
    modified: str
    modified_at: datetime


class Source(ABC):
    """A watched folder. Names that begin with a dot, such as those of partial copies, are ignored."""

    complete_when_listed = False
    """Whether a listed file is always complete."""

    def require_readable(self) -> None:  # noqa: B027  # nothing to look at where that needs a network
        """Raise NotFound or ServiceUnavailable if it cannot be listed, as far as that shows at once."""

    @abstractmethod
    def files(self) -> Iterator[SourceFile]:
        """List the files. Raises NotFound, ServiceUnavailable, StoreError."""

    @abstractmethod
    def file(self, path: str) -> SourceFile | None:
        """Look up one file."""

    @abstractmethod
    def address(self, path: str) -> str:
        """Return the full path or URL of a file, for display."""

    @abstractmethod
    def check(self, file: SourceFile, name: str, spec: ProjectInput) -> None:
        """Check that the file is valid as this input, reading little of it. Raises InputRejected, StoreError."""

    @abstractmethod
    def local(self, file: SourceFile) -> contextlib.AbstractContextManager[Path]:
        """Provide the file on this machine, under its own name, inside the block."""


class DirectorySource(Source):
    """A directory of this machine."""

    def __init__(self, root: Path, globs: tuple[str, ...], excluded: Path | None) -> None:
        self._root = root
        self._globs = globs
        self._excluded = excluded

    def files(self) -> Iterator[SourceFile]:
        """List the files."""
        with self._root_errors():
            for path, entry in walked(self._root, self._globs, self._listed, ignore_case=True):
                with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                    yield _on_disk(path, entry.stat())

    def require_readable(self) -> None:
        """Look at the first entry of the directory."""
        with self._root_errors():
            next(self._listed(self._root), None)

    @contextlib.contextmanager
    def _root_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(
                "directory does not exist", where=str(self._root), remedy="Create it, or mount it"
            ) from error
        except OSError as error:
            raise ServiceUnavailable(f"cannot read directory: {error.strerror}", where=str(self._root)) from error

    def _listed(self, directory: Path) -> Iterator[os.DirEntry[str]]:
        """The entries of a directory but for hidden ones and the quarantine."""
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and Path(entry) != self._excluded:
                        yield entry
        except FileNotFoundError:
            if directory == self._root:
                raise

    def file(self, path: str) -> SourceFile | None:
        """Look up one file."""
        try:
            return _on_disk(path, (self._root / path).stat())
        except FileNotFoundError:
            return None

    def address(self, path: str) -> str:
        """Return the full path."""
        return str(self._root / path)

    def check(self, file: SourceFile, name: str, spec: ProjectInput) -> None:
        """Check the file where it is."""
        check_input(name, self._root / file.path, spec)

    @contextlib.contextmanager
    def local(self, file: SourceFile) -> Iterator[Path]:
        """Provide the file where it is."""
        yield self._root / file.path

    def quarantine(self, path: str, directory: Path, reason: str) -> None:
        """Move a file to the directory, with the reason in a file beside it. A name in use gets a number.

        Raises ServiceUnavailable.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            name = PurePosixPath(path)
            target, number = directory / name.name, 1
            while target.exists():
                number += 1
                target = directory / f"{name.stem}-{number}{name.suffix}"
            (directory / (target.name + REASON_SUFFIX)).write_text(f"{reason}\n")
            shutil.move(self._root / path, target)
        except OSError as error:
            raise ServiceUnavailable(f"cannot move rejected file here: {error}", where=str(directory)) from error


class S3Source(Source):
    """The objects of a bucket whose keys begin with a prefix."""

    complete_when_listed = True

    def __init__(self, bucket: S3Bucket, prefix: str, globs: tuple[str, ...], scratch: Path) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._globs = globs
        self._scratch = scratch

    def files(self) -> Iterator[SourceFile]:
        """List the objects."""
        for found in self._bucket.objects(self._prefix):
            file = self._file(found)
            hidden = any(part.startswith(".") for part in file.path.split("/"))
            if not (file.path.endswith("/") or hidden) and _is_watched(file.path, self._globs):
                yield file

    def file(self, path: str) -> SourceFile | None:
        """Look up one object."""
        key = self._prefix + path
        return next((self._file(found) for found in self._bucket.objects(key) if found.key == key), None)

    def _file(self, found: S3Object) -> SourceFile:
        path = found.key.removeprefix(self._prefix)
        return SourceFile(path, found.size_bytes, found.etag, found.modified_at.astimezone(UTC))

    def address(self, path: str) -> str:
        """Return the URL."""
        return f"{S3}{self._bucket.place.bucket}/{self._prefix}{path}"

    def check(self, file: SourceFile, name: str, spec: ProjectInput) -> None:
        """Check the object with a few range requests."""
        from winslow_dagster.storage.range_reader import RangeReader

        where = f"input {name}, {self.address(file.path)}"
        check_suffix(file.path, spec, where)
        reader = RangeReader(partial(self._bucket.read_range, self._prefix + file.path), file.size_bytes)
        check_content(cast("BinaryIO", reader), file.size_bytes, spec, where)

    @contextlib.contextmanager
    def local(self, file: SourceFile) -> Iterator[Path]:
        """Download the object: the store computes a checksum of all content, so all of it has to be read anyway."""
        from winslow_dagster.storage.scratch import Scratch

        scratch = Scratch(self._scratch)
        scratch.sweep()
        with scratch.directory("ingest") as directory:
            target = directory / PurePosixPath(file.path).name
            self._bucket.download(self._prefix + file.path, file.size_bytes, target, None)
            yield target


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """A watch with its source, and the input of its pipeline that a file becomes."""

    watch: Watch
    source: Source
    input_name: str
    input: ProjectInput

    def check(self, file: SourceFile) -> None:
        """Check that the file is valid as the input. Raises InputRejected, StoreError."""
        self.source.check(file, self.input_name, self.input)


def open_source(watch: Watch, settings: Settings) -> Source:
    """Open the source of a watch, without any access to disk or network."""
    if not watch.on_s3:
        return DirectorySource(Path(watch.source), watch.glob, watch.quarantine_dir)
    # Imported here because the S3 clients take most of a second to import.
    from winslow_dagster.storage.s3_bucket import S3Bucket
    from winslow_dagster.storage.s3_errors import S3Place

    bucket, _, prefix = watch.source.removeprefix(S3).partition("/")
    endpoint = (
        settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    )
    scratch = settings.home / "incoming" / "ingest"
    return S3Source(S3Bucket(S3Place(bucket, endpoint), S3_TIMEOUT_S), prefix, watch.glob, scratch)


def _is_watched(path: str, globs: tuple[str, ...]) -> bool:
    return any(matches_ignoring_case(path, glob) for glob in globs)


def _on_disk(path: str, status: os.stat_result) -> SourceFile:
    return SourceFile(path, status.st_size, str(status.st_mtime_ns), datetime.fromtimestamp(status.st_mtime, UTC))
