"""Servers of the tests' own, which may be stopped without harm to others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from s3_server import CREDENTIALS, S3Server


@pytest.fixture(scope="session")
def servers_directory() -> Iterator[Path]:
    # Not in pytest's directory: the user of PostgreSQL may not enter that.
    with tempfile.TemporaryDirectory(prefix="winslow-chaos-", dir="/var/tmp") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@pytest.fixture(scope="session")
def postgres_server(servers_directory: Path) -> Iterator[PostgresServer]:
    """Mark the test `postgres`."""
    server = PostgresServer(servers_directory / "postgres")
    yield server
    server.remove()


@pytest.fixture(scope="session")
def s3_server(servers_directory: Path) -> Iterator[S3Server]:
    """Its credentials are in the environment. Mark the test `s3`."""
    server = S3Server(servers_directory / "s3")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield server
    server.remove()


@pytest.fixture(scope="session")
def s3_store_url(s3_server: S3Server) -> str:
    """A store in a bucket of the server."""
    import boto3

    boto3.client("s3", endpoint_url=s3_server.endpoint).create_bucket(Bucket="winslow")
    return "s3://winslow/store"
