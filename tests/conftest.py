"""What every test shares: services are used where they are there, and demanded where WINSLOW_TEST_REQUIRE says so."""

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
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

pytest_plugins = ["pytester"]

TEST_IMAGE = "winslow-test"
TEST_IMAGE_PROGRAMS = (
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
    "docker": docker_answers,
    "java": lambda: shutil.which("javac") is not None,
    "postgres": postgres_answers,
    "s3": s3_answers,
}
WHY_MISSING = {
    "docker": "no Docker daemon answers",
    "java": "there is no javac; on Debian: apt-get install default-jdk-headless",
    "postgres": "no server answers at WINSLOW_TEST_POSTGRES_URL",
    "s3": "no server answers at WINSLOW_TEST_S3_ENDPOINT",
}


def required_services() -> frozenset[str]:
    return frozenset(filter(None, os.environ.get("WINSLOW_TEST_REQUIRE", "").split(",")))


def pytest_configure() -> None:
    if unknown := required_services() - set(SERVICES):
        names = ", ".join(sorted(unknown))
        raise pytest.UsageError(f"WINSLOW_TEST_REQUIRE names {names}; there are {', '.join(SERVICES)}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for service, there in SERVICES.items():
        if item.get_closest_marker(service) is None or there():
            continue
        if service in required_services():
            pytest.fail(f"WINSLOW_TEST_REQUIRE names {service}, and {WHY_MISSING[service]}", pytrace=False)
        pytest.skip(f"{service}: {WHY_MISSING[service]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ()) if report.longrepr]
    left_out = {
        service: sum(reason.startswith(f"Skipped: {service}: ") for reason in reasons) for service in sorted(SERVICES)
    }
    if any(left_out.values()):
        missing = ", ".join(f"{count} that need {service}" for service, count in left_out.items() if count)
        terminalreporter.write_line(f"left out: {missing}")


# --- Docker -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def test_image() -> str:
    """A 2 MB image of a static busybox, named by its content. Mark the test `docker`."""
    busybox = static_busybox()
    content = hashlib.sha256(busybox + " ".join(TEST_IMAGE_PROGRAMS).encode()).hexdigest()[:12]
    image = f"{TEST_IMAGE}:{content}"
    with (Path(tempfile.gettempdir()) / f"{TEST_IMAGE}-{content}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes that run side by side make it once
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
    pytest.fail("no static busybox to make the test image from; on Debian: apt-get install busybox-static")


def is_static(program: bytes) -> bool:
    """Whether this 64-bit ELF file names no dynamic loader among its segments."""
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
    """The address of a fresh, empty PostgreSQL database. Mark the test `postgres`."""
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
    """A fresh, empty database of each kind there is: a test that takes this runs once for each."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


# --- S3 ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def s3_endpoint(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the S3 server; its credentials are in the environment. Mark the test `s3`."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "dev"),  # what deploy/services/radosgw.sh makes
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
