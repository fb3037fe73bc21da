"""Output files as tables."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import fetch
from winslow_dagster.projects.domain.views import ProjectFile
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
