"""Where files land: a directory, or a prefix in an S3 bucket. Each lists what is there, and gives one to read."""

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

from winslow_dagster.errors import InputRejected, NotFound, ServiceUnavailable
from winslow_dagster.globs import ANY_DIRECTORIES, matches_ignoring_case
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.ingest.config import S3, Watch
from winslow_dagster.projects.inputs.validation import check_content, check_input, check_suffix
from winslow_dagster.settings import Settings

if TYPE_CHECKING:
    from winslow_dagster.storage.s3_bucket import S3Bucket

REASON_SUFFIX = ".reason.txt"
PATIENCE_S = 20.0
"""How long a silent S3 server is waited for: the next pass asks again."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as it is now. `path` is below the place, with `/`; `modified` is another text for another content."""

    path: str
    size_bytes: int
    modified: str
    modified_at: datetime


class Place(ABC):
    """A watched place. Names that begin with a dot, as of files that are still being copied, are not seen."""

    settles_at_once = False
    """Whether what is seen is complete."""

    @abstractmethod
    def files(self) -> Iterator[Listed]:
        """What is there now. Raises NotFound, ServiceUnavailable, StoreError."""

    @abstractmethod
    def file(self, path: str) -> Listed | None:
        """One file as it is now."""

    @abstractmethod
    def address(self, path: str) -> str:
        """The whole path or URL of a file, for people."""

    @abstractmethod
    def check(self, file: Listed, name: str, asked: ProjectInput) -> None:
        """Whether the file can be this input of a pipeline; little of it is read. Raises InputRejected, StoreError."""

    @abstractmethod
    def local(self, file: Listed) -> contextlib.AbstractContextManager[Path]:
        """The file on this machine, under its own name, inside the block."""


class Directory(Place):
    """A directory of this machine."""

    def __init__(self, root: Path, globs: tuple[str, ...], besides: Path | None) -> None:
        self._root = root
        self._globs = globs
        self._deep = any("/" in glob.removeprefix("./") or glob == ANY_DIRECTORIES for glob in globs)
        self._besides = besides

    def files(self) -> Iterator[Listed]:
        """See Place. Links to files are followed, links to directories are not."""
        try:
            yield from self._below(self._root, "")
        except FileNotFoundError as error:
            raise NotFound(
                "there is no such directory", where=str(self._root), remedy="Make it, or mount it"
            ) from error
        except OSError as error:
            raise ServiceUnavailable(f"it cannot be read: {error.strerror}", where=str(self._root)) from error

    def _below(self, directory: Path, prefix: str) -> Iterator[Listed]:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = prefix + entry.name
                with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                    if entry.is_dir(follow_symlinks=False):
                        if self._deep and directory / entry.name != self._besides:
                            yield from self._below(directory / entry.name, f"{path}/")
                    elif _is_watched(path, self._globs) and entry.is_file():
                        yield _listed(path, entry.stat())

    def file(self, path: str) -> Listed | None:
        """See Place."""
        try:
            return _listed(path, (self._root / path).stat())
        except FileNotFoundError:
            return None

    def address(self, path: str) -> str:
        """See Place."""
        return str(self._root / path)

    def check(self, file: Listed, name: str, asked: ProjectInput) -> None:
        """See Place."""
        check_input(name, self._root / file.path, asked)

    @contextlib.contextmanager
    def local(self, file: Listed) -> Iterator[Path]:
        """See Place."""
        yield self._root / file.path

    def move_aside(self, path: str, directory: Path, reason: str) -> None:
        """Move a file away, with the reason in a file beside it; a name that is there already is given a number.

        Raises ServiceUnavailable where that cannot be done.
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
            raise ServiceUnavailable(f"a bad file cannot be moved there: {error}", where=str(directory)) from error


class Prefix(Place):
    """The objects of a bucket whose keys begin alike."""

    settles_at_once = True

    def __init__(self, bucket: S3Bucket, prefix: str, globs: tuple[str, ...], scratch: Path) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._globs = globs
        self._scratch = scratch

    def files(self) -> Iterator[Listed]:
        """See Place."""
        for found in self._bucket.objects(self._prefix):
            path = found.key.removeprefix(self._prefix)
            parts = path.split("/")
            if path.endswith("/") or any(part.startswith(".") for part in parts) or not _is_watched(path, self._globs):
                continue
            yield Listed(path, found.size_bytes, found.etag, found.modified_at.astimezone(UTC))

    def file(self, path: str) -> Listed | None:
        """See Place."""
        key = self._prefix + path
        found = next((found for found in self._bucket.objects(key) if found.key == key), None)
        return None if found is None else Listed(path, found.size_bytes, found.etag, found.modified_at.astimezone(UTC))

    def address(self, path: str) -> str:
        """See Place."""
        return f"{S3}{self._bucket.place.bucket}/{self._prefix}{path}"

    def check(self, file: Listed, name: str, asked: ProjectInput) -> None:
        """See Place."""
        from winslow_dagster.storage.range_reader import RangeReader

        where = f"input {name}, {self.address(file.path)}"
        check_suffix(file.path, asked, where)
        reader = RangeReader(partial(self._bucket.read_range, self._prefix + file.path), file.size_bytes)
        check_content(cast("BinaryIO", reader), file.size_bytes, asked, where)

    @contextlib.contextmanager
    def local(self, file: Listed) -> Iterator[Path]:
        """See Place. It is downloaded: whatever is stored is checksummed, so all of it has to be read anyway."""
        from winslow_dagster.storage.scratch import Scratch

        scratch = Scratch(self._scratch)
        scratch.sweep()
        with scratch.directory("landing") as directory:
            target = directory / PurePosixPath(file.path).name
            self._bucket.download(self._prefix + file.path, file.size_bytes, target, None)
            yield target


@dataclass(frozen=True, slots=True)
class Watched:
    """A watch with what it needs to be followed: its place, and the input of its pipeline that a file becomes."""

    watch: Watch
    place: Place
    input_name: str
    asked: ProjectInput

    def check(self, file: Listed) -> None:
        """Whether the file can be the input. Raises InputRejected, StoreError."""
        self.place.check(file, self.input_name, self.asked)


def open_place(watch: Watch, settings: Settings) -> Place:
    """The place of a watch. Touches neither disk nor network."""
    if not watch.on_s3:
        return Directory(Path(watch.place), watch.glob, watch.set_aside_dir)
    # Only here: the S3 clients take most of a second to import.
    from winslow_dagster.storage.s3_bucket import S3Bucket
    from winslow_dagster.storage.s3_errors import S3Place

    bucket, _, prefix = watch.place.removeprefix(S3).partition("/")
    endpoint = (
        settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    )
    scratch = settings.home / "incoming" / "landings"
    return Prefix(S3Bucket(S3Place(bucket, endpoint), PATIENCE_S), prefix, watch.glob, scratch)


def _is_watched(path: str, globs: tuple[str, ...]) -> bool:
    return any(matches_ignoring_case(path, glob) for glob in globs)


def _listed(path: str, status: os.stat_result) -> Listed:
    return Listed(path, status.st_size, str(status.st_mtime_ns), datetime.fromtimestamp(status.st_mtime, UTC))


def gone(address: str) -> InputRejected:
    """The error for a file that was taken away before it was copied."""
    return InputRejected("it was taken away before it was copied", where=address, remedy="Bring it again")
