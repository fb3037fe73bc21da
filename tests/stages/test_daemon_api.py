"""What a Docker daemon may answer, and what becomes of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.stages.launchers.docker.daemon_api import (
    ConnectionFailed,
    DaemonAddress,
    DaemonApi,
    NoSuchObject,
    RequestRefused,
)

Answering = Callable[[bytes], DaemonApi]


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answering]:
    """A daemon that gives each request this answer, whatever it is, and hangs up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "d.sock"))
    listener.listen()

    def start(answer: bytes) -> DaemonApi:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return DaemonApi(DaemonAddress(str(tmp_path / "d.sock")), "1.41")

    yield start
    listener.close()


def response(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_an_answer_is_an_object_or_nothing(answering: Answering) -> None:
    assert answering(response("200 OK", b'{"Id": "x"}')).get("/containers/x/json") == {"Id": "x"}
    assert answering(response("204 No Content", b"")).post("/containers/x/start") is None
    # It had been started already.
    assert answering(response("304 Not Modified", b"")).post("/containers/x/start") is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "explanation"),
    [
        ("404 Not Found", b'{"message": "No such container: x"}', NoSuchObject, "No such container: x"),
        ("409 Conflict", b'{"message": "in use"}', RequestRefused, "in use"),
        ("500 Internal Server Error", b"a proxy's page", RequestRefused, "a proxy's page"),
        ("502 Bad Gateway", b"[1]", RequestRefused, "[1]"),
    ],
)
def test_an_error_has_its_status_and_the_daemons_words(
    answering: Answering, status: str, body: bytes, kind: type[RequestRefused], explanation: str
) -> None:
    with pytest.raises(RequestRefused) as refused:
        answering(response(status, body)).get("/containers/x/json")

    assert type(refused.value) is kind
    assert (refused.value.status, refused.value.explanation) == (int(status[:3]), explanation)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b'HTTP/1.1 200 OK\r\n\r\n{"Stat',
    ],
)
def test_a_daemon_that_stops_in_the_middle_of_an_answer_has_not_answered(answering: Answering, answer: bytes) -> None:
    with pytest.raises(ConnectionFailed):
        answering(answer).post("/containers/x/wait", timeout_s=None)


def test_a_daemon_that_is_not_there_has_not_answered(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed):
        DaemonApi(DaemonAddress(str(tmp_path / "nothing"))).get("/version")


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("", "/var/run/docker.sock"),
        ("unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock"),
        ("tcp://127.0.0.1:2375", ("127.0.0.1", 2375)),
    ],
)
def test_the_address_of_a_daemon(host: str, target: str | tuple[str, int]) -> None:
    assert DaemonAddress.parse(host).target == target


@pytest.mark.parametrize("host", ["ssh://anna@ulm", "tcp://ulm", "unix://", "npipe:////./pipe/docker"])
def test_a_daemon_that_does_not_see_this_machines_files_is_refused(host: str) -> None:
    with pytest.raises(ServiceUnavailable, match="cannot run stages; expected a Unix socket or a plain TCP port"):
        DaemonAddress.parse(host)
