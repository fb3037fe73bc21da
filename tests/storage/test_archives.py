"""Archives of stored folders: programs unpack them, and any range of one can be made."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from blake3 import blake3
from committed_trees import ADDRESS, Plant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.archives import FORMATS, Archive, ArchiveFormat, Group, PackedManifest
from winslow_dagster.storage.archives.tar import extended_head_bytes
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.range_reader import RangeReader
from winslow_dagster.storage.store import Store

FORMS: tuple[ArchiveFormat, ...] = ("tar", "zip")
AT = datetime(2026, 11, 30, 2, 11, 12, tzinfo=UTC)
LONG = "n" * 255
TREE = {
    "a.txt": b"a",
    "empty": b"",
    "deep/er/film.mp4": os.urandom(700_001),
    "block.bin": bytes(512),
    "größe/日本語.csv": b"id\n1\n",
    f"{LONG}/{LONG}": b"two long names",
    "<img src=x onerror=alert(1)>.txt": b"hostile",
    "quo\"te's & 100%; rm -rf.txt": b"hostile, too",
}


def archive_of(store: Store, manifest: Manifest, form: ArchiveFormat, folder: str = "ulm-07") -> Archive:
    return FORMATS[form](store, [Group(folder, AT, PackedManifest.parse(manifest.model_dump_json()))])


def whole(archive: Archive) -> bytes:
    content = b"".join(archive.pieces(0, archive.size_bytes))
    assert len(content) == archive.size_bytes
    return content


def unpacked(content: bytes, form: ArchiveFormat) -> dict[str, bytes]:
    if form == "zip":
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            assert opened.testzip() is None
            assert {each.date_time for each in opened.infolist()} <= {(2026, 11, 30, 2, 11, 12)}
            return {name: opened.read(name) for name in opened.namelist()}
    with tarfile.open(fileobj=io.BytesIO(content)) as opened_tar:
        members = opened_tar.getmembers()
        assert {each.mtime for each in members} <= {AT.timestamp()}
        assert all(each.isfile() and each.mode == 0o644 for each in members)
        return {each.name: cast("io.BufferedReader", opened_tar.extractfile(each)).read() for each in members}


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_has_every_file_under_its_name_and_any_range_of_it_is_the_same(
    store: Store, plant: Plant, form: ArchiveFormat
) -> None:
    manifest = store.commit_tree(plant(TREE), ADDRESS)
    archive = archive_of(store, manifest, form)
    content = whole(archive)
    assert unpacked(content, form) == {f"ulm-07/{path}": TREE[path] for path in TREE}
    # As after a restart: nothing is known of what was sent before.
    resumed = archive_of(store, manifest, form)
    assert (resumed.tag, resumed.size_bytes) == (archive.tag, archive.size_bytes)
    chosen = random.Random(7)
    for begin in [0, len(content) - 1, *chosen.sample(range(len(content)), 12)]:
        end = chosen.randint(begin + 1, len(content))
        assert b"".join(resumed.pieces(begin, end)) == content[begin:end], (begin, end)
    begin = len(content) // 2
    assert b"".join(archive_of(store, manifest, form).pieces(begin, len(content))) == content[begin:]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=300), min_size=1, max_size=6
    ),
    form=st.sampled_from(FORMS),
    data=st.data(),
)
def test_any_names_can_be_archived(
    local: LocalStore, plant: Plant, names: list[str], form: ArchiveFormat, data: st.DataObject
) -> None:
    # All of them stand for one file: what a file system cannot hold, another writer's manifest can name.
    stored = local.commit_tree(plant({"one": b"content"}), f"names/{blake3(repr(names).encode()).hexdigest()}")
    place = {"address": stored.address, "path": "one"}
    entries = [
        {"path": name, "size_bytes": 7, "blake3": stored.files[0].blake3, "stored_at": place} for name in {*names}
    ]
    packed = PackedManifest.parse(json.dumps({"address": "composed", "files": entries}))
    archive = FORMATS[form](local, [Group("out", AT, packed)])
    content = whole(archive)
    found = unpacked(content, form)
    assert len(found) == len(entries)
    assert set(found.values()) == {b"content"}
    for name in found:
        parts = name.split("/")
        assert parts[0] == "out"
        assert not {"", ".", ".."} & set(parts)
        assert "\\" not in name
        assert not any(ord(character) < 32 for character in name)
    begin = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(begin + 1, len(content)))
    assert b"".join(archive.pieces(begin, end)) == content[begin:end]


def test_a_name_with_a_nul_is_one_name(local: LocalStore, plant: Plant) -> None:
    stored = local.commit_tree(plant({"one": b"content"}), ADDRESS)
    place = {"address": ADDRESS, "path": "one"}
    entries = [
        {"path": path, "size_bytes": 7, "blake3": stored.files[0].blake3, "stored_at": place} for path in ("a\0b", "c")
    ]
    packed = PackedManifest.parse(json.dumps({"address": "composed", "files": entries}))
    assert [packed.name(0), packed.name(1)] == list(packed.names())
    assert unpacked(whole(FORMATS["tar"](local, [Group("out", AT, packed)])), "tar").keys() == {"out/a_b", "out/c"}


@pytest.mark.parametrize("form", FORMS)
def test_names_that_lead_out_of_the_folder_are_changed_and_never_become_one(
    local: LocalStore, plant: Plant, form: ArchiveFormat
) -> None:
    stored = local.commit_tree(plant({"one": b"content"}), ADDRESS)
    place = {"address": ADDRESS, "path": "one"}
    paths = ["../../etc/passwd", "a\\..\\b", "a_.._b", "/etc/shadow", "C:\\x", "b/./c", "line\nbreak"]
    entries = [{"path": path, "size_bytes": 7, "blake3": stored.files[0].blake3, "stored_at": place} for path in paths]
    archive = FORMATS[form](
        local, [Group("out", AT, PackedManifest.parse(json.dumps({"address": "composed", "files": entries})))]
    )
    assert list(unpacked(whole(archive), form)) == [
        "out/_/_/etc/passwd",
        "out/a_.._b-2",
        "out/a_.._b",
        "out/_/etc/shadow",
        "out/C:_x",
        "out/b/_/c",
        "out/line_break",
    ]


@pytest.mark.parametrize(("form", "unpack"), [("tar", ["tar", "-xf"]), ("zip", ["unzip", "-q"])])
def test_the_usual_programs_unpack_it(
    local: LocalStore, plant: Plant, tmp_path: Path, form: ArchiveFormat, unpack: list[str]
) -> None:
    archive = archive_of(local, local.commit_tree(plant(TREE), ADDRESS), form)
    file, target = tmp_path / f"x.{form}", tmp_path / "target"
    file.write_bytes(whole(archive))
    target.mkdir()
    subprocess.run([*unpack, str(file)], cwd=target, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    for path, content in TREE.items():
        assert (target / "ulm-07" / path).read_bytes() == content, path


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_gone_or_shorter_ends_the_archive_with_an_error(
    local: LocalStore, plant: Plant, form: ArchiveFormat
) -> None:
    manifest = local.commit_tree(plant({"a": b"a" * 300_000, "b": b"b" * 600_000, "c": b"c"}), ADDRESS)
    archive = archive_of(local, manifest, form)
    pieces = archive.pieces(0, archive.size_bytes)
    assert next(pieces).startswith(b"ulm-07/a" if form == "tar" else b"PK\3\4")
    stored = local.root / "trees" / f"{ADDRESS}.files" / "b"
    stored.chmod(0o600)
    os.truncate(stored, 400_000)
    with pytest.raises(StoreError, match="shorter than the 600000 bytes"):
        list(pieces)
    local.delete_files(ADDRESS, ["b"])
    with pytest.raises(StoreError, match="is missing"):
        list(archive.pieces(0, archive.size_bytes))


def test_removed_files_are_left_out(local: LocalStore, plant: Plant) -> None:
    manifest = local.commit_tree(plant({"kept": b"1", "removed": b"2"}), ADDRESS)
    packed = PackedManifest.parse(
        manifest.model_dump_json(), lambda address, path: (address, path) == (ADDRESS, "removed")
    )
    assert list(packed.names()) == ["kept"]
    assert packed.tag != PackedManifest.parse(manifest.model_dump_json()).tag


@pytest.mark.parametrize("form", FORMS)
def test_the_tag_changes_with_a_name_a_content_a_time_and_the_kind(
    local: LocalStore, plant: Plant, form: ArchiveFormat
) -> None:
    def packed(number: int, **tree: bytes) -> PackedManifest:
        return PackedManifest.parse(local.commit_tree(plant(tree), f"tags/{number}").model_dump_json())

    kind = FORMATS[form]
    first = packed(1, a=b"one", b=b"two")
    tags = {
        kind(local, [Group("out", AT, first)]).tag,
        kind(local, [Group("other", AT, first)]).tag,
        kind(local, [Group("out", AT.replace(hour=5), first)]).tag,
        kind(local, [Group("out", AT, packed(2, a=b"one", c=b"two"))]).tag,
        kind(local, [Group("out", AT, packed(3, a=b"one", b=b"owt"))]).tag,
        FORMATS["zip" if form == "tar" else "tar"](local, [Group("out", AT, first)]).tag,
    }
    assert len(tags) == 6
    assert kind(local, [Group("out", AT, packed(4, a=b"one", b=b"two"))]).tag in tags


@settings(max_examples=300)
@given(
    name=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=1100),
    size_bytes=st.one_of(st.integers(0, 2**33), st.integers(8**11 - 2, 2**50)),
)
def test_the_length_of_an_extended_head_is_known_before_it_is_made(name: str, size_bytes: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    made = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    if len(made) > tarfile.BLOCKSIZE:
        assert extended_head_bytes(name, size_bytes) == len(made)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_an_archive_may_be_longer_than_four_gibibytes_and_a_zip_have_more_than_65535_files(
    local: LocalStore, tmp_path: Path, form: ArchiveFormat
) -> None:
    """The large file is sparse, and all small ones are the same stored file."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "small").write_bytes(b"small")
    with (source / "large").open("wb") as large:
        large.truncate(2**32 + 5)
        large.seek(2**32)
        large.write(b"large")
    manifest = local.commit_tree(source, ADDRESS)
    entries = json.loads(manifest.model_dump_json())["files"]
    small = next(each for each in entries if each["path"] == "small")
    place = {"address": ADDRESS, "path": "small"}
    many = 70_000 if form == "zip" else 10
    entries += [{**small, "path": f"many/{number:05}", "stored_at": place} for number in range(many)]
    packed = PackedManifest.parse(json.dumps({"address": ADDRESS, "files": entries}))
    archive = FORMATS[form](local, [Group("out", AT, packed)])
    content = io.BufferedReader(
        RangeReader(lambda begin, end: b"".join(archive.pieces(begin, end)), archive.size_bytes), 1 << 20
    )
    if form == "zip":
        with zipfile.ZipFile(content) as opened:
            assert len(opened.namelist()) == many + 2
            assert opened.read("out/many/69999") == opened.read("out/small") == b"small"
            assert opened.getinfo("out/large").file_size == 2**32 + 5
    else:
        with tarfile.open(fileobj=content) as opened_tar:
            members = {each.name: each for each in opened_tar}
            assert len(members) == many + 2
            last = cast("io.BufferedReader", opened_tar.extractfile(members["out/large"]))
            last.seek(2**32)
            assert last.read() == b"large"
