"""How commands print: tables for people, JSON for programs, errors in one shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from winslow_dagster.cli.escaping import harmless

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


def print_line(text: str) -> None:
    """Text and a line feed on stdout."""
    click.echo(harmless(text), color=True)  # else click removes some escape sequences where none does harm


def print_json(value: Any, indent: int | None = 2) -> None:
    """One JSON document on stdout, in ASCII: any pipe can carry it, and no terminal obeys it."""
    print_line(json.dumps(value, indent=indent))


def console(*, stderr: bool = False) -> Console:
    """Where people read: coloured on a terminal, plain in a file, never cut to a terminal's width there."""
    from winslow_dagster.cli.terminal import Output

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
        table.add_row(*(Text(harmless(cell), style=STYLES.get(cell, "")) for cell in row))
    console().print(table)


def say(text: str) -> None:
    """A line for the person at the terminal; on stderr, so that it is never part of a command's output."""
    click.echo(harmless(text, stderr=True), err=True, color=True)


def reporter(*, quiet: bool) -> Callable[[str], None]:
    """`say`, or nothing: with --json, what a program reads on stderr is an error."""
    return (lambda _text: None) if quiet else say


def show_error(problem: dict[str, Any], text: str, *, as_json: bool) -> None:
    """An error on stderr: the problem as JSON, or as text."""
    if as_json:
        say(json.dumps(problem))
    else:
        click.echo(click.style("error: ", fg="red", bold=True), err=True, nl=False)
        say(text)
