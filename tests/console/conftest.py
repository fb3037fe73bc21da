"""The web server on its own: Dagster's instance without any code location, so that it starts quickly."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from installation import free_port, until

ALLOWED_NAME = "winslow.example"
ALLOWED_ADDRESS = "2001:db8::7"
PAUSE = "mutation{setAutoMaterializePaused(paused:true)}"
RESUME = "mutation{setAutoMaterializePaused(paused:false)}"


@dataclass(frozen=True)
class Console:
    """A running web server. Whether it is `paused` shows whether a mutation was executed."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str) -> Any:
        request = urllib.request.Request(
            f"{self.address}/graphql",
            data=json.dumps({"query": query}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)["data"]

    def paused(self) -> bool:
        paused: bool = self.ask("{instance{autoMaterializePaused}}")["instance"]["autoMaterializePaused"]
        return paused

    def send(self, request: bytes) -> tuple[int, str]:
        """Send these bytes. Returns status and body of the answer."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(request)
            answer = b""
            while received := connection.recv(65536):
                answer += received
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


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


def lines(*parts: str, body: str = "") -> bytes:
    """A request whose connection closes after the answer."""
    head = [*parts, "Connection: close"] if not any(part.startswith("Connection:") for part in parts) else [*parts]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", body]).encode()
