"""How an output file can be shown, and the first part of it as text or a table. Files are read only in part."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

Kind = Literal["picture", "video", "sound", "report", "table", "map", "text", "other"]

PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".svg": "image/svg+xml",
}
VIDEOS = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    # What is in it may be played; its own type never is.
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".ogv": "video/ogg",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".ts": "video/mp2t",
    ".mts": "video/mp2t",
    ".mpg": "video/mpeg",
    ".wmv": "video/x-ms-wmv",
    ".hevc": "video/hevc",
    ".h264": "video/h264",
}
SOUNDS = {".mp3": "audio/mpeg", ".wav": "audio/wav", ".ogg": "audio/ogg", ".flac": "audio/flac"}
REPORTS = {".html": "text/html", ".htm": "text/html"}
TABLES = {
    ".csv": "text/plain",
    ".tsv": "text/plain",
    ".parquet": "application/octet-stream",
    ".pq": "application/octet-stream",
}
BINARY_TABLES = frozenset({".parquet", ".pq"})
TEXTS = dict.fromkeys(
    (".txt", ".log", ".json", ".yaml", ".yml", ".md", ".xml", ".toml", ".ini", ".py", ".sh"), "text/plain"
)
MAPS = {".geojson": "text/plain", ".geojsonl": "text/plain"}
BY_KIND: dict[Kind, dict[str, str]] = {
    "picture": PICTURES,
    "video": VIDEOS,
    "sound": SOUNDS,
    "report": REPORTS,
    "table": TABLES,
    "map": MAPS,
    "text": TEXTS,
}
UNKNOWN_TYPE = "application/octet-stream"
MOST_BYTES = 1 << 20
MOST_ROWS = 200
MOST_COLUMNS = 50
LONGEST_CELL = 200
LONGEST_TEXT = 64 << 10
DELIMITERS = ",;\t|"


def kind_of(path: str) -> Kind:
    """How a file of this name can be shown."""
    suffix = PurePosixPath(path).suffix.lower()
    return next((kind for kind, suffixes in BY_KIND.items() if suffix in suffixes), "other")


def media_type_of(path: str) -> str:
    """The type as which a browser is given the file. Nothing of it is guessed from its content."""
    suffix = PurePosixPath(path).suffix.lower()
    found = next((suffixes[suffix] for suffixes in BY_KIND.values() if suffix in suffixes), UNKNOWN_TYPE)
    return f"{found}; charset=utf-8" if found.startswith("text/") else found


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table. `cut`: there are more rows, columns or characters than these."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class Text:
    """The beginning of a text. `cut`: there is more."""

    text: str
    cut: bool


def read_table(file: BinaryIO) -> Table:
    """The first rows of a CSV file, whatever it contains. Raises what the file raises."""
    content = file.read(MOST_BYTES + 1)
    cut = len(content) > MOST_BYTES
    text = content[:MOST_BYTES].decode("utf-8-sig", "replace").replace("\0", "�")
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    rows: list[tuple[str, ...]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=None), delimiter=delimiter):
            if len(rows) > MOST_ROWS:
                cut = True
                break
            cut = cut or len(row) > MOST_COLUMNS or any(len(cell) > LONGEST_CELL for cell in row)
            rows.append(tuple(cell[:LONGEST_CELL] for cell in row[:MOST_COLUMNS]))
    except csv.Error:
        # A cell is longer than the reader takes: what stands before it is shown.
        cut = True
    return Table(rows[0] if rows else (), tuple(rows[1 : MOST_ROWS + 1]), cut)


def read_text(file: BinaryIO) -> Text:
    """The beginning of a text file. Raises what the file raises."""
    content = file.read(LONGEST_TEXT + 1)
    return Text(content[:LONGEST_TEXT].decode("utf-8", "replace"), len(content) > LONGEST_TEXT)
