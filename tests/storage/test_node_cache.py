"""The cache of a node, over a store whose files have to be fetched: a local one that says so, and S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kill_every_step import FarStore, contents

from winslow_dagster.errors import DiskFull, StoreError
from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import Store

Tree = dict[str, bytes]
Plant = Callable[..., Path]
TREE: Tree = {"a.csv": b"id\n", "deep/b.bin": b"\0" * 100_000, "deep/same as b": b"\0" * 100_000, "empty": b""}
PLENTY_BYTES = 10**12
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


@pytest.fixture
def far(tmp_path: Path) -> FarStore:
    return FarStore(tmp_path / "far")


@pytest.fixture
def cache(tmp_path: Path) -> NodeCache:
    return NodeCache(tmp_path / "node" / "cache", PLENTY_BYTES)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return tmp_path / "node" / "tasks"


def read(directory: Path) -> Tree:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def cached_bytes(cache: NodeCache) -> int:
    return sum(path.stat().st_size for path in (cache.root / "blobs").rglob("*") if path.is_file())


def test_a_store_with_the_files_at_hand_is_looked_at_itself(
    cache: NodeCache, tasks: Path, plant: Plant, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "near")
    manifest = store.commit_tree(plant(TREE), "a")
    told: list[int] = []
    assert cache.view(store, manifest, tasks / "input", told.append) == store.read_only_path(manifest)
    assert sum(told) == manifest.size_bytes
    assert not tasks.exists()
    assert not cache.root.exists()


def test_a_cached_file_that_a_stage_has_written_to_is_found_out_and_fetched_anew(
    cache: NodeCache, far: FarStore, tasks: Path, plant: Plant
) -> None:
    manifest = far.commit_tree(plant(TREE), "a")
    view = cache.view(far, manifest, tasks / "first")
    cache.require_unchanged(far, manifest, view)
    (view / "a.csv").chmod(0o644)
    (view / "a.csv").write_bytes(b"ID\n")
    with pytest.raises(StoreError, match=r"a\.csv: the content differs from what was committed"):
        cache.require_unchanged(far, manifest, view)
    assert read(cache.view(far, manifest, tasks / "second")) == TREE


def test_a_view_of_the_store_itself_is_looked_at_for_changes_too(
    cache: NodeCache, tasks: Path, plant: Plant, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "near")
    manifest = store.commit_tree(plant(TREE), "a")
    view = cache.view(store, manifest, tasks / "input")
    cache.require_unchanged(store, manifest, view)
    (view / "a.csv").chmod(0o644)
    (view / "a.csv").write_bytes(b"longer than before\n")
    with pytest.raises(StoreError, match=r"a\.csv: the content differs from what was committed"):
        cache.require_unchanged(store, manifest, view)


@pytest.mark.parametrize("kind", ["far", pytest.param("s3", marks=pytest.mark.s3)])
def test_a_view_has_exactly_the_files_and_nothing_in_it_is_writable(
    kind: str, cache: NodeCache, tasks: Path, plant: Plant, request: pytest.FixtureRequest
) -> None:
    store: Store = request.getfixturevalue("far")
    if kind == "s3":
        from winslow_dagster.storage.factory import open_store

        store = open_store(request.getfixturevalue("s3_url"), request.getfixturevalue("s3_endpoint"))
    large = os.urandom(20 << 20)
    manifest = store.commit_tree(plant(TREE | {"video.mp4": large}), "a")
    told: list[int] = []
    view = cache.view(store, manifest, tasks / "input", told.append)
    assert view == tasks / "input"
    assert read(view) == TREE | {"video.mp4": large}
    assert {oct(path.stat().st_mode & 0o777) for path in (view, *view.rglob("*"))} == {"0o555", "0o444"}
    assert sum(told) == manifest.size_bytes
    assert sorted(path.name for path in tasks.iterdir()) == ["input"]


def test_what_is_here_is_not_fetched_again(cache: NodeCache, far: FarStore, tasks: Path, plant: Plant) -> None:
    first = far.commit_tree(plant(TREE), "a")
    second = far.commit_tree(plant({"renamed": TREE["a.csv"], "new": b"new"}), "b")
    cache.view(far, first, tasks / "1")
    far.delete_tree("a")
    told: list[int] = []
    assert read(cache.view(far, first, tasks / "2", told.append)) == TREE
    assert sum(told) == first.size_bytes
    far_file = far.root / "trees" / "b.files" / "renamed"
    far_file.chmod(0o644)
    far_file.write_bytes(b"damaged, and nobody will look")
    assert read(cache.view(far, second, tasks / "3")) == {"renamed": TREE["a.csv"], "new": b"new"}
    assert (tasks / "3" / "renamed").samefile(tasks / "1" / "a.csv")


def test_a_view_made_again_is_the_same_and_one_that_was_spoilt_is_made_anew(
    cache: NodeCache, far: FarStore, tasks: Path, plant: Plant
) -> None:
    manifest = far.commit_tree(plant(TREE), "a")
    view = cache.view(far, manifest, tasks / "input")
    inode = view.stat().st_ino
    assert cache.view(far, manifest, tasks / "input").stat().st_ino == inode
    (view / "deep").chmod(0o755)
    (view / "deep" / "b.bin").unlink()
    assert read(cache.view(far, manifest, tasks / "input")) == TREE
    (view / "deep").chmod(0o755)
    (view / "deep" / "foreign").touch()
    assert read(cache.view(far, manifest, tasks / "input")) == TREE


def test_the_files_of_a_removed_view_stay_in_the_cache(
    cache: NodeCache, far: FarStore, tasks: Path, plant: Plant
) -> None:
    manifest = far.commit_tree(plant(TREE), "a")
    cache.view(far, manifest, tasks / "input")
    remove_directory(tasks / "input")
    assert not (tasks / "input").exists()
    assert cached_bytes(cache) == 100_003


def test_what_was_used_longest_ago_goes_first_and_what_is_in_use_stays(
    far: FarStore, tasks: Path, plant: Plant, cache: NodeCache
) -> None:
    trees = {name: far.commit_tree(plant({name: name.encode() * 1000}), name) for name in ("a", "b", "c", "d", "e")}
    cache.limit_bytes = 3000
    for name in ("a", "b", "c"):
        cache.view(far, trees[name], tasks / name)
    remove_directory(tasks / "b")
    remove_directory(tasks / "c")
    cache.view(far, trees["b"], tasks / "b again")
    remove_directory(tasks / "b again")
    cache.view(far, trees["d"], tasks / "d")
    for name in ("a", "b", "d"):
        assert cache.view(far, trees[name], tasks / f"{name} is here")
    for name in ("a", "b", "d"):
        far.delete_tree(name)
        cache.view(far, trees[name], tasks / f"{name} is here still")
    far.delete_tree("c")
    with pytest.raises(StoreError, match="is missing"):
        cache.view(far, trees["c"], tasks / "c is not")


def test_running_stages_may_need_more_than_the_limit_and_it_shrinks_afterwards(
    far: FarStore, tasks: Path, plant: Plant, cache: NodeCache
) -> None:
    cache.limit_bytes = 100
    manifest = far.commit_tree(plant(TREE), "a")
    assert read(cache.view(far, manifest, tasks / "input")) == TREE
    cache.view(far, far.commit_tree(plant({"b": b"bbb"}), "b"), tasks / "b")
    assert cached_bytes(cache) == 100_006
    remove_directory(tasks / "input")
    cache.view(far, far.commit_tree(plant({"c": b"ccc"}), "c"), tasks / "c")
    assert cached_bytes(cache) <= cache.limit_bytes


def test_sweeping_leaves_what_somebody_is_fetching_now(
    far: FarStore, tasks: Path, plant: Plant, cache: NodeCache
) -> None:
    manifest = far.commit_tree(plant({"video.mp4": os.urandom(30 << 20)}), "a")
    view = cache.view(far, manifest, tasks / "input", lambda _count: cache._files.sweep())
    assert (view / "video.mp4").stat().st_size == 30 << 20


class CountingStore(FarStore):
    """Writes a line for every file that is fetched, from whichever process."""

    def fetch_file(self, manifest: Manifest, entry, target, moved=None) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 (the interface's)
        with (self.root / "fetches.log").open("a") as log:
            log.write(f"{entry.path}\n")
        super().fetch_file(manifest, entry, target, moved)


def test_of_many_who_want_the_same_at_once_one_fetches_it(
    tmp_path: Path, tasks: Path, plant: Plant, cache: NodeCache
) -> None:
    store = CountingStore(tmp_path / "far")
    manifest = store.commit_tree(plant({"video.mp4": os.urandom(20 << 20), "small": b"s"}), "a")
    with ThreadPoolExecutor(8) as pool:
        views = list(pool.map(lambda number: cache.view(store, manifest, tasks / str(number)), range(8)))
    assert all(contents(view) == contents(views[0]) for view in views)
    assert sorted((store.root / "fetches.log").read_text().split()) == ["small", "video.mp4"]


FETCH_AND_DIE = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from kill_every_step import FarStore
from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.directories import remove_directory
place, signal_number = Path(sys.argv[2]), int(sys.argv[3])
store = FarStore(place / "far")
def moved(count):
    print("moved", flush=True)
    os.kill(os.getpid(), signal_number)
NodeCache(place / "node" / "cache", 10**12).view(store, store.manifest("a"), place / "node" / "tasks" / "1", moved)
"""


