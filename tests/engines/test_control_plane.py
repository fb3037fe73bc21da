"""An agent's connection to the control plane, which may close it at any time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from winslow_dagster.engines.slurm.control_plane import ControlPlane, ControlPlaneAway
from winslow_dagster.errors import EngineError, Fenced

STATUS = {"hello": 200, "fence": 410, "refuse": 401, "break": 503}


class ClosesEach(BaseHTTPRequestHandler):
    """Closes the connection after each answer without having said so, as servers do with idle ones."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(STATUS[self.path.rpartition("/")[2]])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named by the library
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ClosesEach) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def plane(server: ThreadingHTTPServer) -> Iterator[ControlPlane]:
    plane = ControlPlane(f"http://127.0.0.1:{server.server_port}", None, "run.detect.1", 1)
    plane.authorize("Bearer", "key")
    yield plane
    plane.close()


def test_a_connection_that_was_closed_while_idle_costs_no_message(plane: ControlPlane) -> None:
    assert [plane.say("hello", f"{number}") for number in range(3)] == [b"0", b"1", b"2"]


def test_answers_say_whether_to_stop_to_try_again_or_to_give_up(plane: ControlPlane) -> None:
    with pytest.raises(Fenced):
        plane.say("fence", "")
    with pytest.raises(ControlPlaneAway, match="status 503"):
        plane.say("break", "")
    with pytest.raises(EngineError, match="status 401") as refused:
        plane.say("refuse", "")
    assert not isinstance(refused.value, ControlPlaneAway)


def test_a_control_plane_that_is_not_there_is_away(server: ThreadingHTTPServer, plane: ControlPlane) -> None:
    plane.say("hello", "")
    server.shutdown()
    server.server_close()

    with pytest.raises(ControlPlaneAway, match="does not answer"):
        plane.say("hello", "")
