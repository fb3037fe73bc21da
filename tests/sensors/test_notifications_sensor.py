"""Real runs, a real receiver: each end is one message, also if the receiver was down."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation, free_port, until
from receiver import Receiver

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


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("notified"), None, {"ends": PIPELINE})
    installation.settings.home.mkdir()
    (installation.settings.home / "notify.yaml").write_text(
        f"channels: [{{name: hook, url: 'json://127.0.0.1:{port}/', events: [finished, failed, action_required]}}]\n"
    )
    installation.up()
    yield installation
    installation.down()


@pytest.mark.slow
def test_each_end_is_one_message_though_the_receiver_was_down(installation: Installation, port: int) -> None:
    with Winslow(installation.settings) as winslow:
        winslow.run("ends", "good").wait()
        with pytest.raises(StageFailed):
            winslow.run("ends", "bad", settings={"first": {"env": {"CODE": "3"}}}).wait()
        with pytest.raises(StageFailed):
            winslow.run("ends", "worse", settings={"first": {"args": ["echo oops >&2; exit 4"]}}).wait()
        winslow.run("ends", "asking", settings={"first": {"args": ["echo WINSLOW_AWAIT_INPUT: who; exit 75"]}}).ended()
    with Receiver(port) as receiver:
        until(lambda: len(receiver.messages) >= 4, "all messages arrived", 120)
        assert sorted(receiver.titles) == ["asking needs your input", "bad failed", "good finished", "worse failed"]
        bad = next(message["message"] for message in receiver.messages if message["title"] == "bad failed")
        assert "first: exit code 3" in bad
        assert f"{installation.settings.address}/projects/bad/stages/first/log" in bad
        asking = next(message["message"] for message in receiver.messages if message["title"].startswith("asking"))
        assert f"{installation.settings.address}/projects/asking/questions/first" in asking
        listed = command(installation, "notify", "status", "--json")
        assert {message["state"] for message in json.loads(listed.stdout)["messages"]} == {"sent"}
        assert command(installation, "notify", "test", "hook").returncode == 0
        assert receiver.messages[-1]["title"] == "Test message from Winslow"
        assert len(receiver.messages) == 5, "nothing was sent twice"


def command(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from winslow_dagster.cli import main; main()", *arguments]
    return subprocess.run(program, env=installation.environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_unknown_channel_and_an_invalid_file_are_errors(installation: Installation, tmp_path: Path) -> None:
    unknown = command(installation, "notify", "test", "hok", "--json")
    assert unknown.returncode == 4
    assert "hook" in json.loads(unknown.stderr)["expected"]
    bad = tmp_path / "notify.yaml"
    bad.write_text("channels: [{name: x, url: 1}]\n")
    program = [sys.executable, "-c", "from winslow_dagster.cli import main; main()", "notify", "test", "x"]
    environment = {**installation.environment, "WINSLOW_NOTIFY_FILE": str(bad)}
    failed = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 3
    assert "notify.yaml:1:" in failed.stderr


def test_an_unsupported_address_and_one_that_does_not_answer_are_different_errors() -> None:
    with pytest.raises(InputRejected, match=r"unsupported service nonsense://…"):
        send("nonsense://secret", "title", "body")
    with pytest.raises(ServiceUnavailable, match="cannot send message") as caught:
        send(f"json://user:secret@127.0.0.1:{free_port()}/", "title", "body")
    assert "secret" not in str(caught.value)
