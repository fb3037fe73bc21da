"""A directory as one stream of bytes that can be read from any place, so that sending it may be interrupted anywhere.

The stream is a tar archive of regular files (POSIX pax), the same for the same files: in the order of their paths,
without owners and times. Browsers make the same one (`uploads/folder.js`).
"""

from __future__ import annotations

import os
import tarfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from winslow_dagster.errors import InputRejected
from winslow_dagster.storage.directories import make_parents
from winslow_dagster.storage.disk import disk_errors
from winslow_dagster.storage.tree import UNUSABLE, survey

BLOCK_BYTES = 512
LARGEST_IN_HEADER = 8 << 30
LONGEST_NAME_BYTES = 255
PIECE_BYTES = 1 << 20
MOST_FILES = 1_000_000


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes, or a file whose content stands here. `size_bytes` is the length in the stream."""

    size_bytes: int
    content: bytes = b""
    file: Path | None = None


class FolderStream:
    """The stream of a directory as it is now. Raises StoreError for what cannot be kept, such as a socket."""

    def __init__(self, directory: Path) -> None:
        found = sorted(survey(directory), key=lambda file: file.path.encode())
        if not found:
            raise InputRejected("the directory has no files", where=str(directory))
        self._pieces: list[_Piece] = []
        for number, file in enumerate(found):
            size_bytes = file.status.st_size
            self._pieces += [
                _bytes(head(number, file.path, size_bytes)),
                _Piece(size_bytes, file=file.real),
                _bytes(bytes(-size_bytes % BLOCK_BYTES)),
            ]
        self._pieces.append(_bytes(bytes(2 * BLOCK_BYTES)))
        self._ends = list(accumulate(piece.size_bytes for piece in self._pieces))
        self.size_bytes = self._ends[-1]

    def read(self, begin: int, length: int) -> Iterator[bytes]:
        """The bytes from here on. Raises InputRejected if a file has become shorter meanwhile, OSError."""
        at = bisect_right(self._ends, begin)
        while length > 0 and at < len(self._pieces):
            piece = self._pieces[at]
            inside = begin - (self._ends[at] - piece.size_bytes)
            left = min(length, piece.size_bytes - inside)
            begin, length, at = begin + left, length - left, at + 1
            if piece.file is None:
                if left:
                    yield piece.content[inside : inside + left]
                continue
            with piece.file.open("rb", buffering=0) as file:
                file.seek(inside)
                while left > 0:
                    part = file.read(min(PIECE_BYTES, left))
                    if not part:
                        raise InputRejected("the file has become shorter meanwhile", where=str(piece.file))
                    left -= len(part)
                    yield part


def head(number: int, path: str, size_bytes: int) -> bytes:
    """What stands in front of a file: its path and size in a record of any length, then a block that repeats these."""
    body = _record("path", path) + _record("size", str(size_bytes))
    shown = size_bytes if size_bytes < LARGEST_IN_HEADER else 0
    padded = body + bytes(-len(body) % BLOCK_BYTES)
    return _block("pax", len(body), b"x") + padded + _block(f"{number:08}", shown, b"0")


def unpack(archive: Path, target: Path) -> None:
    """Write the files of a stream to the new directory `target`.

    Raises InputRejected for anything but plain files below it, StoreError.
    """
    with disk_errors(str(target), disk=target.parent), archive.open("rb") as file:
        target.mkdir()
        try:
            with tarfile.open(fileobj=file, mode="r:") as opened:
                for count, member in enumerate(opened):
                    if count >= MOST_FILES:
                        raise _refused(f"it has more than {MOST_FILES:,} files")
                    _unpack_one(opened, member, target)
                    opened.members = []  # type: ignore[attr-defined]  # or all of them stay in memory
        except (tarfile.TarError, UnicodeError) as error:
            raise _refused(f"it is no stream of a directory: {error}") from error


def _unpack_one(opened: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or member.issparse():
        raise _refused(f"{member.name!r} is no plain file")
    names = member.name.split("/")
    if any(each in {"", ".", ".."} for each in names) or UNUSABLE.search(member.name):
        raise _refused(f"{member.name!r} is no path below a directory")
    if any(len(os.fsencode(each)) > LONGEST_NAME_BYTES for each in names):
        raise _refused(f"a name in {member.name[:80]!r} is longer than {LONGEST_NAME_BYTES} bytes")
    content = opened.extractfile(member)
    left = member.size
    try:
        make_parents(target, [member.name])
        with (target / member.name).open("xb") as written:
            while content is not None and left > 0 and (part := content.read(min(PIECE_BYTES, left))):
                left -= written.write(part)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _refused(f"{member.name!r} is in it twice") from error
    if left:
        raise _refused("it ends too early")


def _refused(what: str) -> InputRejected:
    return InputRejected(what, expected="plain files, as browsers and `winslow upload` send a directory")


def _bytes(content: bytes) -> _Piece:
    return _Piece(len(content), content)


def _record(key: str, value: str) -> bytes:
    """`LENGTH KEY=VALUE`, where the length counts itself."""
    rest = f" {key}={value}\n".encode()
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) + len(rest) != length:
        length += 1
    return f"{length}".encode() + rest


def _block(name: str, size_bytes: int, kind: bytes) -> bytes:
    fields = [
        name.encode().ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,
        f"{size_bytes:011o}\0".encode() + b"00000000000\0",
        b" " * 8,
        kind + bytes(100) + b"ustar\x0000",
    ]
    block = b"".join(fields).ljust(BLOCK_BYTES, b"\0")
    return block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]
