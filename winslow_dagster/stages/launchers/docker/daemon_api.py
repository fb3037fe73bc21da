"""Requests to the Docker daemon, with the standard library only.

Each stage imports this before its container starts. Docker's SDK takes 60 to 90 ms of processor time to import, most of
it requests and what that needs, as much as a container needs to start on a fast machine.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from winslow_dagster.errors import ServiceUnavailable

Query = Mapping[str, str]
DEFAULT_HOST = "unix:///var/run/docker.sock"
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 600.0
"""Starting a container on a busy machine may take minutes."""
WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class ConnectionFailed(Exception):
    """The daemon cannot be reached, or the connection ended before the response did."""


class RequestRefused(Exception):
    """The daemon's response is an error, with its `status` of HTTP and its `explanation`."""

    def __init__(self, status: int, explanation: str) -> None:
        self.status = status
        self.explanation = explanation
        super().__init__(f"error {status}: {explanation}")


class NoSuchObject(RequestRefused):
    """The daemon has no such container or image."""


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """The daemon's address: the path of a Unix socket, or a host and port."""

    target: str | tuple[str, int]

    @classmethod
    def parse(cls, docker_host: str) -> DaemonAddress:
        """Parse a DOCKER_HOST; empty: the default. Raises ServiceUnavailable if that daemon cannot run stages."""
        parts = urlsplit(docker_host or DEFAULT_HOST)
        if parts.scheme == "unix" and parts.path:
            return cls(parts.path)
        if parts.scheme in {"tcp", "http"} and parts.hostname and parts.port:
            return cls((parts.hostname, parts.port))
        raise ServiceUnavailable(
            f"the Docker daemon at {docker_host} cannot run stages",
            where="DOCKER_HOST",
            expected="a Unix socket or a plain TCP port of a daemon that sees this machine's directories",
        )

    def connect(self) -> socket.socket:
        """A new connection. Raises OSError."""
        if isinstance(self.target, tuple):
            return socket.create_connection(self.target, CONNECT_TIMEOUT_S)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(CONNECT_TIMEOUT_S)
        try:
            connection.connect(self.target)
        except OSError:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def response(
        self, method: str, target: str, content: bytes | None = None, *, timeout_s: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        """The response to a request, on a connection of its own. `content` is JSON.

        Raises ConnectionFailed, also if the connection is lost while the block reads.
        """
        headers = {} if content is None else {"Content-Type": "application/json"}
        connection = http.client.HTTPConnection("docker")
        try:
            with contextlib.closing(self.connect()) as connection.sock:
                connection.sock.settimeout(timeout_s)
                connection.request(method, target, content, headers)
                yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionFailed(str(error) or type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class DaemonApi:
    """The API of a daemon in one version, such as `1.41`; empty: the daemon's own. Each request has its connection.

    Requests raise ConnectionFailed, NoSuchObject for status 404, RequestRefused for other errors.
    """

    address: DaemonAddress
    version: str = ""

    def get(self, path: str, query: Query | None = None) -> Any:
        """The object at a path, such as `/containers/ID/json`."""
        return parsed(self.request("GET", path, query))

    def post(
        self,
        path: str,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        timeout_s: float | None = REQUEST_TIMEOUT_S,
    ) -> Any:
        """Have the daemon do something; the object that it answers, None if it answers nothing."""
        return parsed(self.request("POST", path, query, body, timeout_s))

    def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        timeout_s: float | None = REQUEST_TIMEOUT_S,
    ) -> bytes:
        """The content of the response."""
        prefix = f"/v{self.version}" if self.version else ""
        target = f"{prefix}{quote(path, safe='/:@')}?{urlencode(query or {})}"
        content = None if body is None else json.dumps(body).encode()
        with self.address.response(method, target, content, timeout_s=timeout_s) as response:
            answer = response.read()
        if response.status < HTTPStatus.BAD_REQUEST:
            if not answer and response.status not in WITHOUT_CONTENT:
                raise ConnectionFailed("the Docker daemon sent an incomplete response")  # It ended among the headers.
            return answer
        kind = NoSuchObject if response.status == HTTPStatus.NOT_FOUND else RequestRefused
        raise kind(response.status, explanation(answer))


def parsed(content: bytes) -> Any:
    """The object in a response. Raises ConnectionFailed if it is incomplete."""
    try:
        return json.loads(content) if content else None
    except ValueError as error:
        raise ConnectionFailed(f"the Docker daemon sent an incomplete response: {error}") from error


def explanation(content: bytes) -> str:
    """The daemon's message in an error response."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, TypeError, KeyError):
        return content.decode(errors="replace").strip()
