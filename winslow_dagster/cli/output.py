"""How commands print: tables for people, JSON for programs, errors in one shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

JSON_FLAG = "--json"
json_option = click.option(JSON_FLAG, "as_json", is_flag=True, help="Print JSON, errors too.")

STYLES = {
    "running": "cyan",
    "queued": "yellow",
    "waiting": "yellow",
    "succeeded": "green",
    "ok": "green",
    "failed": "bold red",
    "missing": "bold red",
    "interrupted": "bold red",
    "warn": "yellow",
    "cancelled": "magenta",
    "pausing": "yellow",
    "paused": "bold yellow",
    "awaiting_input": "bold yellow",
}


def print_json(value: Any) -> None:
    """One JSON document on stdout, in ASCII: any pipe can carry it, and no terminal obeys it."""
    click.echo(json.dumps(value, indent=2))


def console(*, stderr: bool = False) -> Console:
    """Where people read: coloured on a terminal, plain in a file, never cut to a terminal's width there."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the program

    terminal = Output(stderr=stderr, highlight=False)
    return terminal if terminal.is_terminal else Output(stderr=stderr, highlight=False, width=10_000, soft_wrap=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under headings. A cell that names a state is coloured by it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console().print(table)


def say(text: str) -> None:
    """A line for the person at the terminal; on stderr, so that it is never part of a command's output."""
    click.echo(text, err=True)


def reporter(*, quiet: bool) -> Callable[[str], None]:
    """`say`, or nothing: with --json, what a program reads on stderr is an error."""
    return (lambda _text: None) if quiet else say


def show_error(problem: dict[str, Any], text: str, *, as_json: bool) -> None:
    """An error on stderr: the problem as JSON, or as text."""
    if as_json:
        click.echo(json.dumps(problem), err=True)
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True)
