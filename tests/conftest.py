"""Shared fixtures. Tests use services that are available; those named in WINSLOW_TEST_REQUIRE must be."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import socket
import struct
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import tally
from processes import restore_signals

pytest_plugins = ["pytester", "slurm_cluster"]

TEST_IMAGE = "winslow-test"
TEST_IMAGE_PROGRAMS = (
    "awk",
    "cat",
    "dd",
    "echo",
    "false",
    "head",
    "kill",
    "ls",
    "mkdir",
    "seq",
    "sh",
    "sleep",
    "test",
    "true",
    "wc",
    "yes",
)
ELF_INTERPRETER = 3


# --- services ---------------------------------------------------------------------------------------------------------


@cache
def docker_answers() -> bool:
    try:
        return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@cache
def postgres_answers() -> bool:
    return answers(os.environ.get("WINSLOW_TEST_POSTGRES_URL"), default_port=5432)


@cache
def slurm_is_installed() -> bool:
    return os.geteuid() == 0 and all(map(shutil.which, ("slurmctld", "slurmd", "munged", "ip", "iptables")))


@cache
def s3_answers() -> bool:
    return answers(os.environ.get("WINSLOW_TEST_S3_ENDPOINT"), default_port=80)


def answers(url: str | None, default_port: int) -> bool:
    if not url:
        return False
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or default_port), timeout=2).close()
    except OSError:
        return False
    return True


SERVICES: dict[str, Callable[[], bool]] = {
    "chromium": lambda: shutil.which("chromium") is not None,
    "docker": docker_answers,
    "java": lambda: shutil.which("javac") is not None,
    "nginx": lambda: shutil.which("nginx") is not None,
    "postgres": postgres_answers,
    "s3": s3_answers,
    "slurm": slurm_is_installed,
}
WHY_MISSING = {
    "chromium": "chromium is not installed; on Debian: apt-get install chromium",
    "docker": "the Docker daemon is not available",
    "java": "javac is not installed; on Debian: apt-get install default-jdk-headless",
    "nginx": "nginx is not installed; on Debian: apt-get install nginx",
    "postgres": "the server at WINSLOW_TEST_POSTGRES_URL is not available",
    "s3": "the server at WINSLOW_TEST_S3_ENDPOINT is not available",
    "slurm": "Slurm is not installed, or this is not root; on Debian: apt-get install slurm-wlm munge iptables",
}


def required_services() -> frozenset[str]:
    return frozenset(filter(None, os.environ.get("WINSLOW_TEST_REQUIRE", "").split(",")))


def pytest_configure() -> None:
    restore_signals()
    if unknown := required_services() - set(SERVICES):
        names = ", ".join(sorted(unknown))
        raise pytest.UsageError(f"WINSLOW_TEST_REQUIRE contains {names}; expected some of: {', '.join(SERVICES)}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with long tests go first, so that no process is left alone with one at the end.

    They take turns by folder: those of one folder may need the same film or image, and all processes would wait for it.
    """
    before: Counter[Path] = Counter()
    turns: dict[Path, int] = {}
    for item in items:
        if item.get_closest_marker("slow") and item.path not in turns:
            turns[item.path] = before[item.path.parent]
            before[item.path.parent] += 1
    afterwards = len(items)
    items.sort(key=lambda item: turns.get(item.path, afterwards))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for service, is_available in SERVICES.items():
        if item.get_closest_marker(service) is None or is_available():
            continue
        if service in required_services():
            pytest.fail(f"WINSLOW_TEST_REQUIRE contains {service}, but {WHY_MISSING[service]}", pytrace=False)
        pytest.skip(f"{service}: {WHY_MISSING[service]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    for line in tally.lines(report for report in reports if report.when == "call"):
        terminalreporter.write_line(line)
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ()) if report.longrepr]
    not_run = {
        service: sum(reason.startswith(f"Skipped: {service}: ") for reason in reasons) for service in sorted(SERVICES)
    }
    if any(not_run.values()):
        missing = ", ".join(f"{count} needing {service}" for service, count in not_run.items() if count)
        terminalreporter.write_line(f"skipped: {missing}")


# --- Docker -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def test_image() -> str:
    """A 2 MB image of a static busybox, named by its content. Mark the test `docker`."""
    busybox = static_busybox()
    content = hashlib.sha256(busybox + " ".join(TEST_IMAGE_PROGRAMS).encode()).hexdigest()[:12]
    image = f"{TEST_IMAGE}:{content}"
    with (Path(tempfile.gettempdir()) / f"{TEST_IMAGE}-{content}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test processes build it only once
        if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode != 0:
            subprocess.run(
                ["docker", "import", "--change", "ENV PATH=/bin", "-", image],
                input=busybox_tree(busybox),
                capture_output=True,
                check=True,
            )
    return image


def static_busybox() -> bytes:
    for path in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        if path.is_file() and is_static(content := path.read_bytes()):
            return content
    pytest.fail("no static busybox for the test image; on Debian: apt-get install busybox-static")


def is_static(program: bytes) -> bool:
    """Whether this 64-bit ELF file has no segment for a dynamic loader."""
    (table,) = struct.unpack_from("<Q", program, 0x20)
    entry_size, entries = struct.unpack_from("<HH", program, 0x36)
    kinds = (struct.unpack_from("<I", program, table + index * entry_size)[0] for index in range(entries))
    return ELF_INTERPRETER not in kinds


def busybox_tree(busybox: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tree:
        for name, mode in (("bin", 0o755), ("tmp", 0o1777)):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, mode
            tree.addfile(directory)
        program = tarfile.TarInfo("bin/busybox")
        program.size, program.mode = len(busybox), 0o755
        tree.addfile(program, io.BytesIO(busybox))
        for name in TEST_IMAGE_PROGRAMS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tree.addfile(link)
    return buffer.getvalue()


# --- databases --------------------------------------------------------------------------------------------------------


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database. Mark the test `postgres`."""
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.pool import NullPool

    server = make_url(os.environ["WINSLOW_TEST_POSTGRES_URL"])
    database = f"winslow_test_{uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {database}"))
    yield server.set(database=database).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {database} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database of each kind: a test with this fixture runs once per kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


# --- S3 ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def s3_endpoint(monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of the S3 server; its credentials are in the environment. Mark the test `s3`."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "dev"),  # as created by deploy/services/radosgw.sh
        ("AWS_SECRET_ACCESS_KEY", "devsecret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, os.environ.get(name, value))
    return os.environ["WINSLOW_TEST_S3_ENDPOINT"]


@pytest.fixture
def s3_bucket_url(s3_endpoint: str) -> Iterator[str]:
    """A fresh, empty bucket as `s3://name`."""
    import boto3

    bucket = boto3.resource("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=f"winslow-test-{uuid4().hex}")
    yield f"s3://{bucket.name}"
    for upload in bucket.multipart_uploads.all():
        upload.abort()
    bucket.objects.all().delete()
    bucket.delete()
