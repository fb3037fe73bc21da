"""What a local store promises beyond the contract: nothing moves, nothing can be changed, nothing is half done."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from committed_trees import addresses

from winslow_dagster.errors import DiskFull, StoreError
from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import Manifest

Tree = dict[str, bytes]
Plant = Callable[..., Path]
MEMORY = Path("/dev/shm")
TREE: Tree = {"a.csv": b"id\n", "deep/b.bin": b"\0" * 100_000}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk or become somebody else")


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def files_of(store: LocalStore, manifest: Manifest) -> Path:
    path = store.read_only_path(manifest)
    assert path is not None
    return path


def contents(directory: Path) -> Tree:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


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


def test_outputs_on_another_disk_are_copied_and_stay(local: LocalStore, tmp_path: Path) -> None:
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=MEMORY) as elsewhere:
        source = Path(elsewhere, "output")
        shutil.copytree(Path(__file__).parent, source, ignore=shutil.ignore_patterns("__pycache__"))
        before = contents(source)
        assert contents(files_of(local, local.commit_tree(source, "a"))) == before
        assert contents(source) == before


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


def test_a_copy_of_a_sparse_file_is_sparse(local: LocalStore, tmp_path: Path) -> None:
    source = tmp_path / "sparse.bin"
    with source.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(20 << 20)
        file.write(b"data")
        file.seek(40 << 20)
        file.write(b"more")
    manifest = local.put_file(source, "a")
    copy = files_of(local, manifest) / "sparse.bin"
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_blocks * 512 <= 1 << 20
    store = LocalStore(tmp_path / "second")
    fetched = tmp_path / "fetched"
    store.commit_tree(copy.parent, "b", keep_source=True)
    local.fetch_file(manifest, manifest.files[0], fetched)
    assert fetched.stat().st_blocks * 512 <= 1 << 20


@needs_root
def test_a_sparse_file_needs_only_the_space_of_its_data(tmp_path: Path) -> None:
    source = tmp_path / "sparse.bin"
    with source.open("wb") as file:
        file.write(b"data")
        file.truncate(64 << 20)
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=8m", "none") as disk:
        assert LocalStore(disk / "store").put_file(source, "a").size_bytes == 64 << 20


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


def test_of_many_who_commit_the_same_at_once_all_get_the_same_tree(local: LocalStore, plant: Plant) -> None:
    sources = [plant(TREE) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        manifests = set(pool.map(lambda source: local.commit_tree(source, "a"), sources))
    assert len(manifests) == 1
    assert contents(files_of(local, manifests.pop())) == TREE
    assert not list((local.root / "staging").iterdir())


def test_of_many_who_commit_different_content_at_once_one_wins_and_the_others_are_told(
    local: LocalStore, plant: Plant
) -> None:
    def commit(number: int) -> bytes | None:
        try:
            local.commit_tree(plant({"who": str(number).encode()}), "a")
        except StoreError as error:
            errors.append(str(error))
            return None
        return str(number).encode()

    errors: list[str] = []

    with ThreadPoolExecutor(12) as pool:
        winners = [winner for winner in pool.map(commit, range(12)) if winner]
    manifest = local.manifest("a")
    assert manifest is not None
    assert [*contents(files_of(local, manifest)).values()] == winners
    assert len([error for error in errors if "different content is already committed here" in error]) == 11


def test_many_commit_and_delete_at_once(local: LocalStore, plant: Plant) -> None:
    def live(number: int) -> None:
        address = f"shared/{number}"
        for turn in range(5):
            local.commit_tree(plant({"f": f"{number} {turn}".encode()}), address)
            assert local.delete_tree(address) > 0
        local.commit_tree(plant({"f": b"last"}), address)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(8)))
    assert addresses(local) == [f"shared/{number}" for number in range(8)]


@contextmanager
def mounted(directory: Path, *options: str) -> Iterator[Path]:
    directory.mkdir()
    made = subprocess.run(["mount", *options, str(directory)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@needs_root
def test_a_full_disk_is_told_with_what_is_needed_and_what_is_free(plant: Plant, tmp_path: Path) -> None:
    source = plant({"one": b"1" * 3_000_000, "two": b"2" * 6_000_000})
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=8m", "none") as disk:
        store = LocalStore(disk / "store")
        expected = r"the disk is full: 9000000 bytes needed, (8|7)\d{6} free\. Free space on it"
        with pytest.raises(DiskFull, match=expected):
            store.commit_tree(source, "a")
        with pytest.raises(DiskFull, match=r"the disk is full: 12000000 bytes needed"):
            store.put_file(plant({"big": b"3" * 12_000_000}) / "big", "a")
        assert store.manifest("a") is None
        assert not list((disk / "store" / "staging").iterdir())
        store.commit_tree(plant({"small": b"fits"}), "a")
    assert len(contents(source)) == 2


@needs_root
def test_a_disk_that_fills_up_during_a_copy_is_told_and_nothing_is_left_of_it(plant: Plant, tmp_path: Path) -> None:
    source = plant({"one": b"1" * 20_000_000})
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=24m", "none") as disk:
        store = LocalStore(disk / "store")

        def somebody_else_writes(_count_bytes: int) -> None:
            (disk / "other").write_bytes(b"x" * 8_000_000)

        with pytest.raises(DiskFull, match="the disk is full"):
            store.put_file(source / "one", "a", somebody_else_writes)
        assert sorted(path.name for path in disk.rglob("*") if path.is_file()) == ["other"]


@needs_root
def test_a_disk_that_shares_blocks_takes_a_copy_that_would_not_fit(tmp_path: Path) -> None:
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("there is no mkfs.xfs")
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
    with mounted(tmp_path / "xfs", "-o", "loop", str(image)) as disk:
        video = disk / "video.mp4"
        video.write_bytes(os.urandom(1 << 20) * 150)
        store = LocalStore(disk / "store")
        told: list[int] = []
        manifest = store.put_file(video, "a", told.append)
        assert manifest.size_bytes == sum(told) == video.stat().st_size
        again = store.put_file(video, "b")
        assert again.files == manifest.files
        assert (files_of(store, again) / "video.mp4").read_bytes() == video.read_bytes()


@pytest.mark.parametrize(
    ("scenario", "fewest_kills"),
    [
        pytest.param("commit", 100, marks=pytest.mark.slow),
        ("put", 40),
        ("delete", 40),
        pytest.param("view", 60, marks=pytest.mark.slow),
    ],
)
def test_killed_before_any_step_it_comes_to_the_same_end(scenario: str, fewest_kills: int, tmp_path: Path) -> None:
    program = Path(__file__).with_name("kill_every_step.py")
    # In memory where there is some: the steps are the same, and no disk is waited for after each.
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else tmp_path) as place:
        run = subprocess.run(
            [sys.executable, str(program), scenario, place], capture_output=True, text=True, check=False
        )
    assert run.returncode == 0, run.stderr
    outcome = json.loads(run.stdout)
    assert outcome["kills"] >= fewest_kills
    assert len(outcome["results"]) == 1
    assert outcome["results"][0]["left over"] == []
