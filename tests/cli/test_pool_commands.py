"""`winslow pool`, `winslow quota` and `winslow usage` in a shell, as JSON and for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from winslow_dagster.cli.main import main

PIPELINE = """
name: counting
command: [sh, -c]
inputs:
  numbers: {kind: table, suffixes: [.csv]}
stages:
  - {name: count, args: ["true"]}
"""
Ask = Callable[..., Any]
Say = Callable[..., str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation whose project has a file of the pool, in a directory with another file."""
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_STAGE_MODE", "process")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline_configs").mkdir()
    (tmp_path / "pipeline_configs" / "counting.yaml").write_text(PIPELINE)
    (tmp_path / "first.csv").write_text("a\n1\n")
    (tmp_path / "second.csv").write_text("a\n22\n")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """What the command prints."""

    def run(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        printed = capsys.readouterr()
        assert ended.value.code == code, printed
        return " ".join((printed.out or printed.err).split())

    return run


@pytest.fixture
def ask(say: Say) -> Ask:
    """What the command prints as JSON."""
    return lambda *words, code=0: json.loads(say(*words, "--json", code=code))


def test_a_file_of_the_pool_is_renamed_replaced_removed_and_restored(ask: Ask, say: Say) -> None:
    ask("pool", "add", "first.csv", "--name", "friday")
    ask("create", "counting", "--project", "ulm", "--input", "numbers=pool:friday")
    (listed,) = ask("pool", "list", "FRI", "--sort", "size")["files"]
    assert (listed["name"], listed["size_bytes"], listed["used_by"]) == ("friday", 4, ["ulm"])
    shown = ask("pool", "show", "friday")
    assert shown["uses"] == [{"project": "ulm", "input": "numbers", "current": True, "readers": []}]
    assert "ulm numbers yes" in say("pool", "show", "friday")

    assert ask("pool", "rename", "friday", "monday")["id"] == listed["id"]
    assert "ulm keeps the earlier content" in say("pool", "replace", "monday", "second.csv", "--dry-run")
    earlier = ask("pool", "replace", "monday", "second.csv")
    assert (earlier["id"], earlier["used_by"]) == (listed["id"], ["ulm"])
    assert "ulm keeps it" not in say("pool", "remove", "monday", "--dry-run")
    assert "monday is no longer in the pool" in say("pool", "remove", "monday")
    assert [each["name"] for each in ask("pool", "trash")["files"]] == ["monday", "monday"]
    assert ask("pool", "restore", earlier["id"], "--name", "friday")["used_by"] == ["ulm"]
    assert ask("pool", "purge", "monday")["freed_bytes"] == 5
    assert "ulm keeps it, and can run again with it" in say("pool", "remove", "friday", "--dry-run")
    ask("pool", "remove", "friday")
    refused = ask("pool", "purge", "friday", code=5)
    assert refused["what"] == "it is an input of ulm"
    assert "is in the pool again" in say("pool", "restore", "friday")
    assert "there is no deleted file 'friday'" in ask("pool", "restore", "friday", code=4)["what"]


def test_quotas_are_set_listed_kept_to_and_removed(ask: Ask, say: Say) -> None:
    assert say("quota", "list") == "there is no quota"
    ask("pool", "add", "first.csv")
    owner = ask("pool", "show", "first.csv")["file"]["added_by"]
    assert ask("quota", "set", "owner", "*", "1KiB")["limit_bytes"] == 1024
    assert ask("quota", "set", "owner", owner, "4B")["name"] == owner
    (use,) = ask("quota", "list")["uses"]
    assert (use["name"], use["used_bytes"], use["current_state"]) == (owner, 4, "over")
    refused = ask("pool", "add", "second.csv", code=5)
    assert refused["error"] == "QuotaExceeded"
    assert refused["command"].endswith("winslow usage")
    assert "4 B of 4 B are used, and this brings 5 B more" in refused["what"]
    ask("quota", "clear", "owner", owner)
    ask("pool", "add", "second.csv")
    assert "owner * 1 KiB" in say("quota", "list")


def test_usage_names_every_kind(ask: Ask, say: Say) -> None:
    ask("pool", "add", "first.csv")
    kinds = {each["kind"]: each["size_bytes"] for each in ask("usage")["kinds"]}
    assert kinds["pool"] == 4
    assert {"outputs", "logs", "inputs", "trash", "cache", "footage", "tables", "uploads", "leftovers"} <= set(kinds)
    assert "footage" in say("usage")
