"""What others wrote is shown harmlessly on a terminal, and unchanged in files and pipes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.cli.escaping import escaped

PROGRAM = [sys.executable, "-c", "from winslow_dagster.cli import main; main()"]
PIPELINE = """\
name: counting
command: [sh, -c]
inputs:
  numbers: {kind: table, suffixes: [.csv]}
stages:
  - {name: count, args: [true]}
"""
EVIL = "clear \x1b[2J title \x1b]0;owned\x07 c1 \x9b1m turned \u202etxt.exe"
SHOWN = r"clear \u001b[2J title \u001b]0;owned\u0007 c1 \u009b1m turned \u202etxt.exe"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A project whose notes are a stranger's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WINSLOW_")]:
            patch.delenv(name)
        patch.setenv("PYTHONUTF8", "1")
        patch.setenv("TERM", "xterm")
        patch.chdir(tmp_path_factory.mktemp("terminal"))
        Path("pipeline_configs").mkdir()
        Path("pipeline_configs", "counting.yaml").write_text(PIPELINE)
        Path("numbers.csv").write_text("1\n")
        words = ("create", "counting", "--project", "ulm", "--input", "numbers=numbers.csv", "--notes", EVIL)
        subprocess.run([*PROGRAM, *words], check=True, capture_output=True)
        yield "ulm"


def on_terminal(*words: str) -> str:
    """What a person's terminal gets."""
    ours, theirs = pty.openpty()
    ended = subprocess.Popen([*PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    received = b""
    try:
        while part := os.read(ours, 65_536):
            received += part
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    ended.wait()
    return received.decode()


def test_a_terminal_gets_escapes_as_text_and_a_pipe_gets_them_unchanged(project: str) -> None:
    assert on_terminal("note", project).strip() == SHOWN
    piped = subprocess.run([*PROGRAM, "note", project], check=True, capture_output=True)
    assert piped.stdout.decode() == f"{EVIL}\n"


def test_json_on_a_terminal_is_harmless_and_has_the_same_value(project: str) -> None:
    text = on_terminal("note", project, "--json")
    assert r"\u202e" in text
    assert "\x9b" not in text
    assert json.loads(text) == {"notes": EVIL}


def test_a_name_in_an_error_is_shown_harmlessly(project: str) -> None:
    text = on_terminal("create", "counting", "--project", f"{project}-2", "--input", f"numbers=/nowhere/{EVIL}.csv")
    assert "error:" in text
    assert "txt.exe" in text
    assert not any(each in text for each in ("\x1b[2J", "\x07", "\x9b", "\u202e"))


def test_a_table_on_a_terminal_is_harmless(project: str) -> None:
    subprocess.run([*PROGRAM, "todo", project, EVIL], check=True, capture_output=True)
    text = on_terminal("status", project)
    assert r"\u001b[2J" in text
    assert "\x1b[2J" not in text


@given(st.text())
def test_json_remains_the_same_document(text: str) -> None:
    document = json.dumps({text: [text]}, ensure_ascii=False)
    assert json.loads(escaped(document)) == {text: [text]}


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs")) | st.sampled_from("\t\n\u200d")))
def test_text_of_any_language_is_not_changed(text: str) -> None:
    assert escaped(text) == text
