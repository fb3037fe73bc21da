"""What a local store promises beyond the contract: nothing moves, nothing can be changed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from committed_trees import Plant
from local_trees import TREE, contents, files_of, needs_root

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.local import LocalStore


def test_the_committed_directory_has_exactly_the_files_and_nothing_is_writable(local: LocalStore, plant: Plant) -> None:
    source = plant(TREE)
    (source / "empty").mkdir()
    path = files_of(local, local.commit_tree(source, "a"))
    assert contents(path) == TREE
    assert {p.name for p in path.rglob("*")} == {"a.csv", "deep", "b.bin"}
    modes = {stat.filemode(p.stat().st_mode) for p in (path, *path.rglob("*"))}
    assert modes == {"dr-xr-xr-x", "-r--r--r--"}


def test_outputs_on_the_same_disk_are_taken_by_name(local: LocalStore, plant: Plant) -> None:
    source = plant(TREE)
    inode = (source / "deep" / "b.bin").stat().st_ino
    path = files_of(local, local.commit_tree(source, "a"))
    assert (path / "deep" / "b.bin").stat().st_ino == inode
    assert (path / "deep" / "b.bin").stat().st_nlink == 1
    assert not source.exists()


def test_a_source_that_is_read_only_itself_is_taken_all_the_same(local: LocalStore, plant: Plant) -> None:
    source = plant(TREE)
    (source / "deep").chmod(0o555)
    source.chmod(0o555)
    assert contents(files_of(local, local.commit_tree(source, "a"))) == TREE
    assert not source.exists()


def test_a_file_with_another_name_outside_the_outputs_is_copied(
    local: LocalStore, plant: Plant, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_bytes(b"mine")
    mine.chmod(0o644)
    source = plant({"own.csv": b"own"})
    (source / "linked.csv").hardlink_to(mine)
    path = files_of(local, local.commit_tree(source, "a"))
    assert stat.S_IMODE(mine.stat().st_mode) == 0o644
    assert mine.stat().st_nlink == 1
    mine.write_bytes(b"edited later")
    assert contents(path) == {"own.csv": b"own", "linked.csv": b"mine"}
    assert not source.exists()


def test_two_names_of_one_file_in_the_outputs_are_nobody_elses_and_are_not_copied(
    local: LocalStore, plant: Plant
) -> None:
    source = plant({"one.bin": b"x" * 1000})
    (source / "two.bin").hardlink_to(source / "one.bin")
    (source / "three.bin").symlink_to("one.bin")
    inode = (source / "one.bin").stat().st_ino
    path = files_of(local, local.commit_tree(source, "a"))
    assert {name: (path / name).stat().st_ino for name in ("one.bin", "two.bin", "three.bin")} == {
        "one.bin": inode,
        "two.bin": inode,
        "three.bin": inode,
    }
    assert not source.exists()


def test_a_kept_source_shares_nothing_with_the_store(local: LocalStore, plant: Plant) -> None:
    source = plant(TREE)
    path = files_of(local, local.commit_tree(source, "a", keep_source=True))
    (source / "a.csv").write_bytes(b"changed")
    assert contents(path) == TREE


def test_a_stored_file_that_was_written_to_is_not_handed_out_as_a_directory(local: LocalStore, plant: Plant) -> None:
    manifest = local.commit_tree(plant(TREE), "a")
    written = files_of(local, manifest) / "a.csv"
    written.chmod(0o644)
    written.write_bytes(b"ID\n")  # of the same size
    future(written)
    with pytest.raises(StoreError, match=r"a\.csv: the content differs from what was committed"):
        local.read_only_path(manifest)
    written.write_bytes(b"id\n")
    assert contents(files_of(local, manifest)) == TREE


def test_a_store_that_was_restored_from_a_backup_is_checked_and_used(local: LocalStore, plant: Plant) -> None:
    manifest = local.commit_tree(plant(TREE), "a")
    for path in files_of(local, manifest).rglob("*"):
        future(path)
    assert contents(files_of(local, manifest)) == TREE
    committed = (local.root / "manifests" / "a.manifest.json").stat().st_mtime_ns
    assert (files_of(local, manifest) / "a.csv").stat().st_mtime_ns == committed


def test_a_file_from_the_future_is_stored_as_one_of_now(local: LocalStore, plant: Plant) -> None:
    source = plant(TREE)
    future(source / "a.csv")
    path = files_of(local, local.commit_tree(source, "a"))
    marker = local.root / "manifests" / "a.manifest.json"
    assert (path / "a.csv").stat().st_mtime_ns <= marker.stat().st_mtime_ns


def test_deleting_some_files_does_not_hide_that_another_was_written_to(local: LocalStore, plant: Plant) -> None:
    manifest = local.commit_tree(plant(TREE | {"c": b"c"}), "a")
    marker = local.root / "manifests" / "a.manifest.json"
    committed = marker.stat().st_mtime_ns
    local.delete_files("a", ["c"])
    assert marker.stat().st_mtime_ns == committed
    assert contents(files_of(local, manifest.without(["c"]))) == TREE


def future(path: Path) -> None:
    """Date a file an hour ahead."""
    in_an_hour_ns = time.time_ns() + 3600 * 10**9
    os.utime(path, ns=(in_an_hour_ns, in_an_hour_ns))


@needs_root
def test_files_that_belong_to_somebody_else_are_copied_since_their_owner_could_change_them(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from winslow_dagster.storage.local import LocalStore
os.setegid(65534); os.seteuid(65534)
place = Path(sys.argv[1])
store = LocalStore(place / "store")
manifest = store.commit_tree(place / "source", "a")
print((store.read_only_path(manifest) / "f").stat().st_uid)
"""
    for parent in [tmp_path, *tmp_path.parents][:4]:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(0o755)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "f").write_bytes(b"root's")
    os.chown(tmp_path, 65534, 65534)
    answer = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "65534", answer.stderr
    assert (tmp_path / "source" / "f").stat().st_uid == 0


