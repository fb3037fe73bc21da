"""Copies of input files into the store; the original stays where it is."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from winslow_dagster.errors import InputRejected
from winslow_dagster.storage.adding import checksums
from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.store import BytesMoved, Store
from winslow_dagster.storage.tree import survey


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    if path.is_dir():
        return sum(found.status.st_size for found in survey(path))
    return path.stat().st_size


def same_content(manifest: Manifest | None, path: Path) -> bool:
    """Whether the store has exactly this content. A file's own name does not count, names in a directory do."""
    if manifest is None or manifest.size_bytes != size_of(path):
        return False
    if path.is_dir():
        return contents(checksums(survey(path))) == contents(manifest.files)
    return [entry.blake3 for entry in manifest.files] == [checksum(path)]


def contents(files: Iterable[FileEntry]) -> dict[str, str]:
    """Path -> blake3."""
    return {entry.path: entry.blake3 for entry in files}


def put(store: Store, path: Path, address: str, moved: BytesMoved | None) -> Manifest:
    """Copy a file or a directory into the store. Raises InputRejected (a directory without files), StoreError."""
    if not path.is_dir():
        return store.put_file(path, address, moved)
    manifest = store.commit_tree(path, address, moved, keep_source=True)
    if not manifest.files:
        store.delete_tree(address)
        raise InputRejected("the directory contains no files", where=str(path))
    return manifest


@dataclass(frozen=True, slots=True)
class InputStream:
    """An input that is read from a stream, such as the body of a request, and becomes a file of this name."""

    file_name: str
    content: BinaryIO


@contextlib.contextmanager
def received(stream: BinaryIO, name: str, scratch: Path) -> Iterator[Path]:
    """A file of this name with the content of the stream, for the length of the block. Raises InputRejected."""
    if Path(name).name != name or name in {"", ".", ".."}:
        raise InputRejected(f"{name!r} is not a file name", expected="a name without a directory")
    directory = scratch / uuid4().hex
    directory.mkdir(parents=True)
    try:
        path = directory / name
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        yield path
    finally:
        shutil.rmtree(directory, ignore_errors=True)
