"""Uploads: a large file sent straight to the web server and through nginx, against a copy on the same disk.

The size of the file is that of the environment variable WINSLOW_BENCH_UPLOAD_SIZE, which `--upload-size` sets.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import multiprocessing
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psutil

from bench.console import ROUNDS, Server, environment_of, percentile, timed, web_server
from bench.figure import Figure
from bench.installation import free_port
from winslow_dagster.pipelines.units import parse_size_bytes
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings

DEFAULT_SIZE = "2GiB"
PAIRS = 7
PIECE_BYTES = 1 << 20
SAMPLE_S = 0.05
NAME = "winslow.example"
GOAL_STRAIGHT = 0.5
GOAL_PROXY = 0.4
GOAL_MEMORY_BYTES = 150e6
GOAL_PAGES_S = 0.25
SHIPPED = Path(__file__).parents[1] / "deploy" / "nginx" / "winslow.conf"
PAGES = ("/", "/projects", "/files", "/audit")
NGINX = """
daemon off;
master_process off;
pid {0}/nginx.pid;
error_log {0}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    include {0}/winslow.conf;
}}
"""


@dataclass(frozen=True)
class Target:
    """A server as a program reaches it: with a token, and through a proxy by TLS."""

    address: str
    token: str
    trust: ssl.SSLContext | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What every request has."""
        return {
            "Host": urlsplit(self.address).netloc,
            "Authorization": f"Bearer {self.token}",
            "Tus-Resumable": "1.0.0",
        }


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark."""
    size_bytes = parse_size_bytes(os.environ.get("WINSLOW_BENCH_UPLOAD_SIZE", DEFAULT_SIZE))
    with tempfile.TemporaryDirectory(prefix="winslow-bench-") as scratch:
        folder = Path(scratch)
        film = folder / "film.bin"
        write(film, size_bytes)
        (folder / "home").mkdir()
        environment = environment_of(folder / "home") | {"WINSLOW_ALLOWED_HOSTS": NAME}
        with web_server(environment) as (server, pid):
            target = Target(server.address, new_token(Settings.read(environment)))
            with peak_memory(pid) as memory:
                yield against_copy("upload_straight_against_copy", target, film, GOAL_STRAIGHT)
            more_bytes = max(memory) - memory[0]
            yield Figure(
                "upload_memory_of_the_web_server_more_than_before",
                more_bytes,
                "bytes",
                f"<= {GOAL_MEMORY_BYTES:.0f}",
                more_bytes <= GOAL_MEMORY_BYTES,
                f"{max(memory)} bytes in all, with Dagit",
            )
            yield through_nginx(target, film, folder)
            yield pages_meanwhile(server, target, film)


def new_token(settings: Settings) -> str:
    """A token of the administrator of the benchmark."""
    with Installation(settings, Services(settings)) as installation:
        return installation.accounts.create_token("bench", "upload").key


def against_copy(name: str, target: Target, film: Path, goal: float) -> Figure:
    """Pairs of a copy and an upload, one after the other, each of which is deleted before the next one begins.

    The time that a machine takes for fresh pages of its cache varies more than anything else here.
    """
    pairs = []
    for number in range(PAIRS):
        copied_s = copy_s(film, film.with_name("copy.bin"))
        pairs.append((copied_s, send_s(target, film, f"{name}-{number}.bin")))
    value = median(copied_s / sent_s for copied_s, sent_s in pairs)
    copied_s, sent_s = (median(times) for times in zip(*pairs, strict=True))
    size_bytes = film.stat().st_size
    note = f"{size_bytes} bytes, {PAIRS} pairs; a copy to the same disk took {copied_s:.2f} s, this {sent_s:.2f} s"
    return Figure(name, value, "ratio", f">= {goal}", value >= goal, note)


def through_nginx(target: Target, film: Path, folder: Path) -> Figure:
    """The same through nginx with the shipped configuration, by TLS."""
    name = "upload_through_nginx_against_copy"
    if shutil.which("nginx") is None:
        return Figure(name, None, "ratio", f">= {GOAL_PROXY}", None, "there is no nginx")
    with nginx(folder, urlsplit(target.address).port or 0) as (port, trust):
        proxy = Target(f"https://{NAME}:{port}", target.token, trust)
        return against_copy(name, proxy, film, GOAL_PROXY)


def pages_meanwhile(server: Server, target: Target, film: Path) -> Figure:
    """Other pages, while a file is sent as fast as possible, again and again."""
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    sender = spawn.Process(target=send_until, args=(target, film, stop))
    sender.start()
    try:
        times = [each for path in PAGES for each in timed(server, path, ROUNDS)]
    finally:
        stop.set()
        sender.join()
    served_s = percentile(times, 99)
    goal = f"<= {GOAL_PAGES_S}"
    return Figure("pages_beside_an_upload_p99", served_s, "s", goal, served_s <= GOAL_PAGES_S)


def send_until(target: Target, film: Path, stop: Event) -> None:
    """Send the file again and again."""
    number = 0
    while not stop.is_set():
        send_s(target, film, f"meanwhile-{number}.bin")
        number += 1


def write(path: Path, size_bytes: int) -> None:
    """A file of random bytes."""
    with path.open("wb") as file:
        left_bytes = size_bytes
        while left_bytes > 0:
            left_bytes -= file.write(os.urandom(min(PIECE_BYTES, left_bytes)))
        os.fsync(file.fileno())


def copy_s(source: Path, target: Path) -> float:
    """Seconds that `cp` takes until the copy is on the disk, as an upload is."""
    began = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", source, target], check=True)
    subprocess.run(["sync", target], check=True)
    taken_s = time.perf_counter() - began
    target.unlink()
    return taken_s


def send_s(target: Target, film: Path, name: str) -> float:
    """Seconds from the beginning of an upload until the pool has the file. Removes it again."""
    began = time.perf_counter()
    told = f"filename {base64.b64encode(name.encode()).decode()}"
    size_bytes = film.stat().st_size
    with contextlib.closing(connected(target)) as connection:
        headers = target.headers
        begin = {"Upload-Length": str(size_bytes), "Upload-Metadata": told}
        location = asked(connection, "POST", "/api/v1/uploads", headers | begin).headers["Location"]
        part = {
            "Upload-Offset": "0",
            "Content-Length": str(size_bytes),
            "Content-Type": "application/offset+octet-stream",
        }
        with film.open("rb") as file:
            connection.request("PATCH", location, file, headers | part)
            answered(connection)
        while (state := json.loads(body(connection, location, headers))["state"]) == "receiving":
            time.sleep(SAMPLE_S)
        taken_s = time.perf_counter() - began
        if state != "stored":
            raise RuntimeError(f"{name} is {state}")
        deleted(connection, headers, name)
    return taken_s


def deleted(connection: http.client.HTTPConnection, headers: dict[str, str], name: str) -> None:
    """Delete a file of the pool for good."""
    asked(connection, "DELETE", f"/api/v1/pool/{name}", headers)
    for trashed in json.loads(body(connection, "/api/v1/pool-trash", headers))["files"]:
        asked(connection, "DELETE", f"/api/v1/pool-trash/{trashed['id']}", headers)


def connected(target: Target) -> http.client.HTTPConnection:
    """A connection to this machine, whatever the name of the server."""
    port = urlsplit(target.address).port
    connection = http.client.HTTPConnection("127.0.0.1", port, blocksize=PIECE_BYTES)
    if target.trust is not None:
        connection.connect()
        connection.sock = target.trust.wrap_socket(connection.sock, server_hostname=NAME)
    return connection


def asked(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]
) -> http.client.HTTPResponse:
    """The answer, whose body is read."""
    connection.request(method, path, headers=headers)
    return answered(connection)


def answered(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """The answer to what was sent."""
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise RuntimeError(f"{answer.status} {text[:200]!r}")
    return answer


def body(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> bytes:
    """What is at this path."""
    connection.request("GET", path, headers=headers)
    return connection.getresponse().read()


@contextlib.contextmanager
def peak_memory(pid: int) -> Iterator[list[int]]:
    """The resident memory of a process, again and again while the block lasts; the first is that before."""
    process, ended = psutil.Process(pid), threading.Event()
    samples = [process.memory_info().rss]

    def sample() -> None:
        while not ended.wait(SAMPLE_S):
            samples.append(process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def nginx(folder: Path, behind: int) -> Iterator[tuple[int, ssl.SSLContext]]:
    """nginx with the shipped configuration, of which only addresses and files are replaced: its port, and its trust."""
    place = folder / "nginx"
    place.mkdir()
    pem, key, port = place / "cert.pem", place / "cert.key", free_port()
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*words, *subject, "-out", pem, "-keyout", key], check=True, capture_output=True)
    site = SHIPPED.read_text()
    for pattern, replacement in (
        (r"\b443\b", f"127.0.0.1:{port}"),
        (r"listen 80;", f"listen 127.0.0.1:{free_port()};"),
        (r"127\.0\.0\.1:3000\b", f"127.0.0.1:{behind}"),
        (r"/etc/ssl/winslow\.example\.pem", str(pem)),
        (r"/etc/ssl/winslow\.example\.key", str(key)),
    ):
        site = re.sub(pattern, replacement, site)
    (place / "winslow.conf").write_text(site)
    (place / "nginx.conf").write_text(NGINX.format(place))
    with subprocess.Popen(["nginx", "-p", place, "-c", place / "nginx.conf"]) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(ConnectionRefusedError):
                    http.client.HTTPConnection("127.0.0.1", port).connect()
                    break
                time.sleep(SAMPLE_S)
            yield port, ssl.create_default_context(cafile=str(pem))
        finally:
            process.terminate()
