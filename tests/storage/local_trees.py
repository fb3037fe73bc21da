"""What a local store holds, as it lies on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from committed_trees import Tree

from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import Manifest

MEMORY = Path("/dev/shm")
TREE: Tree = {"a.csv": b"id\n", "deep/b.bin": b"\0" * 100_000}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk or become somebody else")


def files_of(store: LocalStore, manifest: Manifest) -> Path:
    """The directory of a committed tree."""
    path = store.read_only_path(manifest)
    assert path is not None
    return path


def contents(directory: Path) -> Tree:
    """Every file below the directory."""
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
