"""What every store does, whatever it is made of."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from blake3 import blake3
from committed_trees import addresses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import StoreError
from winslow_dagster.storage import tree
from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import FileEntry, Location, Manifest, replaced
from winslow_dagster.storage.store import Store

Tree = dict[str, bytes]
Plant = Callable[[Tree], Path]
Harvest = Callable[[Store, str], Tree]

ADDRESS = "projects/ulm-07/detect/run.detect.1/output"
TREE: Tree = {
    "trajectories.csv": b"id,x,y\n1,2,3\n",
    "frames/0001.jpg": b"\xff\xd8" * 500,
    "frames/deep/er/0002.jpg": b"",
    "Straße & 50% #1 ~ [x] {y} 'z' \"q\" ?*.txt": b"names are names",
    "..almost": b"dots",
}
LARGE_BYTES = 80 * 1024 * 1024 + 12_345


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


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/", exclude_categories=("Cs", "Cc")), min_size=1, max_size=30
).filter(lambda name: name not in {".", ".."})


@settings(
    max_examples=25,
    deadline=None,
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
        (link_out, r"secret: the symbolic link points out of the directory, to /etc/hostname\. Write the file itself"),
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