def test_deleting_copes_with_what_it_made_read_only(local: LocalStore, plant: Plant) -> None:
    manifest = local.commit_tree(plant(TREE), "projects/a/b")
    assert local.delete_tree("projects/a/b") == manifest.size_bytes
    assert sorted(contents(local.root)) == ["commit.lock"]
    assert not (local.root / "trees" / "projects").exists()
    with pytest.raises(StoreError, match="is missing"):
        local.read_only_path(manifest)


def test_an_unreadable_source_is_blamed_not_the_store(local: LocalStore, plant: Plant) -> None:
    source = plant(TREE)
    (source / "deep").rename(source / "closed")
    program = """
import sys
from pathlib import Path
from winslow_dagster.errors import StoreError
from winslow_dagster.storage.local import LocalStore
source = Path(sys.argv[1])
(source / "closed").chmod(0)
try:
    LocalStore(Path(sys.argv[2])).commit_tree(source, "a")
except StoreError as error:
    print(error)
"""
    run = as_ordinary_user(sys.executable, "-c", program, str(source), str(local.root))
    assert run.stdout == (f"{source}: Permission denied ({source}/closed). Check {source} and its permissions.\n"), (
        run.stderr
    )


def as_ordinary_user(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program without the privileges of root: permissions bind it."""
    drop = ("setpriv", "--bounding-set=-all") if os.geteuid() == 0 else ()
    return subprocess.run([*drop, *command], capture_output=True, text=True, check=False)


def test_a_directory_that_is_nested_too_deeply_for_any_path_is_removed(nest: Callable[[int], Path]) -> None:
    deep = nest(3000)
    remove_directory(deep)
    assert not deep.exists()


def test_a_directory_that_nobody_may_read_is_removed_all_the_same(plant: Plant) -> None:
    source = plant(TREE)
    (source / "deep").chmod(0o000)
    source.chmod(0o000)
    remove_directory(source)
    assert not source.exists()
    remove_directory(source)


def test_a_damaged_manifest_is_told_with_its_place(local: LocalStore, plant: Plant) -> None:
    local.commit_tree(plant(TREE), "a")
    marker = local.root / "manifests" / "a.manifest.json"
    marker.chmod(0o644)
    marker.write_text('{"address": "a", "files": [{"pa')
    with pytest.raises(StoreError, match=r"a\.manifest\.json: the manifest cannot be read\. The file is damaged"):
        local.manifest("a")


def test_a_damaged_file_is_not_handed_out(local: LocalStore, plant: Plant, tmp_path: Path) -> None:
    manifest = local.commit_tree(plant(TREE), "a")
    damaged = files_of(local, manifest) / "a.csv"
    damaged.chmod(0o644)
    damaged.write_bytes(b"ID\n")
    with pytest.raises(StoreError, match="the content differs from what was committed"):
        local.fetch_file(manifest, manifest.files[0], tmp_path / "copy")
