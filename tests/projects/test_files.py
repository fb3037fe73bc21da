"""Copies of a project's output files."""

from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.errors import StoreError
from winslow_dagster.projects.commands.files import fetch, files_of
from winslow_dagster.storage.directories import make_parents, remove_directory
from winslow_dagster.storage.local import LocalStore

DEEP = "d/" * 1200 + "f"


def test_a_deeply_nested_file_is_copied_and_a_path_that_becomes_too_long_is_an_error(tmp_path: Path) -> None:
    store, source = LocalStore(tmp_path / "store"), tmp_path / "source"
    source.mkdir()
    make_parents(source, [DEEP])
    (source / DEEP).write_text("deep")
    (file,) = files_of(store, "traffic", {"detect": store.commit_tree(source, "a")}, ["detect"])
    copy = fetch(store, file, tmp_path / "results")
    assert copy == tmp_path / "results" / "detect" / DEEP
    assert copy.read_text() == "deep"
    assert fetch(store, file, tmp_path / "results") == copy
    far = tmp_path / Path(*["long" * 40] * 15)
    with pytest.raises(StoreError, match=r"is too long: it has \d+ bytes; expected less than 4096"):
        fetch(store, file, far)
    for name in ("store", "results"):  # pytest cannot
        remove_directory(tmp_path / name)
