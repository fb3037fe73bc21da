"""The web server on its own: Dagster's instance without any code location, so that it starts quickly."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from installation import free_port, until
from web_server import ALLOWED_ADDRESS, ALLOWED_NAME, RESUME, Console


@pytest.fixture(scope="session")
def console_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    home = tmp_path_factory.mktemp("console")
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (home / "dagster" / "workspace.yaml").write_text("load_from: []\n")
    port = free_port()
    environment = {
        "DAGSTER_HOME": str(home / "dagster"),
        "WINSLOW_HOME": str(home),
        "WINSLOW_PORT": str(port),
        "WINSLOW_ALLOWED_HOSTS": f"{ALLOWED_NAME}, [{ALLOWED_ADDRESS}]",
    }
    log = home / "console.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "winslow_dagster.console"],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: listens(port) or process.poll() is not None, "the web server listens")
        assert process.poll() is None, log.read_text()
        yield Console(port, process)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def console(console_process: Console) -> Console:
    """The web server, not paused."""
    console_process.ask(RESUME)
    assert not console_process.paused()
    return console_process


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
