"""A directory as one stream: whole, from any place, and refused where it would leave its place."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest

from winslow_dagster.errors import InputRejected
from winslow_dagster.storage.folder_stream import LARGEST_IN_HEADER, FolderStream, head, unpack

FILES = {
    "index.csv": b"a,b\n",
    "empty": b"",
    "Kreuzung Süd/交差点/film.bin": random.randbytes(300_000),
    "deep/" * 60 + "file": b"deep",
    "x" * 255: b"long",
    "block": bytes(512),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        (tmp_path / "sent" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sent" / path).write_bytes(content)
    return tmp_path / "sent"


def all_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_a_directory_is_the_same_after_its_way(directory: Path, tmp_path: Path) -> None:
    stream = FolderStream(directory)
    content = b"".join(stream.read(0, stream.size_bytes))
    assert len(content) == stream.size_bytes
    (tmp_path / "stream").write_bytes(content)
    unpack(tmp_path / "stream", tmp_path / "arrived")
    assert all_of(tmp_path / "arrived") == FILES
    # Other programs can read it, too.
    with tarfile.open(tmp_path / "stream") as opened:
        assert set(opened.getnames()) == set(FILES)


def test_the_stream_goes_on_from_any_place(directory: Path) -> None:
    stream = FolderStream(directory)
    whole = b"".join(stream.read(0, stream.size_bytes))
    places = [0, 1, 511, 512, 513, len(whole) - 1, *(random.randrange(len(whole)) for _ in range(50))]
    for begin in places:
        length = random.randrange(1, len(whole) - begin + 1)
        assert b"".join(stream.read(begin, length)) == whole[begin : begin + length]


def test_a_file_that_is_too_large_for_the_old_header_has_its_size_beside_it() -> None:
    header = head(0, "film.mp4", LARGEST_IN_HEADER + 5)
    with tarfile.open(fileobj=io.BytesIO(header), mode="r:") as opened:
        (member,) = [opened.firstmember]
    assert member is not None
    assert (member.name, member.size) == ("film.mp4", LARGEST_IN_HEADER + 5)


def archive(path: Path, *members: tuple[str, bytes, bytes]) -> Path:
    with tarfile.open(path, "w") as written:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "/etc/passwd"
            written.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("../escaped", tarfile.REGTYPE, "no path below a directory"),
        ("a/../../escaped", tarfile.REGTYPE, "no path below a directory"),
        ("/tmp/escaped", tarfile.REGTYPE, "no path below a directory"),
        ("a//b", tarfile.REGTYPE, "no path below a directory"),
        ("a\nb", tarfile.REGTYPE, "no path below a directory"),
        ("link", tarfile.SYMTYPE, "no plain file"),
        ("hard", tarfile.LNKTYPE, "no plain file"),
        ("pipe", tarfile.FIFOTYPE, "no plain file"),
        ("device", tarfile.CHRTYPE, "no plain file"),
        ("n" * 256, tarfile.REGTYPE, "is longer than 255 bytes"),
    ],
)
def test_what_would_leave_its_place_is_refused(tmp_path: Path, name: str, kind: bytes, reason: str) -> None:
    with pytest.raises(InputRejected, match=reason):
        unpack(archive(tmp_path / "bad.tar", (name, kind, b"")), tmp_path / "target")
    assert all_of(tmp_path / "target") == {}


def test_a_path_that_comes_twice_and_a_stream_that_ends_early_are_refused(tmp_path: Path) -> None:
    twice = archive(tmp_path / "twice.tar", ("a", tarfile.REGTYPE, b"1"), ("a", tarfile.REGTYPE, b"2"))
    below = archive(tmp_path / "below.tar", ("a", tarfile.REGTYPE, b"1"), ("a/b", tarfile.REGTYPE, b"2"))
    for number, each in enumerate((twice, below)):
        with pytest.raises(InputRejected, match="is in it twice"):
            unpack(each, tmp_path / f"target-{number}")
    (tmp_path / "short.tar").write_bytes(head(0, "a", 10_000) + b"x" * 512)
    with pytest.raises(InputRejected, match=r"ends too early|no stream of a directory"):
        unpack(tmp_path / "short.tar", tmp_path / "short")
    (tmp_path / "none").write_bytes(b"no archive" * 100)
    with pytest.raises(InputRejected, match="no stream of a directory"):
        unpack(tmp_path / "none", tmp_path / "nothing")
    with pytest.raises(InputRejected, match="has no files"):
        FolderStream(tmp_path / "nothing")