def fetcher(place: Path, signal_number: int) -> subprocess.Popen[str]:
    """A process that sends itself the signal when it has fetched the first part of a file."""
    program = [sys.executable, "-c", FETCH_AND_DIE, str(Path(__file__).parent), str(place), str(int(signal_number))]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "moved\n"
    return process


def test_a_fetcher_that_is_killed_leaves_nothing_wrong(
    far: FarStore, tmp_path: Path, tasks: Path, plant: Plant, cache: NodeCache
) -> None:
    manifest = far.commit_tree(plant({"video.mp4": os.urandom(30 << 20)}), "a")
    with fetcher(tmp_path, signal.SIGKILL) as process:
        assert process.wait() == -signal.SIGKILL
    assert list((cache.root / "incoming").rglob("*"))
    assert contents(cache.view(far, manifest, tasks / "1")) == {"video.mp4": manifest.files[0].blake3}
    assert list((cache.root / "incoming").rglob("*")) == []


def test_who_waits_for_a_fetcher_that_is_killed_fetches_it_itself(
    far: FarStore, tmp_path: Path, tasks: Path, plant: Plant, cache: NodeCache
) -> None:
    manifest = far.commit_tree(plant({"video.mp4": os.urandom(30 << 20)}), "a")
    with fetcher(tmp_path, signal.SIGSTOP) as process, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.view, far, manifest, tasks / "2")
        process.kill()
        assert contents(waiting.result()) == {"video.mp4": manifest.files[0].blake3}


