"""How the command line words actions: as a command that runs as printed, or as an option of the failed command."""

from __future__ import annotations

import shlex

from winslow_dagster.actions import Action, ActionName

COMMANDS: dict[ActionName, str] = {
    "answer_question": "winslow answer {project} {stage}",
    "cancel_project": "winslow cancel {project}",
    "check_pipelines": "winslow pipelines check",
    "compare_attempts": "winslow compare {project} {stage}",
    "diagnose": "winslow doctor",
    "list_files": "winslow files {project}",
    "list_ingest_files": "winslow ingest list",
    "list_pipelines": "winslow pipelines list",
    "list_pool_files": "winslow pool list",
    "list_projects": "winslow status",
    "pause_project": "winslow pause {project}",
    "redo_stage": "winslow redo {project} {stage}",
    "resume_project": "winslow resume {project}",
    "run_project": "winslow run {pipeline} --project {project}",
    "show_pipeline": "winslow pipelines show {pipeline}",
    "show_project": "winslow status {project}",
    "start_from_stage": "winslow run {pipeline} --project {project} --start-from {stage}",
    "start_services": "winslow up",
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


def command_for(action: Action) -> str | None:
    """The command that takes the action; None where it is taken by an option."""
    template = COMMANDS.get(action.name)
    return None if template is None else _filled(template, action)


def wording(action: Action) -> str:
    """The action in a sentence, with its command or option."""
    command = command_for(action)
    return f"{action}: `{command}`" if command else f"{action} with {_filled(OPTIONS[action.name], action)}"


def _filled(template: str, action: Action) -> str:
    return template.format(**{name: shlex.quote(value) for name, value in action.arguments.items()})
