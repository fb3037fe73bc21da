"""`winslow`: the group of commands, and how errors leave the program."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from winslow_dagster.cli.output import JSON_FLAG, show_error
from winslow_dagster.errors import UsageError, WinslowError

COMMANDS = {
    "up": "Keep the services running until Ctrl-C.",
    "run": "Run a pipeline for a project, and follow it to its end.",
    "create": "Make a project, and run nothing yet.",
    "status": "Say how all projects stand, or one.",
    "logs": "Print the log of a stage.",
    "files": "List the files a project made, or copy them.",
    "compare": "Say what differs between two attempts of a stage, or between many.",
    "pause": "Begin no further stage of a project.",
    "resume": "Go on with a project where it stopped.",
    "answer": "Answer what a project asks, and go on.",
    "redo": "Run a stage again, and what follows it, with other parameters.",
    "sweep": "Run a stage once for every combination of values.",
    "pick": "Choose the attempt whose outputs a stage has.",
    "replace": "Put a changed file in the place of one that a stage made.",
    "cancel": "End the run of a project.",
    "history": "Say what was ever run for a project, and what came of it.",
    "note": "Print or replace the notes on a project.",
    "tag": "Print or replace the tags of a project.",
    "todo": "Print or change the list of what is to be done for a project.",
    "audit": "Say who did what, when, and from where.",
    "usage": "Show how much space projects and their stages take.",
    "prune": "List what the retention rules would delete; `--yes` deletes it.",
    "pin": "Keep all of an attempt, whatever the rules say.",
    "unpin": "Let the rules hold again for an attempt.",
    "retention": "Show or replace the retention rules of a project.",
    "ingest": "List files found in watched folders, and retry rejected ones.",
    "pool": "Add, list and remove files that any project may take.",
    "notify": "Try the channels that tell people, and see what was sent.",
    "pipelines": "List, check and show pipeline files.",
    "images": "Make a stage image of a Java program; list the images there are.",
    "doctor": "Say what is there, what is missing, and how to get it.",
    "demo": "Do the main job on a short film, from pipeline file to trajectories.",
}
"""The commands in the order of the help."""
MODULES = (
    dict.fromkeys(("pause", "resume", "answer", "redo", "sweep", "pick", "replace"), "control")
    | dict.fromkeys(("create", "note", "tag", "todo", "history", "audit"), "annotations")
    | dict.fromkeys(("usage", "prune", "pin", "unpin", "retention"), "retention")
)
"""Where the commands are that share a module; each other one is `command` in the module of its name."""

USAGE_EXIT_CODE = UsageError.exit_code
INTERRUPTED_EXIT_CODE = 130
BROKEN_PIPE_EXIT_CODE = 141


class LazyCommands(click.Group):
    """Commands that are imported when they are used; their one line of help stands here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of COMMANDS."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"winslow_dagster.cli.{MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name if cmd_name in MODULES else "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list, without importing one."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def show_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's form
    """Print the version, and end."""
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"winslow {version('winslow-dagster')}")
    except PackageNotFoundError:
        click.echo("winslow, from a source tree that is not installed")
    context.exit()


@click.command(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show the version."
)
def winslow() -> None:
    """Run pipelines of video-analysis stages, and lose nothing when anything is killed.

    Every command takes --json. Exit codes and the settings (WINSLOW_* variables) are in the documentation.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and exit with a code that scripts can use."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    as_json = JSON_FLAG in arguments
    try:
        sys.exit(winslow.main(arguments, prog_name="winslow", standalone_mode=False) or 0)
    except WinslowError as error:
        from winslow_dagster.cli.action_commands import command_for, wording

        action = error.action
        problem = error.problem() | {"command": command_for(action) if action else None}
        show_error(problem, error.text(wording(action)) if action else str(error), as_json=as_json)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        if as_json:
            show_error(UsageError(error.format_message()).problem() | {"command": None}, "", as_json=True)
        else:
            error.show()
        sys.exit(USAGE_EXIT_CODE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED_EXIT_CODE)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE_EXIT_CODE)
