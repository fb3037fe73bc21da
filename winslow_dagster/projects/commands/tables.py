"""Output files as tables."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from blake3 import blake3

from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import fetch
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.stages.task.growing_output import GrowingFile
from winslow_dagster.tables.cache import TableKind, table_cache
from winslow_dagster.tables.model import Reading
from winslow_dagster.tables.table import Table

KINDS: dict[str, TableKind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".geojson": "geojson",
    ".geojsonl": "geojson",
    ".json": "geojson",
}
MOST_BYTES = 16 << 30


GROWING_BYTES = 32 << 20
"""Of a file that a stage is writing, the beginning is shown until it has ended."""


def growing_tables(context: Context, attempt: Attempt) -> tuple[GrowingFile, ...]:
    """The CSV files that a running attempt has written so far."""
    if attempt.outcome is not None:
        return ()
    found = context.engine.growing_files(attempt.task_id)
    return tuple(each for each in found if KINDS.get(PurePosixPath(each.path).suffix.lower()) == "csv")


def growing_table(context: Context, attempt: Attempt, path: str, wait_s: float) -> Table | Reading:
    """A CSV file that a running attempt is writing, up to its last complete line. Raises NotFound, InputRejected."""
    content = context.engine.read_growing(attempt.task_id, path, GROWING_BYTES)
    content = content[: content.rfind(b"\n") + 1]
    if not content:
        return Reading()
    root = context.settings.tables_dir

    @contextlib.contextmanager
    def source() -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=root, prefix="growing-") as directory:
            copy = Path(directory, "table")
            copy.write_bytes(content)
            yield copy

    name = blake3(f"{attempt.task_id}/{path}".encode()).hexdigest()
    return table_cache(root).open_growing(name, len(content), source, wait_s)


def table_of(context: Context, file: ProjectFile, wait_s: float) -> Table | Reading:
    """The file as a table, or how far its reading is. Raises InputRejected, StoreError, DiskFull."""
    kind = KINDS.get(PurePosixPath(file.path).suffix.lower())
    if kind is None:
        raise InputRejected(
            "a file of this kind is not shown as a table", where=file.path, expected=f"one of {', '.join(KINDS)}"
        )
    if file.size_bytes > MOST_BYTES:
        raise InputRejected(
            f"it is larger than {MOST_BYTES >> 30} GiB", where=file.path, remedy="Download it, or write it in parts"
        )
    root = context.settings.tables_dir

    @contextlib.contextmanager
    def source() -> Iterator[Path]:
        if file.local_path is not None:
            yield file.local_path
            return
        with tempfile.TemporaryDirectory(dir=root, prefix="fetched-") as directory:
            yield fetch(context.store, file, Path(directory))

    try:
        return table_cache(root).open(f"{file.blake3}-{kind}", kind, source, wait_s)
    except InputRejected as error:
        raise InputRejected(error.what, where=file.path, expected=error.expected, remedy=error.remedy) from error
