"""`winslow logs`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line, say
from winslow_dagster.cli.run_options import pipeline_option

if TYPE_CHECKING:
    from winslow_dagster.stages.log import LogLine, LogReader


@click.command("logs")
@click.argument("project")
@click.argument("stage")
@click.option("--follow", is_flag=True, help="Print new lines until the attempt ends.")
@click.option("--errors", is_flag=True, help="Only lines that match the error patterns; stderr if there are none.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--attempt", help="An earlier attempt: its number, counted from 1 over all runs, or its task id.")
@pipeline_option
@click.option("--timestamps", is_flag=True, help="Prefix each line with its time in UTC.")
@json_option
def command(  # noqa: PLR0913  # click hands over each option, by name
    project: str,
    stage: str,
    tail: int | None,
    attempt: str | None,
    pipeline: str | None,
    *,
    follow: bool,
    errors: bool,
    timestamps: bool,
    as_json: bool,
) -> None:
    """Print the log of STAGE of PROJECT, while it runs or after it has ended; on stderr why, if it printed nothing.

    With --json, one object a line: {"number", "at", "stream", "text"}; stream is stdout, stderr or winslow.
    """
    with open_installation() as winslow:
        handle = winslow.project(project)
        reader = handle.logs(stage, attempt, pipeline=pipeline)
        lines = chosen(reader, tail, follow=follow)
        printed = False
        if errors:
            lines = handle.error_lines(stage, lines, attempt, pipeline=pipeline)
        for line in lines:
            printed = printed or line.stream != "winslow"
            if as_json:
                fields = {"number": line.number, "at": line.stamp, "stream": line.stream, "text": line.text}
                print_json(fields, indent=None)
            else:
                print_line(f"{line.stamp} {line.text}" if timestamps else line.text)
        if not printed and not as_json and tail is None:
            nothing = "no error lines" if errors else "the program printed nothing"
            say(f"{project}/{stage}: {nothing}; {handle.outcome_of(stage, attempt, pipeline=pipeline)}")


def chosen(reader: LogReader, tail: int | None, *, follow: bool) -> Iterator[LogLine]:
    """The requested lines."""
    first = 1 if tail is None else max(1, reader.last_number() - tail + 1)
    return reader.follow(first) if follow else reader.lines(first)
