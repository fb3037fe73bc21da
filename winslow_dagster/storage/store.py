"""Where bytes live: one small interface, one file per kind (`local.py`, `s3.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from winslow_dagster.storage.manifest import FileEntry, Manifest

BytesMoved = Callable[[int], None]
"""Called with the number of bytes moved since the last call, from any thread."""


class Store(ABC):
    """Immutable trees of files under addresses. Every method raises StoreError with the address and the cause."""

    @abstractmethod
    def put_file(self, source: Path, address: str, moved: BytesMoved | None = None) -> Manifest:
        """Copy one file in; it becomes the tree `address` with one entry, `source.name`. Checksums while it reads."""

    @abstractmethod
    def commit_tree(self, source: Path, address: str, moved: BytesMoved | None = None) -> Manifest:
        """Make everything under `source` the tree `address`, all or nothing, and give back its manifest.

        A store on the same file system takes the files by rename, so `source` may be gone afterwards. Committing the
        same content to the same address again, after a crash at any moment, is not an error; other content is.
        """

    @abstractmethod
    def manifest(self, address: str) -> Manifest | None:
        """The committed manifest at `address`, or None where nothing was committed."""

    @abstractmethod
    def read_only_path(self, manifest: Manifest) -> Path | None:
        """A local directory with exactly these files that may be mounted as it is, or None where there is none.

        There is none of a composed manifest: a NodeCache makes a view of it.
        """

    @abstractmethod
    def fetch_file(self, manifest: Manifest, entry: FileEntry, target: Path, moved: BytesMoved | None = None) -> None:
        """Copy one file out to `target` (a new file), in parallel parts where it is large; verify its checksum."""

    @abstractmethod
    def read_range(self, manifest: Manifest, entry: FileEntry, start: int, length: int) -> bytes:
        """A part of a file, for previews and for serving ranges."""

    @abstractmethod
    def delete_tree(self, address: str) -> int:
        """Delete a tree, its commit marker first. Gives the bytes freed; 0 where there was none."""

    @abstractmethod
    def delete_files(self, address: str, paths: Collection[str]) -> int:
        """Delete some files of a tree, which its commit marker then no longer lists. Gives the bytes freed.

        Files that are gone already are fine, so what was killed in the middle can be done again. Readers with the
        manifest of before get a StoreError for them.
        """

    @abstractmethod
    def sweep(self, begun_before: datetime) -> int:
        """Delete what commits that never ended left behind, if they began before then; how many."""
