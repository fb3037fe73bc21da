"""`winslow`: the group of commands, and how errors leave the program."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from winslow_dagster.cli.output import JSON_FLAG, show_error
from winslow_dagster.cli.streams import discard_output, open_streams, require_utf8, use_utf8
from winslow_dagster.errors import UsageError, WinslowError
from winslow_dagster.privacy import hide_environment

COMMANDS = {
    "up": "Run the services until Ctrl-C.",
    "run": "Run a pipeline for a project, and follow the run to its end.",
    "create": "Create a project without running it.",
    "status": "Show the status of all projects or of one.",
    "list": "List projects: all, those of a saved view, or deleted ones.",
    "views": "List, save and delete saved lists of projects.",
    "logs": "Print the log of a stage.",
    "files": "List, copy or archive the output files of a project.",
    "share": "Make, list and revoke links to files for people without an account.",
    "frame": "Save one frame of a video as a picture.",
    "compare": "Show what differs between attempts.",
    "pause": "Pause a project once its running stages finish.",
    "resume": "Continue a project where it stopped.",
    "answer": "Show or answer the open questions of a project.",
    "redo": "Run a stage and those that follow it again, with other settings.",
    "sweep": "Run a stage once for each combination of values.",
    "sweeps": "List the sweeps of a project, or the runs of one.",
    "pick": "Choose the attempt whose outputs a stage uses.",
    "replace": "Replace an output file of a stage.",
    "cancel": "Cancel the run of a project.",
    "dismiss": "Take note of failed projects: they no longer wait for you.",
    "delete": "Delete projects, which can be restored for a while.",
    "restore": "Restore deleted projects.",
    "history": "Show a project's run history.",
    "lineage": "Show which outputs of a project were made from which.",
    "note": "Print or replace the notes on a project.",
    "tag": "Print or replace the tags of a project.",
    "todo": "Print or change the to-do list of a project.",
    "audit": "Show who did what, when, and from where.",
    "usage": "Show how much space projects and their stages take.",
    "prune": "List what the retention rules would delete; `--yes` deletes it.",
    "pin": "Keep an attempt, whatever the retention rules say.",
    "unpin": "Unpin an attempt.",
    "retention": "Show or replace the retention rules of a project.",
    "quota": "Limit the space of projects and people.",
    "rules": "Show, try and replace the retention rules for all projects.",
    "ingest": "List watched folders and their files; retry or dismiss rejected ones.",
    "upload": "Send files to the pool of a server, also over a bad connection.",
    "pool": "Find, add, rename, replace and delete files that any project may use.",
    "variables": "Show, try and replace the variables for all pipelines, or for some.",
    "secret": "Store, list and remove secrets, such as passwords of stages.",
    "user": "Add, list and change the people who may log in.",
    "session": "List and end log-ins.",
    "token": "Create, list and revoke tokens of programs.",
    "login-link": "Print a link that logs in once.",
    "owner": "Show or change who may act on a project.",
    "notify": "Add, test and remove notification channels, and list sent messages.",
    "queue": "Show what waits to run and why, and change its order.",
    "nodes": "List the machines that run stages, and drain one.",
    "node": "Let this machine join a Slurm cluster, and leave it.",
    "pipelines": "List, check and show pipeline files.",
    "images": "List stage images; build one for a Java program.",
    "doctor": "Check the installation.",
    "demo": "Analyze a short film from start to finish.",
}
"""The commands, in the order in which help lists them."""
MODULES = (
    dict.fromkeys(("pause", "resume", "redo", "sweep", "pick", "replace"), "control")
    | dict.fromkeys(("create", "note", "tag", "todo", "history", "audit"), "annotations")
    | dict.fromkeys(("delete", "restore"), "delete")
    | dict.fromkeys(("user", "session", "token", "login-link", "owner"), "accounts")
    | dict.fromkeys(("usage", "prune", "pin", "unpin", "retention"), "retention")
)
"""The commands that share a module. Any other is `command` in the module of its name."""

PROGRAM = "winslow"
COMPLETION = "_WINSLOW_COMPLETE"
"""Set by the shell that asks for completions."""
USAGE_EXIT_CODE = UsageError.exit_code
INTERRUPTED_EXIT_CODE = 130
BROKEN_PIPE_EXIT_CODE = 141


class LazyCommands(click.Group):
    """Commands that are imported when they are used; their one-line help is in COMMANDS."""

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
        command: click.Command = getattr(module, cmd_name.replace("-", "_") if cmd_name in MODULES else "command")
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
    """Run video-analysis pipelines. Results survive any crash.

    Every command takes --json. The documentation lists exit codes and settings (WINSLOW_* variables).
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and exit with a code that scripts can use."""
    if arguments is None:
        use_utf8()
    hide_environment()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    open_streams()
    as_json = JSON_FLAG in arguments
    try:
        require_utf8(arguments)
        run(arguments)
        sys.stdout.flush()
        sys.exit(0)
    except WinslowError as error:
        sys.exit(told(error, as_json=as_json))
    except click.ClickException as error:
        if as_json:
            show_error(UsageError(error.format_message()).problem() | {"command": None}, "", as_json=True)
        else:
            error.show()
        sys.exit(USAGE_EXIT_CODE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED_EXIT_CODE)
    except BrokenPipeError:
        # The reader of our output, such as `head`, has exited.
        discard_output()
        sys.exit(BROKEN_PIPE_EXIT_CODE)
    except OSError as error:
        # A path that a person gave, or, without a name, where the output goes.
        if error.filename is None:
            discard_output()
        what = error.strerror or str(error)
        sys.exit(told(WinslowError(what, where=str(error.filename or "")), as_json=as_json))


def run(arguments: list[str]) -> None:
    """Run the command line like click's own `main`, which would end the program for a broken pipe in its own way."""
    if COMPLETION in os.environ:
        winslow.main(arguments, prog_name=PROGRAM)
    try:
        with winslow.make_context(PROGRAM, arguments) as context:
            winslow.invoke(context)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)


def told(error: WinslowError, *, as_json: bool) -> int:
    """Show the error; returns its exit code."""
    from winslow_dagster.cli.action_commands import command_for, wording

    action = error.action
    problem = error.problem() | {"command": command_for(action) if action else None}
    show_error(problem, error.text(wording(action)) if action else str(error), as_json=as_json)
    return error.exit_code
