"""`winslow notify` as a shell uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from receiver import Receiver
from test_account_commands import Shell

SECRET = "T0KEN"  # to be looked for


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    return Shell(capsys, monkeypatch)


def test_channels_are_managed_from_a_shell_and_no_address_is_printed(shell: Shell) -> None:
    with Receiver() as receiver:
        address = f"json://user:{SECRET}@127.0.0.1:{receiver.port}/\n"
        added = shell.json("notify", "add", "team", "--event", "failed", "--filter", "tag:ulm", stdin=address)
        assert (added["id"], added["service"], added["version"]) == ("team", "json://…", 1)
        own = shell.json("notify", "add", "phone", "--own", stdin=address)
        assert own["id"] == f"{own['owner']}/phone"
        assert shell.json("notify", "test", own["id"]) == {"channel": own["id"], "sent": True}
        assert receiver.titles == ["Test message from Winslow"]
    assert [each["id"] for each in shell.json("notify", "channels")["channels"]] == ["team", own["id"]]
    changed = shell.json("notify", "subscribe", "team", "--event", "finished")
    assert [(each["events"], each["filter"]) for each in changed["subscriptions"]] == [
        (["failed"], "tag:ulm"),
        (["finished"], ""),
    ]
    assert len(shell.json("notify", "unsubscribe", "team", "1")["subscriptions"]) == 1
    assert SECRET not in shell.run("notify", "channels").stdout
    shell.json("notify", "remove", "phone", "--own")
    shell.json("notify", "remove", "team")
    assert shell.json("notify", "channels")["channels"] == []


def test_a_channel_that_is_not_there_or_cannot_be_used_is_an_error(shell: Shell) -> None:
    assert shell.run("notify", "remove", "team").code == 4
    assert shell.run("notify", "subscribe", "team").code == 4
    assert shell.run("notify", "retry", "team", "k").code == 4
    refused = shell.run("notify", "add", "team", "--json", stdin=f"nonsense://{SECRET}")
    assert refused.code == 6
    assert SECRET not in refused.stderr
    assert "an Apprise URL" in json.loads(refused.stderr)["expected"]
    shell.json("notify", "add", "team", stdin="json://192.0.2.1/")
    assert shell.run("notify", "add", "team", stdin="json://192.0.2.1/").code == 5
    assert shell.run("notify", "unsubscribe", "team", "2").code == 2
