"""Files that are damaged, or made to harm: a word that says what is wrong, in bounded time and memory."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3
from numbered_films import write_film
from PIL import Image

from winslow_dagster.errors import FootageUnreadable
from winslow_dagster.footage import Footage, FootageReader, Source
from winslow_dagster.footage.process import Limits, decode

CASES = int(os.environ.get("WINSLOW_HOSTILE_FILES", "6"))
"""Of each kind of damage and file."""


def source_of(content: bytes, name: str, tmp_path: Path) -> Source:
    digest = blake3(content).hexdigest()
    path = tmp_path / digest
    path.write_bytes(content)
    return Source(name, digest, len(content), path)


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows or b"\0" * 1000)) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + b"\0\0\0\xff\xff\xff"
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x02\x02D\x01\0;"
    )


def tiff_of_itself() -> bytes:
    """A directory whose successor is itself."""
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHIII", 1, 256, 3, 1, 10, 8)


def endless_boxes() -> bytes:
    """A box in a box in a box."""
    content = b""
    for _ in range(4000):
        content = struct.pack(">I4s", len(content) + 8, b"moov") + content
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + content


def samples_without_end() -> bytes:
    """A list of frames that says it has two thousand million entries."""
    entry = struct.pack(">II", 0, 1) + struct.pack(">II", 0x7FFFFFFF, 1)
    stts = struct.pack(">I4s", 8 + len(entry), b"stts") + entry
    stsz = struct.pack(">I4sIII", 20, b"stsz", 0, 1, 0x7FFFFFFF)
    inside = stts + stsz
    for name in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        inside = struct.pack(">I4s", 8 + len(inside), name) + inside
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + inside


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
SDP = (
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9999 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "an empty file": (lambda: b"", "cannot be decoded"),
    "a text": (lambda: b"hello\n" * 100, "cannot be decoded"),
    "zeros": (lambda: b"\0" * 100_000, "cannot be decoded"),
    "a playlist": (lambda: PLAYLIST, "cannot be decoded"),
    "a list of files": (lambda: CONCAT, "cannot be decoded"),
    "a stream of the network": (lambda: SDP, "cannot be decoded"),
    "a PNG of 60000 x 60000": (lambda: png(60_000, 60_000), "too many pixels|60000 x 60000"),
    "a PNG of 2147483647 x 1": (lambda: png(2**31 - 1, 1), "too many pixels|2147483647 x 1|damaged"),
    "a PNG of no size": (lambda: png(0, 0), "damaged|0 x 0|no picture"),
    "a BMP of 60000 x 60000": (lambda: bmp(60_000, 60_000), "too many pixels|60000 x 60000"),
    "a GIF of 65535 x 65535": (lambda: gif(65_535, 65_535), "too many pixels|65535 x 65535"),
    "a TIFF of itself": (tiff_of_itself, "damaged|no picture"),
    "boxes in boxes": (endless_boxes, "cannot be decoded|no video|damaged|crashed"),
    "frames without end": (samples_without_end, "cannot be decoded|no video|damaged|memory"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_decoded_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    reader, source = FootageReader(tmp_path / "cache"), source_of(make(), "film.mp4", tmp_path)
    with pytest.raises(FootageUnreadable, match=reason) as refused:
        reader.footage(source)
    assert refused.value.where == "film.mp4"
    assert "root:" not in str(refused.value)
    with pytest.raises(FootageUnreadable, match=reason):
        reader.picture(source, 100)


def test_a_picture_that_was_cut_off_is_refused_when_it_is_decoded(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.effect_noise((400, 300), 90).save(content, "PNG")
    source = source_of(content.getvalue()[:40_000], "short.png", tmp_path)
    reader = FootageReader(tmp_path / "cache")
    assert reader.footage(source).height == 300
    with pytest.raises(FootageUnreadable, match=r"short\.png: it is damaged: image file is truncated"):
        reader.picture(source)


def test_a_decoder_that_needs_too_long_or_too_much_is_ended(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", 400, scale=4, options={"preset": "ultrafast"})
    source = source_of(film.read_bytes(), "film.mp4", tmp_path)
    with pytest.raises(FootageUnreadable, match="it would take more than"):
        decode(source, "read", Limits(wall_s=0.02, cpu_s=60))
    with pytest.raises(FootageUnreadable, match=r"memory|crashed|damaged"):
        decode(source, "read", Limits(wall_s=60, cpu_s=60, memory_bytes=150 << 20))
    target = tmp_path / "copy.mp4"
    with target.open("wb") as opened, pytest.raises(FootageUnreadable, match=r"disk space|damaged"):
        decode(source, "proxy", Limits(wall_s=60, cpu_s=60, written_bytes=20_000), target=opened)
    assert target.stat().st_size <= 20_000


def test_a_decoder_can_open_no_file_and_no_connection() -> None:
    import subprocess
    import sys

    program = """
