"""A server that files are sent to in parts, and what is sent to it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

from installation import Installation, until

from winslow_dagster.client import WinslowClient
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.installation import Installation as FrontDoor
from winslow_dagster.services import Services

QUICK = "name: quick\ncommand: [sh, -c]\nstages:\n  - {name: make, args: ['true']}\n"

PART = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}


class Server:
    """A running server, and requests to it as the sender of a token."""

    def __init__(self, place: Installation, token: str, front: FrontDoor) -> None:
        self.place = place
        self.token = token
        self.front = front
        """The same installation, for the administrator in a shell."""
        certificate = place.settings.tls_certificate
        self.address = f"{'http' if certificate is None else 'https'}://localhost:{place.port}"
        self.client = self.another_client()

    def another_client(self) -> WinslowClient:
        return WinslowClient(self.address, self.token, certificate=self.place.settings.tls_certificate)

    def connect(self) -> http.client.HTTPConnection:
        certificate = self.place.settings.tls_certificate
        if certificate is None:
            return http.client.HTTPConnection("localhost", self.place.port, timeout=60)
        trust = ssl.create_default_context(cafile=str(certificate))
        return http.client.HTTPSConnection("localhost", self.place.port, timeout=60, context=trust)

    def open(self, head: str) -> socket.socket:
        """A connection on which a request begins with these lines."""
        connection = self.connect()
        connection.connect()
        connection.sock.sendall(f"{head}\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode())
        return connection.sock

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}", **named})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def begin(self, name: str, size_bytes: int) -> str:
        status, headers, _ = self.ask(
            "POST", "/api/v1/uploads", Upload_Length=str(size_bytes), Upload_Metadata=told(name)
        )
        assert status == 201
        return headers["location"]

    def offset(self, location: str) -> int:
        status, headers, _ = self.ask("HEAD", location)
        assert status == 200
        return int(headers["upload-offset"])

    def send(self, location: str, offset: int, part: bytes) -> tuple[int, dict[str, str], bytes]:
        return self.ask("PATCH", location, part, **PART, Upload_Offset=str(offset))

    def upload(self, location: str) -> dict[str, Any]:
        status, _, body = self.ask("GET", location)
        assert status == 200
        found: dict[str, Any] = json.loads(body)
        return found

    def stored(self, location: str) -> dict[str, Any]:
        until(lambda: self.upload(location)["state"] != "receiving", "the upload has ended")
        return self.upload(location)


@contextlib.contextmanager
def upload_server(directory: Path, **variables: str) -> Iterator[Server]:
    """A server with these settings, and some people."""
    place = Installation(directory, None, {"quick": QUICK})
    place.use(**variables)
    with FrontDoor(place.settings, Services(place.settings), Actor("tests", "cli")) as front:
        for name, role in (("anna", "operator"), ("bert", "operator"), ("chief", "admin")):
            front.accounts.add(name, role=role)  # type: ignore[arg-type]  # a role each
        token = front.accounts.create_token("anna", "tests").key
    place.up()
    try:
        with FrontDoor(place.settings, Services(place.settings), Actor("tests", "cli")) as front:
            server = Server(place, token, front)
            yield server
            server.client.close()
    finally:
        place.down()


def told(name: str, /, **more: str) -> str:
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in {"filename": name, **more}.items()
    )


def content_of(front: FrontDoor, name: str) -> bytes:
    file = front.pool.files.file(name)
    (entry,) = file.manifest.files
    return front.context.store.read_range(file.manifest, entry, 0, entry.size_bytes)


class Tap:
    """Lets so many bytes of all senders together pass, and holds the senders back until it is opened further."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._senders: set[int] = set()
        self._passed_bytes = 0
        self._limit_bytes = 0.0

    def wait_for_senders(self, count: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._senders) == count)

    def sent(self, more_bytes: int) -> None:
        with self._changed:
            self._senders.add(threading.get_ident())
            self._passed_bytes += max(0, more_bytes)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._passed_bytes < self._limit_bytes)

    def let_pass(self, more_bytes: float) -> None:
        with self._changed:
            self._limit_bytes = self._passed_bytes + more_bytes
            self._changed.notify_all()
            if more_bytes < inf:
                self._changed.wait_for(lambda: self._passed_bytes >= self._limit_bytes)
