"""A web server under test, and what is sent to it."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import Any

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
            f"{self.address}/dagit/graphql",
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


def lines(*parts: str, body: str = "") -> bytes:
    """A request whose connection closes after the answer."""
    head = [*parts, "Connection: close"] if not any(part.startswith("Connection:") for part in parts) else [*parts]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", body]).encode()
