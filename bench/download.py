"""Downloads: a folder of 100,000 files as one archive, and a large file against `cat`."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
from blake3 import blake3

from bench.console import Server
from bench.figure import Figure
from bench.installation import services, winslow_home
from winslow_dagster.projects.dagster_api.serving import state_file
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.pool_files import PoolFiles
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.pool import PooledFile
from winslow_dagster.settings import Settings
from winslow_dagster.storage import layout
from winslow_dagster.storage.manifest import FileEntry, Manifest

FILES = 100_000
FILE_BYTES = 1_000
LARGE_BYTES = 2 << 30
ROUNDS = 3
FORMATS = ("tar", "zip")
GOAL_FIRST_BYTE_S = 0.3
GOAL_MEMORY_MIB = 100
PIECE_BYTES = 1 << 20
MIB = 1 << 20


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark."""
    with winslow_home({}) as settings:
        put_many(settings)
        large = put_large(settings)
        found: dict[str, list[Download]] = {form: [] for form in FORMATS}
        # The port is a part of the settings, and the session is in the database.
        server = Server.of(settings, settings.address)
        for _ in range(ROUNDS):
            with services(settings):
                for form, downloads in found.items():
                    downloads.append(folder(settings, server, form))
        for form, downloads in found.items():
            yield from figures_of(form, downloads)
        with services(settings):
            yield against_cat(server, large)


@dataclass(frozen=True)
class Download:
    """The time to the first byte and to the last, and how much the web server has grown at most in between."""

    first_byte_s: float
    took_s: float
    grown_bytes: int


def folder(settings: Settings, server: Server, form: str) -> Download:
    """Download the folder from a web server that nobody has asked for it before."""
    ask(server, "/api/v1/me").read()
    process = psutil.Process(web_server(settings))
    before_bytes = process.memory_info().rss
    begun_s = time.perf_counter()
    answer = ask(server, f"/api/v1/pool/many/archive?format={form}")
    received_bytes = len(answer.read(1))
    first_byte_s = time.perf_counter() - begun_s
    most_bytes = process.memory_info().rss
    while piece := answer.read(PIECE_BYTES):
        received_bytes += len(piece)
        most_bytes = max(most_bytes, process.memory_info().rss)
    assert received_bytes == int(answer.headers["Content-Length"])
    return Download(first_byte_s, time.perf_counter() - begun_s, most_bytes - before_bytes)


def figures_of(form: str, downloads: list[Download]) -> Iterator[Figure]:
    """Medians, and the largest growth."""
    note = f"{FILES} files, median of {ROUNDS} starts of the server"
    first_byte_s = median(each.first_byte_s for each in downloads)
    yield goal(f"download.{form}_first_byte", first_byte_s, "s", GOAL_FIRST_BYTE_S, note)
    grown = max(each.grown_bytes for each in downloads) / MIB
    yield goal(f"download.{form}_memory", grown, "MiB", GOAL_MEMORY_MIB, "growth of the web server, at most")
    yield Figure(f"download.{form}_files", FILES / median(each.took_s for each in downloads), "files/s", "", None)


def against_cat(server: Server, large: Path) -> Figure:
    """The time of `cat` to another file, over that of `curl` to another file, the best of some rounds each."""
    target = large.with_name("copy")
    cat = ["cat", str(large)]
    header = "; ".join(f"{name}: {value}" for name, value in server.headers.items())
    curl = ["curl", "--silent", "--fail", "-H", header, f"{server.address}/api/v1/pool/large/files/large.bin"]
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for command in (cat, curl):
            begun_s = time.perf_counter()
            with target.open("wb") as copy:
                subprocess.run(command, stdout=copy, check=True)
            took_s = time.perf_counter() - begun_s
            assert target.stat().st_size == LARGE_BYTES
            best[command[0]] = min(took_s, best.get(command[0], took_s))
    target.unlink()
    rates = ", ".join(f"{name} {LARGE_BYTES / took_s / MIB:.0f} MiB/s" for name, took_s in best.items())
    return Figure("download.file_against_cat", best["cat"] / best["curl"], "", "", None, rates)


def put_many(settings: Settings) -> None:
    """A directory of the pool, written as the store has it: a commit would sync every file."""
    address = f"{schema.POOL_ADDRESS}/many/{uuid4().hex}"
    root = settings.home / "store" / layout.tree_key(address)
    entries = []
    for number in range(FILES):
        path, content = f"{number // 1000:03}/{number:06}.json", f"{number:06}".encode() * (FILE_BYTES // 6)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        entries.append(FileEntry(path=path, size_bytes=len(content), blake3=blake3(content).hexdigest()))
    manifest = Manifest(address=address, files=tuple(entries))
    listed(settings, "many", manifest)


def put_large(settings: Settings) -> Path:
    """A file of the pool, in the same way. Returns its path."""
    address = f"{schema.POOL_ADDRESS}/large/{uuid4().hex}"
    path = settings.home / "store" / layout.tree_key(address) / "large.bin"
    path.parent.mkdir(parents=True)
    block, hasher = bytes(range(256)) * (PIECE_BYTES // 256), blake3()
    with path.open("wb") as file:
        for _ in range(LARGE_BYTES // PIECE_BYTES):
            file.write(block)
            hasher.update(block)
    entry = FileEntry(path="large.bin", size_bytes=LARGE_BYTES, blake3=hasher.hexdigest())
    listed(settings, "large", Manifest(address=address, files=(entry,)))
    return path


def listed(settings: Settings, name: str, manifest: Manifest) -> None:
    """Add it to the pool."""
    marker = settings.home / "store" / layout.manifest_key(manifest.address)
    marker.parent.mkdir(parents=True)
    marker.write_text(manifest.model_dump_json())
    records = ProjectRecords.open(settings.database_url)
    PoolFiles(records.database).add(PooledFile(name, manifest, name, datetime.now(UTC), "bench"))
    records.close()


def ask(server: Server, path: str) -> http.client.HTTPResponse:
    """The beginning of an answer."""
    address = urlsplit(server.address)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", path, headers=server.headers)
    answer = connection.getresponse()
    assert answer.status == http.client.OK, answer.read()
    return answer


def web_server(settings: Settings) -> int:
    """The process id of the web server."""
    return int(json.loads(state_file(settings).read_text())["services"]["web-server"])


def goal(name: str, value: float, unit: str, most: float, note: str) -> Figure:
    """A figure that is to be at most so much."""
    return Figure(name, value, unit, f"<= {most:g}", value <= most, note)
