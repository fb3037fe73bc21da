"""The interface of stores, implemented in `local.py` and `s3.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from winslow_dagster.storage.manifest import FileEntry, Manifest

BytesMoved = Callable[[int], None]
"""Called with the number of bytes moved since the last call, from any thread."""


class Store(ABC):
    """Immutable trees of files, identified by addresses. All methods raise StoreError."""

    reads_at_once = 1
    """How many small files to read at once: one by one from a disk, many from a server."""

    @abstractmethod
    def put_file(self, source: Path, address: str, moved: BytesMoved | None = None) -> Manifest:
        """Copy one file into the store, as the tree `address` with one entry named `source.name`."""

    @abstractmethod
    def commit_tree(
        self,
        source: Path,
        address: str,
        moved: BytesMoved | None = None,
        *,
        keep_source: bool = False,
        known: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Commit all files in `source` as the tree `address`, atomically. Returns its manifest.

        A store on the same file system takes over the files, so `source` may be gone afterwards, unless `keep_source`
        is set: then it stays, and can be changed without changing the tree. Committing the same content to the same
        address again, for example after a crash, is not an error; different content is.

        `known` has the blake3 of files, by path, that the caller has computed while it wrote them: they are not read
        for that again.
        """

    @abstractmethod
    def manifest(self, address: str) -> Manifest | None:
        """The manifest committed at `address`, or None."""

    @abstractmethod
    def read_only_path(self, manifest: Manifest) -> Path | None:
        """A local directory with exactly these files that can be mounted as it is, or None.

        Raises StoreError if a file is missing, or was changed after the commit.

        Always None for a composed manifest: NodeCache creates a view of it.
        """

    @abstractmethod
    def fetch_file(self, manifest: Manifest, entry: FileEntry, target: Path, moved: BytesMoved | None = None) -> None:
        """Copy one file to `target` (a new file), in parallel parts if it is large. Verifies its checksum."""

    @abstractmethod
    def read_range(self, manifest: Manifest, entry: FileEntry, start: int, length: int) -> bytes:
        """A part of a file."""

    @abstractmethod
    def delete_tree(self, address: str) -> int:
        """Delete a tree, its commit marker first. Returns the bytes freed; 0 if it does not exist."""

    @abstractmethod
    def delete_files(self, address: str, paths: Collection[str]) -> int:
        """Delete some files of a tree and remove them from its commit marker. Returns the bytes freed.

        Ignores missing files, so that an interrupted call can be repeated. Readers with the earlier manifest get a
        StoreError for the deleted files.
        """

    @abstractmethod
    def sweep(self, begun_before: datetime) -> int:
        """Delete what unfinished commits that began before then left behind. Returns their number."""
