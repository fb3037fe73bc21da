"""`winslow user | session | token | login-link | owner` as a shell uses them."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from winslow_dagster.cli.main import main
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.settings import Settings

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str


class Shell:
    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def run(self, *words: str, stdin: str = "") -> Done:
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as ended:
            main(words)
        code = ended.value.code
        assert isinstance(code, int)
        return Done(code, *self._capsys.readouterr())

    def json(self, *words: str, stdin: str = "") -> Any:
        done = self.run(*words, "--json", stdin=stdin)
        assert done.code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    return Shell(capsys, monkeypatch)


def test_people_are_managed_from_a_shell_and_no_password_is_printed(shell: Shell) -> None:
    added = shell.json("user", "add", "anna", "--role", "admin", stdin=f"{PASSWORD}\n")
    assert (added["name"], added["role"], added["has_password"]) == ("anna", "admin", True)
    shell.json("user", "add", "ben", "--no-password", "--display-name", "Ben B.")
    assert shell.json("user", "group", "ben", "tracking", "ulm")["groups"] == ["tracking", "ulm"]
    assert shell.json("user", "role", "ben", "operator")["role"] == "operator"
    assert shell.json("user", "disable", "ben")["disabled"] is True
    assert shell.json("user", "enable", "ben")["disabled"] is False
    assert shell.json("user", "password", "ben", stdin=PASSWORD)["has_password"] is True
    assert [each["name"] for each in shell.json("user", "list")["people"]] == ["anna", "ben"]
    refused = shell.run("user", "disable", "anna")
    assert (refused.code, "last administrator" in refused.stderr) == (5, True)
    written = shell.run("audit", "--json").stdout + shell.run("user", "list").stdout
    assert PASSWORD not in written
    assert "person_password" in written


def test_a_password_as_an_argument_is_not_accepted(shell: Shell) -> None:
    assert shell.run("user", "add", "anna", PASSWORD).code == 2
    assert shell.run("user", "password", "anna", PASSWORD).code == 2


def test_a_token_s_key_is_printed_once(shell: Shell) -> None:
    shell.json("user", "add", "anna", "--role", "admin", stdin=PASSWORD)
    created = shell.run("token", "create", "anna", "backup", "--role", "viewer", "--days", "30")
    key = created.stdout.strip()
    assert key.startswith("winslow_")
    listed = shell.run("token", "list", "anna", "--json").stdout
    assert key not in listed + shell.run("audit", "--json").stdout
    (token,) = json.loads(listed)["tokens"]
    assert (token["label"], token["role"]) == ("backup", "viewer")
    shell.json("token", "revoke", str(token["id"]))
    assert shell.json("token", "list")["tokens"] == []
    assert shell.run("token", "revoke", str(token["id"])).code == 4


def test_a_link_is_printed_for_the_first_person_and_for_those_who_are_there(shell: Shell) -> None:
    assert "/login/link?key=" in shell.json("login-link")["address"]
    shell.json("user", "add", "anna", "--role", "admin", "--no-password")
    assert "/login/link?key=" in shell.run("login-link").stdout
    assert shell.run("login-link", "nobody").code == 4
    assert shell.json("session", "list")["sessions"] == []
    assert shell.run("session", "revoke", "1").code == 4


def test_a_project_is_given_to_a_person_and_a_group(shell: Shell) -> None:
    records = ProjectRecords.open(Settings.read().database_url)
    records.create_project("ulm", pipeline="one", pipeline_digest="0" * 64, env={}, created_by="root")
    records.close()
    shell.json("user", "add", "anna", "--no-password")
    shell.json("user", "group", "anna", "tracking")
    assert shell.json("owner", "ulm") == {"owner": "root", "group": None}
    assert shell.json("owner", "ulm", "--to", "anna", "--group", "tracking") == {"owner": "anna", "group": "tracking"}
    assert shell.json("owner", "ulm", "--no-group") == {"owner": "anna", "group": None}
    assert shell.run("owner", "ulm", "--group", "x", "--no-group").code == 2
