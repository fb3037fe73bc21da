"""docs/cli.md, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from winslow_dagster import errors
from winslow_dagster.cli.main import (
    BROKEN_PIPE_EXIT_CODE,
    COMMANDS,
    INTERRUPTED_EXIT_CODE,
    USAGE_EXIT_CODE,
    LazyCommands,
    winslow,
)

HEAD = """\
# The command line

Use the `winslow` command to run pipelines and to work on projects from a shell. This page lists every command;
`make docs` generates it.

Results go to stdout, messages and errors to stderr. With `--json`, a command prints one JSON document (`winslow logs`:
one object per line), and an error is one JSON object on stderr with `error`, `what`, `where`, `expected`, `remedy`,
`action` and `command`. Fields may be added, but are never removed. Progress bars and colors appear only on a terminal.
Characters of logs, messages and names that would control a terminal or change the direction of text appear there as
`\\u001b`; in files and pipes they remain unchanged.

"""
OTHER_CODES = {
    0: "Success.",
    USAGE_EXIT_CODE: "The command line or a setting is invalid.",
    INTERRUPTED_EXIT_CODE: "Interrupted with Ctrl-C. A run that was being followed continues.",
    BROKEN_PIPE_EXIT_CODE: "The reader of the output has exited.",
}


def cli_page() -> str:
    """The whole page."""
    context = click.Context(winslow, info_name="winslow")
    sections = [HEAD, *_commands(context), _exit_codes()]
    return "".join(sections)


def _commands(context: click.Context) -> Iterator[str]:
    group = context.command
    assert isinstance(group, LazyCommands)  # noqa: S101  # it is `winslow`
    for name in COMMANDS:
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            within = click.Context(command, info_name=name, parent=context)
            for inner in command.list_commands(within):
                found = command.get_command(within, inner)
                if found is not None:
                    yield _section(found, click.Context(found, info_name=inner, parent=within))
        elif command is not None:
            yield _section(command, click.Context(command, info_name=name, parent=context))


def _section(command: click.Command, context: click.Context) -> str:
    pieces = " ".join(command.collect_usage_pieces(context))
    options = [option for option in command.params if isinstance(option, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    rows = "".join(f"| `{_cell(names)}` | {_cell(says)} |\n" for names, says in records)
    help_text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    head = f"## {context.command_path}\n`{context.command_path} {pieces}`\n\n{help_text}\n\n"
    return f"{head}| option | |\n|---|---|\n{rows}\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _exit_codes() -> str:
    codes = {code: [says] for code, says in OTHER_CODES.items()}
    for error in _all_errors(errors.WinslowError):
        summary = (error.__doc__ or "").split("\n", 1)[0]
        codes.setdefault(error.exit_code, []).append(f"{error.__name__}: {summary}")
    rows = "".join(f"| {code} | {_cell(' '.join(codes[code]))} |\n" for code in sorted(codes))
    return f"## Exit codes\n| code | |\n|---|---|\n{rows}"


def _all_errors(kind: type[errors.WinslowError]) -> Iterator[type[errors.WinslowError]]:
    """Those of errors.py, in its order."""
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, kind):
            yield value
