"""Advice on the command line: each action becomes a command that runs as printed, or names an option."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from string import Formatter
from typing import get_args

import click
import pytest

from winslow_dagster.actions import COMMANDS, TEXTS, Action, ActionName
from winslow_dagster.cli.action_commands import OPTIONS, SETTINGS, command_for, command_line, wording
from winslow_dagster.cli.main import winslow
from winslow_dagster.errors import NotFound

NAMES: tuple[ActionName, ...] = get_args(ActionName)


def filled(name: ActionName) -> Action:
    template = COMMANDS.get(name) or OPTIONS[name]
    fields = [field for _, field, _, _ in Formatter().parse(template) if field]
    return Action(name, dict.fromkeys(fields, "a b"))


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A shell without our variables that finds the program by its name."""
    for name in (*SETTINGS, "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_action_has_a_text_and_either_a_command_or_an_option() -> None:
    assert set(TEXTS) == set(NAMES)
    assert set(COMMANDS) | set(OPTIONS) == set(NAMES)
    assert not set(COMMANDS) & set(OPTIONS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_parses_with_names_that_need_quotes(name: ActionName) -> None:
    command = command_for(filled(name))
    assert command is not None
    program, *words = shlex.split(command)
    assert program == "winslow"
    found: click.Command = winslow
    context = click.Context(winslow, info_name="winslow")
    while isinstance(found, click.Group):
        inner = found.get_command(context, words.pop(0))
        assert inner is not None
        found = inner
    parsed = found.make_context(found.name, list(words), parent=context)
    values = [value for value in parsed.params.values() if value]
    flat = [word for value in values for word in (value if isinstance(value, tuple) else (value,))]
    assert flat.count("a b") == command.count(shlex.quote("a b"))


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_named_with_what_it_is_for(name: ActionName) -> None:
    assert "--" in wording(filled(name))


def test_a_command_stands_behind_its_text() -> None:
    assert wording(Action("cancel_project", {"project": "ulm-07"})) == (
        "Wait for the run to end, or cancel it: `winslow cancel ulm-07`"
    )


def test_a_command_names_the_installation_it_is_for(monkeypatch: pytest.MonkeyPatch, shell: Path) -> None:
    assert command_line("files", "ulm") == "winslow files ulm"
    monkeypatch.setenv("WINSLOW_HOME", "my home")
    assert command_line("files", "ulm") == f"WINSLOW_HOME='{shell}/my home' winslow files ulm"


@pytest.mark.parametrize("missing", ["PATH", "MAKELEVEL"])
def test_a_command_has_the_path_of_a_program_that_the_shell_does_not_find(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv(missing, "/usr/bin:/bin" if missing == "PATH" else "1")
    own = Path(sys.executable).with_name("winslow")
    assert command_line("status") == f"{own} status"
    monkeypatch.chdir(own.parent.parent)
    assert command_line("status") == f"{own.parent.name}/winslow status"


def test_a_remedy_follows_a_sentence_that_has_its_full_stop() -> None:
    assert NotFound("There is no such page.").text("Go back") == "There is no such page. Go back"
    assert NotFound("no such page").text("Go back") == "no such page. Go back"
