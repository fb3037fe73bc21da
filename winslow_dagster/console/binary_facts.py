"""What is known of a file that cannot be shown: its kind, and what its headers say. Nothing of it is run or unpickled.

Every reading is bounded: a file may claim anything.
"""

# ruff: noqa: PLR2004  # the numbers are those of the formats
from __future__ import annotations

import ast
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SHOWN_BYTES = 64
MAGIC = (
    (b"\x93NUMPY", "NumPy array"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"PK\x05\x06", "ZIP archive"),
    (b"\x80\x02", "Python pickle"),
    (b"\x80\x03", "Python pickle"),
    (b"\x80\x04", "Python pickle"),
    (b"\x80\x05", "Python pickle"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"SQLite format 3\0", "SQLite database"),
    (b"PAR1", "Parquet table"),
    (b"%PDF-", "PDF document"),
    (b"\x1f\x8b", "gzip file"),
    (b"\x28\xb5\x2f\xfd", "Zstandard file"),
    (b"\x7fELF", "ELF program"),
    (b"GGUF", "GGUF model"),
)
DIRECTORY_BYTES = 1 << 20
ENTRIES_MOST = 2000
LISTED = 40
HEADER_BYTES = 4096
FIELDS_MOST = 50_000
NAME_BYTES = 500
DAMAGE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(lzma.LZMAError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What the readers of the standard library raise for a damaged file."""
ARRAY = re.compile(rb"\{.*?\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Facts:
    """`kind` is empty if the first bytes tell nothing; `lines` are names with what is known of each."""

    kind: str
    lines: tuple[tuple[str, str], ...]
    hexadecimal: tuple[str, ...]


def facts_of(file: BinaryIO, suffix: str) -> Facts:
    """The facts of a file. Raises what the file raises."""
    file.seek(0)
    start = file.read(HEADER_BYTES)
    kind = next((name for magic, name in MAGIC if start.startswith(magic)), "")
    lines: list[tuple[str, str]] = []
    try:
        if kind == "NumPy array":
            lines = [("array", _array(start))]
        elif kind == "ZIP archive":
            lines = list(_entries(file))
            kind = {".npz": "NumPy arrays", ".pt": "PyTorch archive", ".pth": "PyTorch archive"}.get(suffix, kind)
        elif suffix == ".onnx" and not kind:
            lines = list(_onnx(file))
            kind = "ONNX model" if lines else ""
    except DAMAGE as error:
        lines = [("damaged", str(error)[:NAME_BYTES] or "its headers contradict each other")]
    shown = start[:SHOWN_BYTES]
    return Facts(
        kind, tuple(lines[: LISTED + 1]), tuple(shown[at : at + 16].hex(" ") for at in range(0, len(shown), 16))
    )


def _array(header: bytes) -> str:
    """`float32 (3, 4)`, from the header of an array."""
    found = ARRAY.search(header[:HEADER_BYTES])
    described = ast.literal_eval(found.group().decode("latin-1")) if found is not None else {}
    if not isinstance(described, dict):
        raise ValueError("its header is not a description of an array")  # noqa: TRY004  # of a file, not of a value
    return f"{described.get('descr', '?')} {described.get('shape', '?')}"[:NAME_BYTES]


def _entries(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """The first files of an archive, as far as its directory is small."""
    file.seek(0, io.SEEK_END)
    size_bytes = file.tell()
    file.seek(max(0, size_bytes - (66 << 10)))
    end = file.read()
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or len(end) < at + 22:
        raise ValueError("the archive has no directory")
    count, directory_bytes = (
        int.from_bytes(end[at + 10 : at + 12], "little"),
        int.from_bytes(end[at + 12 : at + 16], "little"),
    )
    if count > ENTRIES_MOST or directory_bytes > DIRECTORY_BYTES:
        yield "files", f"{count:,} or more"
        return
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        yield "files", f"{len(entries):,}"
        for entry in entries[:LISTED]:
            yield entry.filename[:NAME_BYTES], _entry(archive, entry)


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    if entry.filename.endswith(".npy") and not entry.flag_bits & 1:
        with archive.open(entry) as content:
            return _array(content.read(512))
    return f"{entry.file_size:,} bytes"


def _onnx(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Producer, inputs and outputs, from the fields of the file; weights are skipped."""
    file.seek(0, io.SEEK_END)
    end = file.tell()
    counts = [0, 0]
    named: list[tuple[str, str]] = []
    budget = [FIELDS_MOST]
    for number, begin, size in _fields(file, 0, end, budget):
        if number in {2, 3}:
            named.append(("producer" if number == 2 else "version", _text(file, begin, size)))
        elif number == 7:
            for inner, at, length in _fields(file, begin, begin + size, budget):
                counts[0] += inner == 1
                counts[1] += inner == 5
                if inner in {11, 12} and len(named) < LISTED:
                    named.append(("input" if inner == 11 else "output", _value(file, at, length, budget)))
            named.append(("operators", f"{counts[0]:,}"))
            named.append(("tensors of weights", f"{counts[1]:,}"))
    yield from named


def _value(file: BinaryIO, begin: int, size: int, budget: list[int]) -> str:
    """The name of an input or output, and its shape."""
    name, shape = "", ""
    for number, at, length in _fields(file, begin, begin + size, budget):
        if number == 1:
            name = _text(file, at, length)
        elif number == 2:
            shape = _shape(file, at, length, budget)
    return f"{name} {shape}".strip()


def _shape(file: BinaryIO, begin: int, size: int, budget: list[int]) -> str:
    sizes: list[str] = []
    for number, at, length in _fields(file, begin, begin + size, budget):
        if number != 1:
            continue
        for inner, shape_at, shape_length in _fields(file, at, at + length, budget):
            if inner != 2:
                continue
            for _, dimension_at, dimension_length in _fields(file, shape_at, shape_at + shape_length, budget):
                dimension = list(_fields(file, dimension_at, dimension_at + dimension_length, budget))
                sizes.append(_dimension(file, dimension))
    return f"({', '.join(sizes)})" if sizes else ""


def _dimension(file: BinaryIO, fields: list[tuple[int, int, int]]) -> str:
    for number, at, length in fields:
        if number == 1:
            return str(length)
        if number == 2:
            return _text(file, at, length)
    return "?"


def _text(file: BinaryIO, begin: int, size: int) -> str:
    file.seek(begin)
    return file.read(min(size, NAME_BYTES)).decode("utf-8", "replace")


def _fields(file: BinaryIO, begin: int, end: int, budget: list[int]) -> Iterator[tuple[int, int, int]]:
    """Number, begin and length of each field of a protocol buffer; of a number, its value in place of the length."""
    at = begin
    while at < end:
        budget[0] -= 1
        if budget[0] < 0:
            raise ValueError("it has too many fields")
        file.seek(at)
        head = file.read(20)
        key, used = _varint(head, 0)
        kind = key & 7
        if kind == 2:
            size, used = _varint(head, used)
            if at + used + size > end:
                raise ValueError("it ends within a field")
            yield key >> 3, at + used, size
            at += used + size
        elif kind == 0:
            value, used = _varint(head, used)
            yield key >> 3, at, value
            at += used
        elif kind in {1, 5}:
            at += used + (8 if kind == 1 else 4)
        else:
            raise ValueError("it is not a protocol buffer")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
    raise ValueError("it ends within a number")
