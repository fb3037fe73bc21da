"""How the command line words actions: as a command that runs as printed, or as an option of the failed command."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from winslow_dagster.actions import Action, ActionName, command_words, filled
from winslow_dagster.paths import expanded

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.views import ProjectStatus

OPTIONS: dict[ActionName, str] = {
    "add_libraries": "--add DIRECTORY, or --main-class CLASS",
    "choose_base_image": "--base-image IMAGE, such as eclipse-temurin:21-jre "
    "(without a network: docker save on another machine, docker load here)",
    "choose_main_class": "--main-class CLASS, such as org.example.Tracker",
    "choose_pool_name": "--name NAME",
    "provide_input": "--input {input}=PATH",
}
"""Options of the command that failed: what to write in their place only the person knows."""
DIRECTORIES = ("WINSLOW_HOME", "WINSLOW_PIPELINES_DIR")
SETTINGS = (*DIRECTORIES, "WINSLOW_PORT", "WINSLOW_STAGE_MODE")
"""What a command in another shell needs to do the same as in this one.

Addresses of a database or a store may have passwords in them; who sets them sets them for every shell.
"""


def command_line(*words: str) -> str:
    """The command with these arguments as a person can run it, in this shell or another one in the same directory."""
    settings = [f"{name}={shlex.quote(_setting(name))}" for name in SETTINGS if os.environ.get(name)]
    return " ".join((*settings, _program(), *map(shlex.quote, words)))


def command_for(action: Action) -> str | None:
    """The command that takes the action; None where it is taken by an option."""
    words = command_words(action)
    return None if words is None else command_line(*words)


def next_steps_text(status: ProjectStatus) -> str:
    """The commands that are possible now, one a line; empty if there are none."""
    from winslow_dagster.projects.domain.next_steps import next_steps

    commands = [command for action in next_steps(status) if (command := command_for(action))]
    return "\n  ".join(("next:", *commands)) if commands else ""


def wording(action: Action) -> str:
    """The action in a sentence, with its command or option."""
    command = command_for(action)
    return f"{action}: `{command}`" if command else f"{action} with {filled(OPTIONS[action.name], action)}"


def _setting(name: str) -> str:
    value = os.environ[name]
    return str(expanded(value).absolute()) if name in DIRECTORIES else value


def _program() -> str:
    """`winslow` where the shell finds this installation's program by that name, otherwise its path."""
    own = Path(sys.executable).with_name("winslow")
    found = shutil.which("winslow")
    # Make adds our directory to PATH, and the shell that it was called from does not have it.
    known = found is not None and own.exists() and Path(found).samefile(own) and "MAKELEVEL" not in os.environ
    if known or not own.exists():
        return "winslow"
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))
