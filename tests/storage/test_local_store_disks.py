"""A local store on disks that are full, fill up, share blocks, or are not the one of the outputs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from committed_trees import Plant
from local_trees import MEMORY, contents, files_of, needs_root

from winslow_dagster.errors import DiskFull
from winslow_dagster.storage.local import LocalStore


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


def test_outputs_on_another_disk_are_copied_and_stay(local: LocalStore, tmp_path: Path) -> None:
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=MEMORY) as elsewhere:
        source = Path(elsewhere, "output")
        shutil.copytree(Path(__file__).parent, source, ignore=shutil.ignore_patterns("__pycache__"))
        before = contents(source)
        assert contents(files_of(local, local.commit_tree(source, "a"))) == before
        assert contents(source) == before
