"""What every test shares: services are used where they are there, and demanded where WINSLOW_TEST_REQUIRE says so."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from functools import cache
from urllib.parse import urlsplit

import pytest


@cache
def docker_answers() -> bool:
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


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


SERVICES: dict[str, Callable[[], bool]] = {"docker": docker_answers, "postgres": postgres_answers, "s3": s3_answers}
REQUIRED = frozenset(filter(None, os.environ.get("WINSLOW_TEST_REQUIRE", "").split(",")))
left_out: dict[str, int] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for service, there in SERVICES.items():
            if item.get_closest_marker(service) is None or there():
                continue
            if service in REQUIRED:
                item.add_marker(pytest.mark.usefixtures(f"{service}_is_required"))
            else:
                left_out[service] = left_out.get(service, 0) + 1
                item.add_marker(pytest.mark.skip(reason=f"{service} is not there"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left_out:
        missing = ", ".join(f"{count} that need {service}" for service, count in sorted(left_out.items()))
        terminalreporter.write_line(f"left out: {missing}")


@pytest.fixture
def docker_is_required() -> None:
    pytest.fail("WINSLOW_TEST_REQUIRE names docker, and no Docker daemon answers")


@pytest.fixture
def postgres_is_required() -> None:
    pytest.fail("WINSLOW_TEST_REQUIRE names postgres, and none answers at WINSLOW_TEST_POSTGRES_URL")


@pytest.fixture
def s3_is_required() -> None:
    pytest.fail("WINSLOW_TEST_REQUIRE names s3, and none answers at WINSLOW_TEST_S3_ENDPOINT")
