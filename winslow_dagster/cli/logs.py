"""`winslow logs`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line, say
from winslow_dagster.cli.run_options import pipeline_option
from winslow_dagster.errors import UsageError

if TYPE_CHECKING:
    from winslow_dagster.stages.log import LogLine, LogReader, Stream
    from winslow_dagster.stages.log.density import Level
    from winslow_dagster.stages.log.search import LogQuery


class Moment(click.ParamType[datetime]):
    """A time as ISO 8601 has it; one without a zone is local."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Raises BadParameter."""
        try:
            return datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(f"{value!r} is not a time; expected such as 2026-05-01T12:00 or 2026-05-01T12:00Z", param, ctx)


MOMENT = Moment()


@click.command("logs")
@click.argument("project")
@click.argument("stage")
@click.option("--follow", is_flag=True, help="Print new lines until the attempt ends.")
@click.option("--errors", is_flag=True, help="Only lines that match the error patterns; stderr if there are none.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--search", metavar="TEXT", help="Only lines with this text; in any case, unless it has capital letters.")
@click.option("--regex", metavar="REGEX", help="Only lines that match this regular expression (RE2 syntax).")
@click.option("--level", type=click.Choice(["error", "warning"]), help="Only lines that match the stage's patterns.")
@click.option("--source", type=click.Choice(["stdout", "stderr", "winslow"]), help="Only lines that this printed.")
@click.option("--since", type=MOMENT, metavar="TIME", help="Only lines from this time on, such as 2026-05-01T12:00Z.")
@click.option("--until", type=MOMENT, metavar="TIME", help="Only lines up to this time.")
@click.option("--attempt", help="An earlier attempt: its number, counted from 1 over all runs, or its task id.")
@pipeline_option
@click.option("--timestamps", is_flag=True, help="Prefix each line with its time in UTC.")
@json_option
def command(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str,
    stage: str,
    tail: int | None,
    search: str | None,
    regex: str | None,
    level: Level | None,
    source: Stream | None,
    since: datetime | None,
    until: datetime | None,
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
        query = query_of(search, regex, level, source, since, until)
        if query is None:
            lines = chosen(reader, tail, follow=follow)
        else:
            if follow or errors or tail is not None:
                raise UsageError(
                    "a search shows all matching lines that are there",
                    expected="no --follow, --tail or --errors beside it",
                    remedy="With --level error, it shows errors",
                )
            lines = handle.log(stage, attempt, pipeline=pipeline).matching(query)
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
            nothing = "no error lines" if errors else "no such line" if query else "the program printed nothing"
            say(f"{project}/{stage}: {nothing}; {handle.outcome_of(stage, attempt, pipeline=pipeline)}")


def query_of(  # noqa: PLR0913, PLR0917  # the conditions, as they are given
    search: str | None,
    regex: str | None,
    level: Level | None,
    source: Stream | None,
    since: datetime | None,
    until: datetime | None,
) -> LogQuery | None:
    """What is searched for; None if nothing is."""
    from winslow_dagster.stages.log.lines import nanoseconds
    from winslow_dagster.stages.log.search import LogQuery

    if search is not None and regex is not None:
        raise UsageError("--search and --regex exclude each other", expected="one of them")
    query = LogQuery(
        (search if regex is None else regex) or "",
        regex=regex is not None,
        level=level,
        stream=source,
        since_ns=None if since is None else nanoseconds(since),
        until_ns=None if until is None else nanoseconds(until),
    )
    return None if query == LogQuery() else query


def chosen(reader: LogReader, tail: int | None, *, follow: bool) -> Iterator[LogLine]:
    """The requested lines."""
    first = 1 if tail is None else max(1, reader.last_number() - tail + 1)
    return reader.follow(first) if follow else reader.lines(first)
