"""What no store takes, and what it never does with what it has: the same for every store."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from committed_trees import ADDRESS, TREE, Harvest, Plant

from winslow_dagster.errors import StoreError
from winslow_dagster.storage import tree
from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import FileEntry, replaced
from winslow_dagster.storage.store import Store


@pytest.mark.parametrize(
    "address",
    ["", "/a", "a/", "a//b", "a/../b", ".", "a.files/b", "a.manifest.json", "a\nb", "a\\b", "a/" + "x" * 201, "\ud800"],
)
def test_an_address_that_some_store_could_not_hold_is_refused_by_all(store: Store, plant: Plant, address: str) -> None:
    source = plant(TREE)
    for use in (store.manifest, store.delete_tree, lambda address: store.commit_tree(source, address)):
        with pytest.raises(StoreError, match="invalid address"):
            use(address)
    assert source.exists()


def test_directories_may_be_nested_more_deeply_than_python_recurses(
    store: Store, plant: Plant, tmp_path: Path, nest: Callable[[int], Path]
) -> None:
    if isinstance(store, LocalStore):
        manifest = store.commit_tree(nest(1200), ADDRESS)
        assert [file.path for file in manifest.files] == ["d/" * 1200 + "f"]
        NodeCache(tmp_path / "cache", limit_bytes=10**9).view(store, manifest, tmp_path / "view")
        composed = replaced(
            manifest, manifest.files[0].path, by=store.put_file(plant({"f": b"new"}) / "f", "uploads/1")
        )
        view = NodeCache(tmp_path / "cache", limit_bytes=10**9).view(store, composed, tmp_path / "view")
        assert (view / composed.files[0].path).read_bytes() == b"new"
        assert store.delete_tree(ADDRESS) == 0
    else:
        with pytest.raises(StoreError, match=r"the name is too long for S3; expected at most 1024 bytes"):
            store.commit_tree(nest(600), ADDRESS)


def test_a_path_that_is_too_long_is_an_error_that_says_so(store: Store, nest: Callable[[int], Path]) -> None:
    with pytest.raises(
        StoreError, match=r"the path /.*….*/d.* is too long: it has \d+ bytes; expected less than 4096 bytes"
    ) as told:
        store.commit_tree(nest(2500), ADDRESS)
    assert len(str(told.value)) < 1000


def test_links_that_multiply_directories_without_bound_are_an_error(
    store: Store, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MOST_ENTRIES", 5000)  # a million takes a minute
    source = plant({})
    for level in range(40):
        (source / f"{level}").mkdir()
        for name in ("a", "b"):
            (source / f"{level}" / name).symlink_to(f"../{level + 1}")
    (source / "40").mkdir()
    with pytest.raises(StoreError, match="more than 5000 files and directories; symbolic links count as"):
        store.commit_tree(source, ADDRESS)


def test_whoever_watches_may_stop_a_commit_that_has_no_bytes_to_move_yet(store: Store, plant: Plant) -> None:
    def stop(count_bytes: int) -> None:
        assert count_bytes == 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.commit_tree(plant({f"{number}": b"" for number in range(1000)}), ADDRESS, stop)
    assert store.manifest(ADDRESS) is None


def link_out(source: Path) -> None:
    (source / "secret").symlink_to("/etc/hostname")


def link_up(source: Path) -> None:
    (source / "frames").mkdir()
    (source / "frames" / "up").symlink_to("..")


def link_to_itself(source: Path) -> None:
    (source / "me").symlink_to("me")


def link_nowhere(source: Path) -> None:
    (source / "gone").symlink_to("/winslow/output/gone.mp4")


def pipe(source: Path) -> None:
    os.mkfifo(source / "pipe")


def unix_socket(source: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        directory = os.open(source, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{directory}/socket")
        os.close(directory)


def latin_1_name(source: Path) -> None:
    (source / os.fsdecode(b"stra\xdfe")).write_bytes(b"")


def name_with_newline(source: Path) -> None:
    (source / "two\nlines").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (link_out, r"secret: the symbolic link points out of the directory, to /etc/hostname\. Put the file itself"),
        (link_up, r"frames/up: the symbolic link is part of a cycle"),
        (link_to_itself, r"me: the symbolic link is part of a cycle"),
        (
            link_nowhere,
            r"gone: the symbolic link points to /winslow/output/gone\.mp4, which does not exist.*relative path",
        ),
        (pipe, r"pipe: this is a pipe; expected files and directories\. Delete it"),
        (unix_socket, r"socket: this is a socket"),
        (latin_1_name, r"the name b'stra\\xdfe' is not UTF-8\. Rename"),
        (name_with_newline, r"the name 'two\\nlines' contains a control character"),
    ],
)
def test_what_no_store_can_keep_is_refused_by_all_and_nothing_moves(
    store: Store, plant: Plant, spoil: Callable[[Path], None], message: str
) -> None:
    source = plant({"good": b"file"})
    spoil(source)
    with pytest.raises(StoreError, match=message):
        store.commit_tree(source, ADDRESS)
    assert (source / "good").read_bytes() == b"file"
    assert store.manifest(ADDRESS) is None


def test_a_file_that_somebody_still_writes_is_refused(store: Store, plant: Plant) -> None:
    source = plant({"still.log": b"x" * 100})

    def write_on(_count_bytes: int) -> None:
        with (source / "still.log").open("ab") as file:
            file.write(b"more")

    with pytest.raises(StoreError, match="changed while it was being read"):
        store.put_file(source / "still.log", ADDRESS, write_on)
    assert store.manifest(ADDRESS) is None


def test_whoever_watches_may_stop_a_commit_and_it_can_be_done_again(
    store: Store, plant: Plant, harvest: Harvest
) -> None:
    def stop(_count_bytes: int) -> None:
        raise KeyboardInterrupt

    source = plant(TREE)
    with pytest.raises(KeyboardInterrupt):
        store.commit_tree(source, ADDRESS, stop)
    assert store.manifest(ADDRESS) is None
    store.commit_tree(source, ADDRESS)
    assert harvest(store, ADDRESS) == TREE


def test_content_that_is_not_what_the_manifest_says_is_not_handed_out(
    store: Store, plant: Plant, tmp_path: Path
) -> None:
    manifest = store.commit_tree(plant({"a": b"content"}), ADDRESS)
    lying = manifest.files[0].model_copy(update={"blake3": blake3(b"CONTENT").hexdigest()})
    with pytest.raises(StoreError, match="the content differs from what was committed"):
        store.fetch_file(manifest, lying, tmp_path / "copy")
    assert list(tmp_path.glob("*copy*")) == list(tmp_path.glob(".*")) == []


def test_a_file_is_never_fetched_over_another(store: Store, plant: Plant, tmp_path: Path) -> None:
    manifest = store.commit_tree(plant({"a": b"content"}), ADDRESS)
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(StoreError, match="File exists"):
        store.fetch_file(manifest, manifest.files[0], tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a//b", "", "."])
def test_a_manifest_cannot_name_files_outside_its_tree(path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside a tree"):
        FileEntry(path=path, size_bytes=0, blake3="")
