"""What every store does, whatever it is made of."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from blake3 import blake3
from committed_trees import ADDRESS, TREE, Harvest, Plant, Tree, addresses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.store import Store

LARGE_BYTES = 80 * 1024 * 1024 + 12_345
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/", exclude_categories=("Cs", "Cc")), min_size=1, max_size=30
).filter(lambda name: name not in {".", ".."})


def test_what_is_committed_comes_back_byte_for_byte(store: Store, plant: Plant, harvest: Harvest) -> None:
    manifest = store.commit_tree(plant(TREE), ADDRESS)
    assert manifest.address == ADDRESS
    assert [file.path for file in manifest.files] == sorted(TREE)
    assert {file.path: file.size_bytes for file in manifest.files} == {path: len(TREE[path]) for path in TREE}
    assert {file.path: file.blake3 for file in manifest.files} == {p: blake3(c).hexdigest() for p, c in TREE.items()}
    assert store.manifest(ADDRESS) == manifest
    assert harvest(store, ADDRESS) == TREE


def test_a_large_file_moves_in_parts_and_every_byte_is_told(store: Store, plant: Plant, tmp_path: Path) -> None:
    content = os.urandom(LARGE_BYTES)
    sent: list[int] = []
    fetched: list[int] = []
    manifest = store.commit_tree(plant({"video.mp4": content}), ADDRESS, sent.append)
    store.fetch_file(manifest, manifest.files[0], tmp_path / "back.mp4", fetched.append)
    assert (tmp_path / "back.mp4").read_bytes() == content
    assert sum(sent) == sum(fetched) == LARGE_BYTES
    assert len(sent) > 3
    assert len(fetched) > 3
    assert store.read_range(manifest, manifest.files[0], 70_000_000, 1000) == content[70_000_000:70_001_000]


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=200), max_size=5))
def test_any_tree_of_files_survives_the_round_trip(store: Store, plant: Plant, harvest: Harvest, tree: Tree) -> None:
    paths = set(tree)
    tree = {path: content for path, content in tree.items() if not any(p.startswith(path + "/") for p in paths)}
    store.delete_tree("any")
    assert [file.path for file in store.commit_tree(plant(tree), "any").files] == sorted(tree)
    assert harvest(store, "any") == tree


def test_where_nothing_was_committed_there_is_no_manifest(store: Store) -> None:
    assert store.manifest(ADDRESS) is None
    assert addresses(store) == []
    assert store.delete_tree(ADDRESS) == 0


def test_committing_the_same_again_gives_the_same_manifest(store: Store, plant: Plant) -> None:
    first = store.commit_tree(plant(TREE), ADDRESS)
    assert store.commit_tree(plant(TREE), ADDRESS) == first
    told: list[int] = []
    assert store.commit_tree(plant(TREE), ADDRESS, told.append) == first
    assert sum(told) == first.size_bytes


def test_committing_other_content_is_an_error_and_changes_nothing(store: Store, plant: Plant, harvest: Harvest) -> None:
    store.commit_tree(plant(TREE), ADDRESS)
    with pytest.raises(StoreError, match=r"different content is already committed here; 1 files differ.*trajectories"):
        store.commit_tree(plant(TREE | {"trajectories.csv": b"other"}), ADDRESS)
    with pytest.raises(StoreError, match="different content is already committed here"):
        store.commit_tree(plant({"one more": b"", **TREE}), ADDRESS)
    assert harvest(store, ADDRESS) == TREE


def test_a_source_that_was_taken_before_counts_as_committed(store: Store, plant: Plant, tmp_path: Path) -> None:
    manifest = store.commit_tree(plant(TREE), ADDRESS)
    assert store.commit_tree(tmp_path / "taken", ADDRESS) == manifest
    assert store.commit_tree(plant({}), ADDRESS) == manifest


def test_only_a_file_with_a_usable_name_can_be_put(store: Store, plant: Plant) -> None:
    source = plant({"a": b"", "two\nlines": b""})
    os.mkfifo(source / "pipe")
    with pytest.raises(StoreError, match="this is a directory; expected a file"):
        store.put_file(source, ADDRESS)
    with pytest.raises(StoreError, match="this is a pipe; expected a file"):
        store.put_file(source / "pipe", ADDRESS)
    with pytest.raises(StoreError, match="contains a control character"):
        store.put_file(source / "two\nlines", ADDRESS)


def test_a_source_that_never_was_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        store.commit_tree(tmp_path / "never", ADDRESS)
    with pytest.raises(StoreError, match="No such file or directory"):
        store.put_file(tmp_path / "never.mp4", ADDRESS)
    assert store.manifest(ADDRESS) is None


def test_no_files_are_a_tree_too_and_empty_directories_do_not_survive(store: Store, plant: Plant) -> None:
    source = plant({})
    (source / "empty").mkdir()
    manifest = store.commit_tree(source, ADDRESS)
    assert manifest == Manifest(address=ADDRESS)
    assert store.manifest(ADDRESS) == manifest
    assert addresses(store) == [ADDRESS]


def test_a_file_that_is_put_becomes_a_tree_of_one_and_stays_where_it_was(
    store: Store, plant: Plant, harvest: Harvest
) -> None:
    content = os.urandom(20_000_000)
    video = plant({"crossing.mp4": content}) / "crossing.mp4"
    told: list[int] = []
    manifest = store.put_file(video, "projects/ulm-07/inputs/video", told.append)
    assert manifest.files == (
        FileEntry(path="crossing.mp4", size_bytes=len(content), blake3=blake3(content).hexdigest()),
    )
    assert sum(told) == len(content)
    assert video.read_bytes() == content
    assert store.put_file(video, manifest.address) == manifest
    assert harvest(store, manifest.address) == {"crossing.mp4": content}
    video.write_bytes(b"another")
    with pytest.raises(StoreError, match="different content"):
        store.put_file(video, manifest.address)


@pytest.mark.parametrize(("start", "length"), [(0, 4), (3, 1), (8, 100), (12, 5), (13, 5), (500, 5), (0, 0)])
def test_ranges_end_where_the_file_ends(store: Store, plant: Plant, start: int, length: int) -> None:
    content = b"id,x,y\n1,2,3\n"
    manifest = store.commit_tree(plant({"t.csv": content}), ADDRESS)
    assert store.read_range(manifest, manifest.files[0], start, length) == content[start : start + length]


def test_a_deleted_tree_is_gone_and_its_address_free_again(store: Store, plant: Plant, harvest: Harvest) -> None:
    manifest = store.commit_tree(plant(TREE), ADDRESS)
    store.commit_tree(plant({"x": b"1"}), ADDRESS + "/below")
    assert store.delete_tree(ADDRESS) == manifest.size_bytes
    assert store.manifest(ADDRESS) is None
    assert addresses(store) == [ADDRESS + "/below"]
    assert store.delete_tree(ADDRESS) == 0
    with pytest.raises(StoreError):
        store.read_range(manifest, manifest.files[-1], 0, 1)
    store.commit_tree(plant({"new": b"content"}), ADDRESS)
    assert harvest(store, ADDRESS) == {"new": b"content"}
    assert harvest(store, ADDRESS + "/below") == {"x": b"1"}


def test_a_tree_below_the_address_of_another_is_a_tree_of_its_own(store: Store, plant: Plant, harvest: Harvest) -> None:
    store.commit_tree(plant({"b/c": b"file of a"}), "a")
    store.commit_tree(plant({"c": b"file of a/b"}), "a/b")
    assert harvest(store, "a") == {"b/c": b"file of a"}
    assert harvest(store, "a/b") == {"c": b"file of a/b"}


def test_links_inside_the_tree_become_what_they_point_to(store: Store, plant: Plant, harvest: Harvest) -> None:
    source = plant({"runs/1/video.mp4": b"one", "runs/2/video.mp4": b"two"})
    (source / "latest").symlink_to("runs/2")
    (source / "best.mp4").symlink_to("latest/video.mp4")
    store.commit_tree(source, ADDRESS)
    assert harvest(store, ADDRESS) == {
        "runs/1/video.mp4": b"one",
        "runs/2/video.mp4": b"two",
        "latest/video.mp4": b"two",
        "best.mp4": b"two",
    }


def test_a_commit_that_goes_on_is_not_swept_away(store: Store, plant: Plant, harvest: Harvest) -> None:
    swept: list[int] = []

    def sweep(_count_bytes: int) -> None:
        swept.append(store.sweep(datetime.now(UTC) - timedelta(days=1)))

    source = plant({"video.mp4": os.urandom(20 << 20)})
    content = (source / "video.mp4").read_bytes()
    store.put_file(source / "video.mp4", ADDRESS, sweep)
    assert swept
    assert set(swept) == {0}
    assert harvest(store, ADDRESS) == {"video.mp4": content}
