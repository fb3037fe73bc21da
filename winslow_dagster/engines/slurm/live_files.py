"""Files that a stage on a node is writing: their names and sizes, and the beginnings of those that somebody looks at.

They lie in the task's mirror until the stage has ended. An agent dials out only: it learns from the answer to a report
which files are looked at, and its next report brings what is new of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from winslow_dagster.engines.slurm.messages import LivePiece, Wanted, Written
from winslow_dagster.errors import NotFound
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_quickly
from winslow_dagster.stages.task.growing_output import GrowingFile, growing_files, open_growing
from winslow_dagster.storage.directories import remove_directory

MOST_NAMED = 200
"""Of very many files, the largest are named."""
MOST_BYTES = 32 << 20
"""Of one file."""
MOST_WANTED = 8
"""Files of a stage at a time: those that were looked at last."""
LOOKED_AT_S = 10.0
"""How long after a look at a file its agent goes on sending it."""
KEPT_S = 60.0
TAIL_BYTES = 64
NAMES = "written.json"
LOOK, COPY = ".look", ".copy"


class LiveFiles:
    """The control plane's copies, for one task. Any process may read them; only the desk writes them."""

    def __init__(self, directory: TaskDirectory) -> None:
        self._place = directory.path / "live"

    def names(self) -> tuple[GrowingFile, ...]:
        """All files, as large as they were when the agent last looked."""
        found = read_value(self._place / NAMES, Written)
        return () if found is None else found.files

    def read(self, path: str, most_bytes: int) -> bytes:
        """What is here of the beginning of a file, at first nothing; more of it will come. Raises NotFound."""
        if all(file.path != path for file in self.names()):
            raise NotFound(f"there is no file {path!r} in the output directory")
        look = self._place / f"{_key(path)}{LOOK}"
        if look.exists():
            os.utime(look)
        else:
            write_quickly(look, path)
        with suppress(FileNotFoundError), look.with_suffix(COPY).open("rb") as file:
            return file.read(most_bytes)
        return b""

    def take(self, written: Written | None, pieces: Sequence[LivePiece]) -> None:
        """Write what an agent has sent. A piece that nobody wants, or that does not fit, changes nothing."""
        if written is not None:
            self._place.mkdir(exist_ok=True)
            write_quickly(self._place / NAMES, written.model_dump_json())
        for piece in pieces:
            copy = self._place / f"{_key(piece.path)}{COPY}"
            size = _size(copy)
            if copy.with_suffix(LOOK).exists() and piece.offset in {0, size} and piece.end <= MOST_BYTES:
                with copy.open("ab" if piece.offset else "wb") as file:
                    file.write(piece.data)

    def wanted(self) -> tuple[Wanted, ...]:
        """What somebody looks at now, and how much of it is here. Removes what nobody has looked at for long."""
        looks = []
        for look in self._place.glob(f"*{LOOK}"):
            age_s = time.time() - look.stat().st_mtime
            if age_s > KEPT_S:
                look.unlink(missing_ok=True)
                look.with_suffix(COPY).unlink(missing_ok=True)
            elif age_s <= LOOKED_AT_S:
                looks.append((age_s, look))
        return tuple(_wanted(look) for _, look in sorted(looks)[:MOST_WANTED])

    def remove(self) -> None:
        """Remove all copies: the stage has ended, or begins anew."""
        if self._place.exists():
            remove_directory(self._place)


def written_in(output: Path) -> Written:
    """The files in a node's output directory."""
    largest = sorted(growing_files(output), key=lambda file: -file.size_bytes)[:MOST_NAMED]
    return Written(files=tuple(sorted(largest, key=lambda file: file.path)))


def pieces_of(output: Path, wanted: Sequence[Wanted], room: int) -> Iterator[LivePiece]:
    """What is new of wanted files, `room` bytes at most. A file that was replaced comes again from its beginning."""
    for each in wanted:
        with suppress(NotFound), open(open_growing(output, each.path), "rb") as file:  # noqa: PTH123  # of a descriptor
            file.seek(max(0, each.offset - TAIL_BYTES))
            offset = each.offset if file.read(len(each.tail)) == each.tail else 0
            file.seek(offset)
            data = file.read(max(0, min(room, MOST_BYTES - offset)))
            room -= len(data)
            if data or offset != each.offset:
                # `data` is not encoded yet.
                yield LivePiece.model_construct(path=each.path, offset=offset, data=data)


def _wanted(look: Path) -> Wanted:
    path, copy = look.read_text("utf-8"), look.with_suffix(COPY)
    size = _size(copy)
    tail = b""
    if size:
        with copy.open("rb") as file:
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read(size - file.tell())
    return Wanted.model_construct(path=path, offset=size, tail=tail)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _key(path: str) -> str:
    """A name for the copy: the stage's own may be anything."""
    return blake3(path.encode("utf-8", "surrogateescape")).hexdigest()[:32]
