"""`winslow logs`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.output import json_option

if TYPE_CHECKING:
    from winslow_dagster.stages.log import LogLine, LogReader


@click.command("logs")
@click.argument("project")
@click.argument("stage")
@click.option("--follow", is_flag=True, help="Go on until the attempt has ended.")
@click.option("--errors", is_flag=True, help="Only lines that the stage's error patterns match; else those of stderr.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--attempt", type=click.IntRange(min=1), help="An earlier attempt, counted from 1 over all runs.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time, in UTC.")
@json_option
def command(  # noqa: PLR0913  # click hands over each option, by name
    project: str,
    stage: str,
    tail: int | None,
    attempt: int | None,
    *,
    follow: bool,
    errors: bool,
    timestamps: bool,
    as_json: bool,
) -> None:
    """Print the log of a STAGE of PROJECT: live where it runs, from the store where it has ended.

    With --json, one object a line: {"number", "at", "stream", "text"}; stream is stdout, stderr or winslow.
    """
    from winslow_dagster import Winslow

    with Winslow() as winslow:
        handle = winslow.project(project)
        reader = handle.logs(stage, attempt)
        lines = chosen(reader, tail, follow=follow)
        if errors:
            lines = only_errors(lines, handle.error_patterns(stage))
        for line in lines:
            if as_json:
                said = {"number": line.number, "at": line.stamp, "stream": line.stream, "text": line.text}
                click.echo(json.dumps(said, ensure_ascii=False))
            else:
                click.echo(f"{line.stamp} {line.text}" if timestamps else line.text)


def chosen(reader: LogReader, tail: int | None, *, follow: bool) -> Iterator[LogLine]:
    """The lines asked for."""
    first = 1 if tail is None else max(1, reader.last_number() - tail + 1)
    return reader.follow(first) if follow else reader.lines(first)


def only_errors(lines: Iterator[LogLine], patterns: tuple[str, ...]) -> Iterator[LogLine]:
    """Those that one of the patterns matches; where there is none, those of stderr."""
    from winslow_dagster.stages.log.patterns import LinePattern

    compiled = [LinePattern(pattern) for pattern in patterns]
    for line in lines:
        if any(pattern.search(line.text) for pattern in compiled) or (not compiled and line.stream == "stderr"):
            yield line
