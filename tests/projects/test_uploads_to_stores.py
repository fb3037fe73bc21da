"""Files and folders sent to the pool, whatever keeps it: a directory or a bucket."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import DiskFull
from winslow_dagster.projects.domain.upload import Upload
from winslow_dagster.projects.inputs.resource_pool import PooledFile
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings
from winslow_dagster.storage.folder_stream import FolderStream

PART_BYTES = 3_000_000


@pytest.fixture(params=["directory", pytest.param("bucket", marks=pytest.mark.s3)])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    place = {"WINSLOW_HOME": str(tmp_path / "home")}
    if request.param == "bucket":
        place["WINSLOW_STORE_URL"] = request.getfixturevalue("s3_bucket_url")
        place["WINSLOW_S3_ENDPOINT"] = request.getfixturevalue("s3_endpoint")
    settings = Settings.read(place)
    settings.home.mkdir()
    with Installation(settings, Services(settings), engine=InMemoryEngine()) as opened:
        yield opened


def received(installation: Installation, upload: Upload, content: bytes) -> None:
    for begin in range(0, len(content), PART_BYTES):
        with installation.uploads.receive(upload.id, begin) as receiver:
            receiver.append(content[begin : begin + PART_BYTES])


def contents(installation: Installation, file: PooledFile) -> dict[str, bytes]:
    store = installation.context.store
    return {each.path: store.read_range(file.manifest, each, 0, each.size_bytes) for each in file.manifest.files}


def test_a_file_arrives_whole_and_leaves_nothing_behind(installation: Installation) -> None:
    content = os.urandom(20_000_000)
    upload = installation.uploads.begin("Kreuzung Süd.bin", len(content))
    received(installation, upload, content)
    stored = installation.uploads.store(upload.id)
    assert (stored.state, stored.name) == ("stored", "Kreuzung-Sud.bin")
    assert contents(installation, installation.pool.files.file(stored.name)) == {"Kreuzung Süd.bin": content}
    assert list((installation.settings.home / "uploads").iterdir()) == []


def test_a_folder_becomes_one_directory_also_if_storing_it_was_interrupted(
    installation: Installation, tmp_path: Path
) -> None:
    folder = tmp_path / "survey"
    (folder / "deep" / "交差点").mkdir(parents=True)
    files = {"index.csv": b"a\n", "deep/交差点/film.bin": os.urandom(5_000_000), "empty": b""}
    for path, content in files.items():
        (folder / path).write_bytes(content)
    stream = FolderStream(folder)
    upload = installation.uploads.begin("survey", stream.size_bytes, kind="directory")
    received(installation, upload, b"".join(stream.read(0, stream.size_bytes)))
    # A killed process had begun to unpack it.
    half = installation.settings.home / "uploads" / upload.id / "unpacked"
    half.mkdir()
    (half / "index.csv").write_bytes(b"a")
    (half / "left-over").write_bytes(b"b")
    assert installation.uploads.store(upload.id).state == "stored"
    stored = installation.pool.files.file("survey")
    assert contents(installation, stored) == files
    assert (stored.file_name, stored.original_path) == ("survey", "survey")
    assert list((installation.settings.home / "uploads").iterdir()) == []


def test_a_stream_that_is_no_folder_ends_as_failed_with_the_reason(installation: Installation) -> None:
    content = b"no folder at all" * 100
    upload = installation.uploads.begin("survey", len(content), kind="directory")
    received(installation, upload, content)
    ended = installation.uploads.store(upload.id)
    assert (ended.state, "no stream of a directory" in ended.message) == ("failed", True)
    assert list((installation.settings.home / "uploads").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_store_that_is_full_is_told_and_the_others_do_not_wait_for_it(tmp_path: Path) -> None:
    mounted = ["mount", "-t", "tmpfs", "none", str(tmp_path / "store"), "-o"]
    (tmp_path / "store").mkdir()
    subprocess.run([*mounted, "size=2m"], check=True)
    settings = Settings.read(
        {"WINSLOW_HOME": str(tmp_path / "home"), "WINSLOW_STORE_URL": (tmp_path / "store").as_uri()}
    )
    settings.home.mkdir()
    content = os.urandom(4_000_000)
    try:
        with Installation(settings, Services(settings), engine=InMemoryEngine()) as installation:
            large = installation.uploads.begin("large.bin", len(content))
            received(installation, large, content)
            small = installation.uploads.begin("small.bin", 3)
            received(installation, small, b"abc")
            with pytest.raises(DiskFull):
                installation.uploads.store(large.id)
            installation.uploads.tidy()
            waiting = installation.uploads.upload(large.id)
            assert (waiting.state, installation.uploads.upload(small.id).state) == ("receiving", "stored")
            assert waiting.message.startswith("It cannot be put into the pool yet, and is tried again: ")
            assert "the disk is full" in waiting.message
            subprocess.run([*mounted, "remount,size=20m"], check=True)
            installation.uploads.tidy()
            stored = installation.uploads.upload(large.id)
            assert (stored.state, stored.message) == ("stored", "")
            assert contents(installation, installation.pool.files.file("large.bin")) == {"large.bin": content}
    finally:
        subprocess.run(["umount", str(tmp_path / "store")], check=True)
