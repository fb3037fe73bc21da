"""How the command line words actions: as a command that runs as printed, or as an option of the failed command."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from winslow_dagster.actions import Action, ActionName
from winslow_dagster.paths import expanded

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.views import ProjectStatus

COMMANDS: dict[ActionName, str] = {
    "answer_question": "answer {project}",
    "cancel_project": "cancel {project}",
    "check_pipelines": "pipelines check",
    "compare_attempts": "compare {project} {stage}",
    "diagnose": "doctor",
    "list_files": "files {project}",
    "list_ingest_files": "ingest list",
    "list_pipelines": "pipelines list",
    "list_pool_files": "pool list",
    "list_projects": "status",
    "pause_project": "pause {project}",
    "redo_stage": "redo {project} {stage}",
    "resume_project": "resume {project}",
    "run_project": "run {pipeline} --project {project}",
    "set_secret": "secret set {secret}",
    "show_pipeline": "pipelines show {pipeline}",
    "show_project": "status {project}",
    "start_from_stage": "run {pipeline} --project {project} --start-from {stage}",
    "start_services": "up",
}
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
    template = COMMANDS.get(action.name)
    return None if template is None else command_line(*shlex.split(_filled(template, action)))


def next_steps_text(status: ProjectStatus) -> str:
    """The commands that are possible now, one a line; empty if there are none."""
    from winslow_dagster.projects.domain.next_steps import next_steps

    commands = [command for action in next_steps(status) if (command := command_for(action))]
    return "\n  ".join(("next:", *commands)) if commands else ""


def wording(action: Action) -> str:
    """The action in a sentence, with its command or option."""
    command = command_for(action)
    return f"{action}: `{command}`" if command else f"{action} with {_filled(OPTIONS[action.name], action)}"


def _filled(template: str, action: Action) -> str:
    return template.format(**{name: shlex.quote(value) for name, value in action.arguments.items()})


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
