"""Files that replace others, and files that are deleted from a tree: the same for every store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from committed_trees import ADDRESS, TREE, Harvest, Plant, addresses

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.manifest import FileEntry, Location, Manifest, replaced
from winslow_dagster.storage.store import Store


def test_a_file_is_replaced_by_one_that_is_stored_elsewhere_and_nothing_is_copied(
    store: Store, plant: Plant, tmp_path: Path
) -> None:
    whole = store.commit_tree(plant(TREE), ADDRESS)
    mended = store.put_file(plant({"mended by hand.csv": b"id,x,y\n1,2,4\n"}) / "mended by hand.csv", "uploads/1")
    composed = replaced(whole, "trajectories.csv", by=mended)
    assert composed.composed
    assert composed.trees() == {ADDRESS, "uploads/1"}
    assert composed.address not in {ADDRESS, "uploads/1"}
    read = {entry.path: store.read_range(composed, entry, 0, entry.size_bytes) for entry in composed.files}
    assert read == TREE | {"trajectories.csv": b"id,x,y\n1,2,4\n"}
    for number, entry in enumerate(composed.files):
        store.fetch_file(composed, entry, tmp_path / str(number))
        assert (tmp_path / str(number)).read_bytes() == read[entry.path]
    assert store.read_only_path(composed) is None
    assert store.manifest(composed.address) is None
    assert addresses(store) == [ADDRESS, "uploads/1"]


def test_a_view_of_a_composed_manifest_has_exactly_its_files(store: Store, plant: Plant, tmp_path: Path) -> None:
    whole = store.commit_tree(plant(TREE), ADDRESS)
    mended = store.put_file(plant({"0.jpg": b"new"}) / "0.jpg", "uploads/1")
    composed = replaced(whole, "frames/0001.jpg", by=mended)
    cache = NodeCache(tmp_path / "cache", limit_bytes=10**9)
    view = cache.view(store, composed, tmp_path / "views" / "input")
    seen = {path.relative_to(view).as_posix(): path.read_bytes() for path in view.rglob("*") if path.is_file()}
    assert seen == TREE | {"frames/0001.jpg": b"new"}


def test_what_was_composed_is_composed_again_and_each_file_lies_where_it_was_stored(store: Store, plant: Plant) -> None:
    whole = store.commit_tree(plant(TREE), ADDRESS)
    first = store.put_file(plant({"a": b"first"}) / "a", "uploads/1")
    second = store.put_file(plant({"a": b"second"}) / "a", "uploads/2")
    once = replaced(whole, "..almost", by=first)
    both = replaced(once, "trajectories.csv", by=second)
    over = replaced(once, "..almost", by=second)
    assert both.trees() == {ADDRESS, "uploads/1", "uploads/2"}
    assert over.trees() == {ADDRESS, "uploads/2"}
    read = {entry.path: store.read_range(both, entry, 0, entry.size_bytes) for entry in both.files}
    assert read == TREE | {"..almost": b"first", "trajectories.csv": b"second"}
    assert len({each.address for each in (whole, once, both, over)}) == 4
    assert replaced(whole, "..almost", by=first) == once


def test_only_one_file_that_is_there_can_be_replaced(store: Store, plant: Plant) -> None:
    whole = store.commit_tree(plant(TREE), ADDRESS)
    with pytest.raises(StoreError, match=r"the file .trajectory\.csv. to be replaced does not exist"):
        replaced(whole, "trajectory.csv", by=store.put_file(plant({"a": b""}) / "a", "uploads/1"))
    with pytest.raises(StoreError, match="contains 5 files; expected one file"):
        replaced(whole, "trajectories.csv", by=whole)


def test_a_manifest_that_is_not_composed_is_written_as_ever_and_a_composed_one_can_be_read_back() -> None:
    plain = Manifest(address="a", files=(FileEntry(path="b/c", size_bytes=1, blake3="00"),))
    written = '{"address":"a","files":[{"path":"b/c","size_bytes":1,"blake3":"00"}]}'
    assert plain.model_dump_json() == written
    assert plain.model_dump(mode="json") == json.loads(written)
    assert Manifest.model_validate_json(written) == plain
    upload = Manifest(address="u", files=(FileEntry(path="d", size_bytes=2, blake3="11"),))
    composed = replaced(plain, "b/c", by=upload)
    assert Manifest.model_validate_json(composed.model_dump_json()) == composed
    assert Manifest.model_validate(composed.model_dump(mode="json")) == composed


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", ""])
def test_a_composed_manifest_cannot_name_files_outside_of_trees(path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside a tree"):
        Location(address="a", path=path)


def test_some_files_of_a_tree_can_go_and_the_others_stay(store: Store, plant: Plant, harvest: Harvest) -> None:
    manifest = store.commit_tree(plant(TREE), ADDRESS)
    gone = ("frames/0001.jpg", "frames/deep/er/0002.jpg", "trajectories.csv")
    assert store.delete_files(ADDRESS, gone) == sum(len(TREE[path]) for path in gone)
    assert store.delete_files(ADDRESS, gone) == 0
    assert harvest(store, ADDRESS) == {path: content for path, content in TREE.items() if path not in gone}
    by_path = {entry.path: entry for entry in manifest.files}
    with pytest.raises(StoreError, match=r"(is missing|object).*trajectories\.csv|trajectories\.csv"):
        store.read_range(manifest, by_path["trajectories.csv"], 0, 5)
    assert store.read_range(manifest, by_path["..almost"], 0, 4) == b"dots"
    left = store.manifest(ADDRESS)
    assert left is not None
    assert left == manifest.without(gone)
    assert store.delete_tree(ADDRESS) == left.size_bytes
    assert store.delete_files(ADDRESS, gone) == 0
    assert addresses(store) == []


def test_a_view_of_a_tree_that_lost_files_is_refused(store: Store, plant: Plant, tmp_path: Path) -> None:
    manifest = store.commit_tree(plant(TREE), ADDRESS)
    store.delete_files(ADDRESS, ["frames/0001.jpg"])
    with pytest.raises(StoreError, match=r"is missing|does not exist"):
        NodeCache(tmp_path / "cache", limit_bytes=10**9).view(store, manifest, tmp_path / "views" / "input")
