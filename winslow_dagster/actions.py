"""What a person can do about a situation, as data: errors and views carry it, and each door words it in its own way.

The command line prints a command, a page shows a button beside the same command, a program reads name and arguments.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Literal

PROGRAM = "winslow"
ActionName = Literal[
    "add_libraries",
    "answer_question",
    "cancel_project",
    "check_pipelines",
    "choose_base_image",
    "choose_main_class",
    "choose_pool_name",
    "compare_attempts",
    "connect_person",
    "diagnose",
    "list_files",
    "list_ingest_files",
    "list_pipelines",
    "list_pool_files",
    "list_pool_trash",
    "list_projects",
    "pause_project",
    "print_login_link",
    "provide_input",
    "redo_stage",
    "restore_project",
    "resume_node",
    "resume_project",
    "run_project",
    "set_secret",
    "show_pipeline",
    "show_project",
    "show_space",
    "start_from_stage",
    "start_services",
]

TEXTS: dict[ActionName, str] = {
    "add_libraries": "Add the libraries that the program needs, or choose another main class",
    "answer_question": "Answer the question",
    "cancel_project": "Wait for the run to end, or cancel it",
    "check_pipelines": "Check the pipeline files",
    "choose_base_image": "Choose a base image that has the Java version the program needs",
    "choose_main_class": "Choose the main class",
    "choose_pool_name": "Choose another name",
    "compare_attempts": "Compare the attempts",
    "connect_person": "If that is you, an administrator can connect the two",
    "diagnose": "Check the installation",
    "list_files": "List the files",
    "list_ingest_files": "List the files found in watched folders",
    "list_pipelines": "List the pipelines",
    "list_pool_files": "List the files in the pool",
    "list_pool_trash": "List the deleted files",
    "list_projects": "List the projects",
    "pause_project": "Pause the project once its running stages finish",
    "print_login_link": "Print another one on the server",
    "provide_input": "Provide the input",
    "redo_stage": "Run the stage again",
    "restore_project": "Restore it first",
    "resume_node": "Let it take stages again",
    "resume_project": "Resume the project",
    "run_project": "Run the project",
    "set_secret": "Store the secret",
    "show_pipeline": "Show the stages and their settings",
    "show_project": "Show the project's status",
    "show_space": "See what takes the space, and free some",
    "start_from_stage": "Start again from the first stage",
    "start_services": "Start the services",
}
"""What each action does, in the words of every door that has none of its own."""


COMMANDS: dict[ActionName, str] = {
    "answer_question": "answer {project}",
    "cancel_project": "cancel {project}",
    "check_pipelines": "pipelines check",
    "compare_attempts": "compare {project} {stage}",
    "connect_person": "user subject {person} {subject}",
    "diagnose": "doctor",
    "list_files": "files {project}",
    "list_ingest_files": "ingest list",
    "list_pipelines": "pipelines list",
    "list_pool_files": "pool list",
    "list_pool_trash": "pool trash",
    "list_projects": "status",
    "pause_project": "pause {project}",
    "print_login_link": "login-link",
    "redo_stage": "redo {project} {stage}",
    "restore_project": "restore {project}",
    "resume_node": "nodes resume {node}",
    "resume_project": "resume {project}",
    "run_project": "run {pipeline} --project {project}",
    "set_secret": "secret set {secret}",
    "show_pipeline": "pipelines show {pipeline}",
    "show_project": "status {project}",
    "show_space": "usage",
    "start_from_stage": "run {pipeline} --project {project} --start-from {stage}",
    "start_services": "up",
}
"""The command that takes each action, for those that are no option of another command."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action with what it is applied to, such as `{"project": "ulm-07"}`."""

    name: ActionName
    arguments: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return TEXTS[self.name]


def command_words(action: Action) -> list[str] | None:
    """The words of the command that takes the action, after the program's name; None where an option takes it."""
    template = COMMANDS.get(action.name)
    return None if template is None else shlex.split(filled(template, action))


def command_text(action: Action) -> str:
    """The command as a person types it where the program is on the path; empty where an option takes the action."""
    words = command_words(action)
    return "" if words is None else shlex.join((PROGRAM, *words))


def filled(template: str, action: Action) -> str:
    """The template with the action's arguments, quoted for a shell."""
    return template.format(**{name: shlex.quote(value) for name, value in action.arguments.items()})
