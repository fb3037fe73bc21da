"""Reads the log of a container from the daemon, over one connection.

A running container's log is followed by HTTP/1.0 directly on the daemon's socket for speed: the SDK handles a stream of
100,000 lines per second chunk by chunk and needs 3 µs per line for that alone, five times as much. The log of a
container that has ended is read by HTTP/1.1, whose end shows that the response is complete.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlencode

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.stages.launchers.docker.daemon_api import ConnectionFailed, DaemonAddress

NS_PER_S = 1_000_000_000
CHUNK_BYTES = 1024 * 1024
LONGEST_HEAD_BYTES = 65536
RESPONSE_TIMEOUT_S = 600.0
"""The daemon may search gigabytes before it sends the first line."""
LOOK_S = 0.5
"""How often to check whether to stop while a connection is silent."""


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """The log of one container. `api_version` is such as `1.41`."""

    address: DaemonAddress
    api_version: str
    container: str

    def follow(self, since_ns: int, stop: threading.Event) -> Iterator[bytes]:
        """The log since `since_ns` (nanoseconds after 1970, inclusive) until the container has ended or `stop` is set.

        An empty chunk means that there is nothing to read at present. The end of the connection and the end of the log
        cannot be distinguished: use `until_end`. Raises ConnectionFailed, ServiceUnavailable.
        """
        target = self._target(since_ns) + "&follow=1"
        try:
            with contextlib.closing(self.address.connect()) as connection:
                connection.sendall(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
                yield from body_of(connection, stop)
        except OSError as error:
            raise ConnectionFailed(str(error)) from error

    def until_end(self, since_ns: int, stop: threading.Event) -> Iterator[bytes]:
        """All that the daemon has since `since_ns`, for a container that has ended; less only if `stop` is set.

        Raises ConnectionFailed, ServiceUnavailable.
        """
        with self.address.response("GET", self._target(since_ns), timeout_s=RESPONSE_TIMEOUT_S) as response:
            if response.status != HTTPStatus.OK:
                refuse(response.status, response.read())
            while not stop.is_set() and (part := response.read(CHUNK_BYTES)):
                yield part

    def _target(self, since_ns: int) -> str:
        since = f"{since_ns // NS_PER_S}.{since_ns % NS_PER_S:09d}"
        parameters = urlencode({"stdout": "1", "stderr": "1", "timestamps": "1", "since": since})
        return f"/v{self.api_version}/containers/{self.container}/logs?{parameters}"


def body_of(connection: socket.socket, stop: threading.Event) -> Iterator[bytes]:
    """The body of a response. Raises OSError, and ServiceUnavailable if the status is not 200."""
    head = bytearray()
    while b"\r\n\r\n" not in head:
        part = connection.recv(LONGEST_HEAD_BYTES)
        if not part or len(head) > LONGEST_HEAD_BYTES:
            raise ConnectionError("the Docker daemon sent an incomplete response")
        head += part
    headers, _, rest = bytes(head).partition(b"\r\n\r\n")
    status = int(headers.split(b" ", 2)[1])
    if status != HTTPStatus.OK:
        refuse(status, rest)
    if rest:
        yield rest
    connection.settimeout(LOOK_S)
    while not stop.is_set():
        try:
            part = connection.recv(CHUNK_BYTES)
        except TimeoutError:
            yield b""
            continue
        if not part:
            return
        yield part


def refuse(status: int, body: bytes) -> NoReturn:
    """Raise ServiceUnavailable for an error response."""
    message = body.decode(errors="replace").strip()
    raise ServiceUnavailable(f"the container's log cannot be read: error {status}: {message}", where="Docker")
