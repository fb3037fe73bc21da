"""Real runs, a real receiver: people are told once of each end, also where the receiver was away."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from installation import Installation, free_port, until

from winslow_dagster import Winslow
from winslow_dagster.errors import InputRejected, ServiceUnavailable, StageFailed
from winslow_dagster.projects.notifications.apprise import send

PIPELINE = """
name: ends
command: [sh, -c]
stages:
  - name: first
    args: ['exit $CODE']
    env: {CODE: "0"}
"""


class Receiver:
    """A webhook that keeps what it is sent."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.messages: list[dict[str, Any]] = []
        kept = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                kept.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("told"), None, {"ends": PIPELINE})
    made.settings.home.mkdir()
    (made.settings.home / "notify.yaml").write_text(
        f"channels: [{{name: hook, url: 'json://127.0.0.1:{port}/', events: [finished, failed, needs_you]}}]\n"
    )
    made.up()
    yield made
    made.down()


@pytest.mark.slow
def test_people_are_told_once_how_projects_ended_though_the_receiver_was_away(there: Installation, port: int) -> None:
    with Winslow(there.settings) as winslow:
        winslow.run("ends", "good").wait()
        with pytest.raises(StageFailed):
            winslow.run("ends", "bad", settings={"first": {"env": {"CODE": "3"}}}).wait()
        with pytest.raises(StageFailed):
            winslow.run("ends", "worse", settings={"first": {"args": ["echo oops >&2; exit 4"]}}).wait()
        winslow.run("ends", "asking", settings={"first": {"args": ["echo WINSLOW_AWAIT_INPUT: who; exit 75"]}}).ended()
    with Receiver(port) as receiver:
        until(lambda: len(receiver.messages) >= 4, "all are told", 120)
        titles = sorted(message["title"] for message in receiver.messages)
        assert titles == ["asking needs you", "bad failed", "good has finished", "worse failed"]
        bad = next(message["message"] for message in receiver.messages if message["title"] == "bad failed")
        assert "first: failed: exit code 3" in bad
        assert f"{there.settings.address}/runs/" in bad
        said = command(there, "notify", "status", "--json")
        assert {notice["state"] for notice in json.loads(said.stdout)["notices"]} == {"sent"}
        assert command(there, "notify", "test", "hook").returncode == 0
        assert receiver.messages[-1]["title"] == "Winslow can reach you"
        assert len(receiver.messages) == 5, "nothing was told twice"


def command(there: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from winslow_dagster.cli import main; main()", *arguments]
    return subprocess.run(program, env=there.environment, capture_output=True, text=True, check=False)


def test_an_unknown_channel_and_a_bad_file_are_told(there: Installation, tmp_path: Path) -> None:
    unknown = command(there, "notify", "test", "hok", "--json")
    assert unknown.returncode == 4
    assert "hook" in json.loads(unknown.stderr)["expected"]
    bad = tmp_path / "notify.yaml"
    bad.write_text("channels: [{name: x, url: 1}]\n")
    program = [sys.executable, "-c", "from winslow_dagster.cli import main; main()", "notify", "test", "x"]
    environment = {**there.environment, "WINSLOW_NOTIFY_FILE": str(bad)}
    told = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 3
    assert "notify.yaml:1:" in told.stderr


def test_an_address_nobody_knows_and_one_where_nobody_answers_are_told_apart() -> None:
    with pytest.raises(InputRejected, match=r"no service is known for nonsense://…"):
        send("nonsense://secret", "title", "body")
    with pytest.raises(ServiceUnavailable, match="the message could not be sent") as caught:
        send(f"json://user:secret@127.0.0.1:{free_port()}/", "title", "body")
    assert "secret" not in str(caught.value)
