"""A web server under test, and what is sent to it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forked_programs
from installation import free_port, until
from log_in import Cookie, authorization, let_in, log_in

from winslow_dagster.projects.dagster_api.credential import write_key
from winslow_dagster.settings import Settings

ALLOWED_NAME = "winslow.example"
ALLOWED_ADDRESS = "2001:db8::7"
PAUSE = "mutation{setAutoMaterializePaused(paused:true)}"
RESUME = "mutation{setAutoMaterializePaused(paused:false)}"


@dataclass(frozen=True)
class Console:
    """A running web server. Whether it is `paused` shows whether a mutation was executed."""

    port: int
    process: forked_programs.Forked | subprocess.Popen[bytes]
    settings: Settings
    cookie: Cookie
    """That of an administrator's browser."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str) -> Any:
        request = urllib.request.Request(
            f"{self.address}/dagit/graphql",
            data=json.dumps({"query": query}).encode(),
            headers={"Content-Type": "application/json", **authorization(self.settings)},
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)["data"]

    def paused(self) -> bool:
        paused: bool = self.ask("{instance{autoMaterializePaused}}")["instance"]["autoMaterializePaused"]
        return paused

    def send(self, request: bytes) -> tuple[int, str]:
        """Send these bytes as a program that has proved itself. Returns status and body of the answer."""
        line, _, rest = request.partition(b"\r\n")
        (proof,) = authorization(self.settings).items()
        return self.send_as_it_is(line + f"\r\n{proof[0]}: {proof[1]}\r\n".encode() + rest)

    def send_as_it_is(self, request: bytes) -> tuple[int, str]:
        """Send these bytes. Returns status and body of the answer."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(request)
            answer = b""
            while received := connection.recv(65536):
                answer += received
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


def lines(*parts: str, body: str = "") -> bytes:
    """A request whose connection closes after the answer."""
    head = [*parts, "Connection: close"] if not any(part.startswith("Connection:") for part in parts) else [*parts]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", body]).encode()


@contextlib.contextmanager
def serving(
    home: Path, workspace: str = "load_from: []\n", *, first: bool = False, **variables: str
) -> Iterator[Console]:
    """A web server for this home: by default, Dagster's instance has no code location, so that it starts quickly.

    An administrator is logged in; with `first`, there is nobody.
    """
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (home / "dagster" / "workspace.yaml").write_text(workspace)
    port = free_port()
    environment = {"DAGSTER_HOME": str(home / "dagster"), "WINSLOW_HOME": str(home), "WINSLOW_PORT": str(port)}
    settings = Settings.read({**environment, **variables})
    write_key(settings, "the key of these tests")
    let_in(settings)
    log = home / "console.log"
    process = forked_programs.start(
        "winslow_dagster.console", [str(home)], {**os.environ, **environment, **variables}, log
    )
    try:
        until(lambda: listens(port) or process.poll() is not None, "the web server listens")
        assert process.poll() is None, log.read_text()
        yield Console(port, process, settings, Cookie("", "") if first else log_in(settings))
    finally:
        process.terminate()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