import os, socket
from winslow_dagster.footage.decoding.confinement import confine, forbid_files
confine(os.getppid(), 1 << 31, 10)
forbid_files(0)
for act in (lambda: open("/etc/passwd"), lambda: open("/tmp/winslow-written", "w"), lambda: os.listdir("/")):
    try:
        act()
        print("allowed")
    except OSError as error:
        print(type(error).__name__)
try:
    socket.create_connection(("127.0.0.1", 22), timeout=1)
    print("allowed")
except OSError:
    print("no connection")
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[:4] == ["PermissionError"] * 3 + ["no connection"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One small file of each kind."""
    folder = tmp_path_factory.mktemp("originals")
    found = {}
    for name, codec in {
        "a.mp4": "libx264",
        "b.mkv": "libx264",
        "c.avi": "mpeg4",
        "d.ts": "libx264",
        "e.webm": "libvpx-vp9",
    }.items():
        options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else {}
        found[name] = write_film(folder / name, 30, codec=codec, options=options, gop=10).read_bytes()
    picture = Image.effect_noise((160, 120), 60).convert("RGB")
    for name, kind in {"f.png": "PNG", "g.jpg": "JPEG", "h.webp": "WEBP", "i.gif": "GIF", "j.bmp": "BMP"}.items():
        content = io.BytesIO()
        picture.save(content, kind)
        found[name] = content.getvalue()
    for name, kind in {"k.tiff": "TIFF", "l.avif": "AVIF"}.items():
        content = io.BytesIO()
        picture.save(content, kind)
        found[name] = content.getvalue()
    return found


def damaged(content: bytes, name: str) -> Iterator[bytes]:
    """Cut off, with other bits, and with parts that stand elsewhere; the same ones each time."""
    chance = random.Random(name)
    for _ in range(CASES):
        yield content[: chance.randrange(1, len(content))]
        flipped = bytearray(content)
        for _ in range(chance.choice((1, 5, 50, 500))):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        yield bytes(flipped)
        begin, end = sorted(chance.randrange(len(content)) for _ in range(2))
        yield content[:begin] + content[end:] + content[begin:end]
        head = bytearray(content)
        for _ in range(8):
            head[chance.randrange(min(512, len(head)))] = chance.choice((0, 255))
        yield bytes(head)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mp4", "b.mkv", "c.avi", "d.ts", "e.webm"])
def test_damaged_films_are_shown_as_far_as_they_go_or_refused(
    tmp_path: Path, originals: dict[str, bytes], name: str
) -> None:
    look_at_damaged(tmp_path, originals, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["f.png", "g.jpg", "h.webp", "i.gif", "j.bmp", "k.tiff", "l.avif"])
def test_damaged_pictures_are_shown_as_far_as_they_go_or_refused(
    tmp_path: Path, originals: dict[str, bytes], name: str
) -> None:
    look_at_damaged(tmp_path, originals, name)


def look_at_damaged(tmp_path: Path, originals: dict[str, bytes], name: str) -> None:
    reader = FootageReader(tmp_path / "cache")

    def look(content: bytes) -> str:
        # The name of another kind: the content decides.
        source = source_of(content, f"film.{name[0]}", tmp_path)
        try:
            facts = reader.footage(source)
            assert isinstance(facts, Footage)
            picture = reader.picture(source, 64)
            assert Image.open(io.BytesIO(picture.content)).size == (picture.width, picture.height)
        except FootageUnreadable:
            return "refused"
        return "shown"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(look, damaged(originals[name], name)))
    assert "refused" in outcomes