def test_a_view_on_another_disk_than_the_cache_is_told(far: FarStore, plant: Plant, cache: NodeCache) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is no second file system")
    manifest = far.commit_tree(plant(TREE), "a")
    with (
        tempfile.TemporaryDirectory(dir=memory) as elsewhere,
        pytest.raises(StoreError, match=r"on different file systems\. Keep all of WINSLOW_HOME"),
    ):
        cache.view(far, manifest, Path(elsewhere, "input"))


@needs_root
def test_a_full_disk_drops_what_is_unused_and_then_is_told(far: FarStore, plant: Plant, tmp_path: Path) -> None:
    first = far.commit_tree(plant({"1": b"1" * 6_000_000}), "first")
    second = far.commit_tree(plant({"2": b"2" * 7_000_000}), "second")
    disk = tmp_path / "small"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "none", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        cache = NodeCache(disk / "cache", PLENTY_BYTES)
        cache.view(far, first, disk / "tasks" / "1")
        expected = (
            r"second \(6000000 bytes of the cache are in use\).*: the disk is full: 7000000 bytes needed, \d+ free"
        )
        with pytest.raises(DiskFull, match=expected):
            cache.view(far, second, disk / "tasks" / "2")
        remove_directory(disk / "tasks" / "1")
        assert contents(cache.view(far, second, disk / "tasks" / "2")) == {"2": second.files[0].blake3}
        assert cached_bytes(cache) == 7_000_000
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@needs_root
def test_a_disk_that_fills_up_during_a_fetch_is_emptied_of_what_is_unused(
    far: FarStore, plant: Plant, tmp_path: Path
) -> None:
    first = far.commit_tree(plant({"1": b"1" * 20_000_000}), "first")
    second = far.commit_tree(plant({"2": b"2" * 30_000_000}), "second")
    disk = tmp_path / "small"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "none", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    told: list[int] = []

    def somebody_else_writes(count_bytes: int) -> None:
        told.append(count_bytes)
        (disk / "other").write_bytes(b"x" * 20_000_000)

    try:
        cache = NodeCache(disk / "cache", PLENTY_BYTES)
        cache.view(far, first, disk / "tasks" / "1")
        remove_directory(disk / "tasks" / "1")
        view = cache.view(far, second, disk / "tasks" / "2", somebody_else_writes)
        assert contents(view) == {"2": second.files[0].blake3}
        assert sum(told) == 30_000_000
        assert cached_bytes(cache) == 30_000_000
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
