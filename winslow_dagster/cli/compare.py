"""`winslow compare`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table
from winslow_dagster.cli.run_options import pipeline_option

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.attempt_address import AttemptAddress
    from winslow_dagster.projects.comparison.compare import Comparison, CrossTable, FilePair, Pair, TablePair
    from winslow_dagster.projects.comparison.csv_summary import ColumnFacts

MAX_FILES_SHOWN = 50


@click.command("compare")
@click.argument("what", nargs=-1, required=True, metavar="PROJECT STAGE [A B …] | PROJECT:STAGE:A PROJECT:STAGE:B …")
@click.option("--everything", is_flag=True, help="Of two attempts: show equal parameters and files, too.")
@click.option("--table", metavar="PATH", help="Of two attempts: show the rows of this table that differ.")
@click.option("--key", "keys", multiple=True, metavar="COLUMN", help="Identifies the rows of --table; repeatable.")
@click.option("--log", is_flag=True, help="Of two attempts: show the lines of the logs that differ.")
@click.option("--ignore-times", is_flag=True, help="With --log: ignore times and durations within the lines.")
@pipeline_option
@json_option
def command(  # noqa: PLR0913  # one per option
    what: tuple[str, ...],
    pipeline: str | None,
    table: str | None,
    keys: tuple[str, ...],
    *,
    everything: bool,
    log: bool,
    ignore_times: bool,
    as_json: bool,
) -> None:
    """Show what differs between attempts: parameters, results, durations, files, tables.

    Name an attempt by its number, counted from 1 over all runs of its stage, or by its task id. Two attempts are shown
    side by side. More than two, or, without any, all finished attempts of the stage, become the rows of one table.

    With --json of two: left, right, parameters, results, progress, measures, files, tables, pictures, notes; of
    more: parameters, results, rows, notes. With --table, see TableDiff in the Python API; with --log: rows.
    """
    from winslow_dagster.cli.compare_parts import MAX_ROWS, print_log, print_table_diff
    from winslow_dagster.projects.comparison.compare import Comparison

    with open_installation() as winslow:
        attempts = _addresses(what)
        if table is not None or log or everything:
            if attempts is None or len(attempts) != 2:  # noqa: PLR2004  # left, right
                raise click.UsageError("--table, --log and --everything need two attempts")
            pair = (attempts[0], attempts[1])
            if table is not None:
                rows = winslow.comparisons.table(*pair, table, key=keys or None, count=MAX_ROWS)
                print_table_diff(rows, as_json=as_json)
                return
            if log:
                print_log(winslow.comparisons, pair, ignore_times=ignore_times, as_json=as_json)
                return
        found: Comparison | CrossTable
        if attempts is None:
            found = winslow.project(what[0]).compare_all(what[1], pipeline=pipeline)
        else:
            found = winslow.comparisons.two(*attempts, everything=True) if everything else winslow.compare(attempts)
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif isinstance(found, Comparison):
        show(found)
    else:
        show_many(found)


def _addresses(what: tuple[str, ...]) -> list[AttemptAddress] | None:
    """The attempts that are named; None for all finished attempts of one stage."""
    from winslow_dagster.errors import InputRejected
    from winslow_dagster.projects.commands.attempt_address import AttemptAddress

    if any(":" in word for word in what):
        if len(what) == 1:
            raise click.UsageError("name at least two attempts as PROJECT:STAGE:ATTEMPT")
        try:
            return [AttemptAddress.parse(word) for word in what]
        except InputRejected as error:
            raise click.UsageError(str(error)) from error
    if len(what) < 2 or len(what) == 3:  # noqa: PLR2004  # project and stage; with one attempt there is nothing to compare
        raise click.UsageError("name a project and a stage, and no attempt or at least two")
    project, stage, *numbers = what
    return [AttemptAddress(project, stage, number) for number in numbers] or None


def show(comparison: Comparison) -> None:
    """Two attempts side by side."""
    output = console()
    left, right = comparison.left, comparison.right
    fields = ("started_at", "outcome", "node", "mode", "image_digest", "pipeline_digest")
    print_table(
        ("", left.name, right.name),
        [(name.replace("_", " "), _text(getattr(left, name)), _text(getattr(right, name))) for name in fields],
    )
    if not comparison.differs:
        output.print("\nNothing differs.")
    _section("parameters", [(row.path, _text(row.left), _text(row.right)) for row in comparison.parameters])
    for row in comparison.parameters:
        marks = {"both": "", "left": "-", "right": "+"}
        if row.words:
            output.print(
                f"{row.path}: " + "  ".join(f"{marks[part.side]}[{part.text}]" for part in row.words), markup=False
            )
    for title, pairs in (("results", comparison.results), ("progress", comparison.progress), ("", comparison.measures)):
        _section(title or "measures", [_figures(pair) for pair in pairs], ("difference", "ratio"))
    files = comparison.files
    _section(
        "files", [*_files("added", files.added), *_files("removed", files.removed), *_files("changed", files.changed)]
    )
    output.print(f"{files.unchanged_count} files are the same", markup=False)
    for table in comparison.tables:
        _show_table(table)
    for pair in comparison.pictures:
        output.print(f"picture {pair.path} differs", markup=False)
    for note in comparison.notes:
        output.print(f"note: {note}", markup=False)


def _show_table(table: TablePair) -> None:
    rows = [("rows", _text(table.left.rows), _text(table.right.rows))]
    rows += [(f"column {name}", "", "added") for name in table.columns_added]
    rows += [(f"column {name}", "removed", "") for name in table.columns_removed]
    rows += [(column.name, _column(column.left), _column(column.right)) for column in table.columns]
    _section(f"table {table.path}", rows)
    for side, facts in (("left", table.left), ("right", table.right)):
        if facts.fault:
            console().print(f"{side}: {facts.fault}", markup=False)
        if facts.cut:
            console().print(f"{side}: only the first {facts.read_bytes} of {facts.size_bytes} bytes were read")


def show_many(table: CrossTable) -> None:
    """Many attempts as the rows of a table."""
    from winslow_dagster.formatting import format_duration

    print_table(
        ("attempt", *table.parameters, *table.results, "time", "outcome"),
        [
            (
                row.attempt.name,
                *(_text(row.parameters.get(path)) for path in table.parameters),
                *(row.results.get(name, "") for name in table.results),
                "" if row.attempt.duration_s is None else format_duration(row.attempt.duration_s),
                _text(row.attempt.outcome),
            )
            for row in table.rows
        ],
    )
    for note in table.notes:
        console().print(f"note: {note}", markup=False)


def _section(title: str, rows: Iterable[tuple[str, ...]], more: tuple[str, ...] = ()) -> None:
    rows = list(rows)
    if rows:
        console().print()
        print_table((title, "left", "right", *more), rows)


def _text(value: object) -> str:
    from winslow_dagster.formatting import format_time

    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_time(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _figures(pair: Pair) -> tuple[str, ...]:
    name = f"{pair.name} ({pair.unit})" if pair.unit else pair.name
    return name, _text(pair.left), _text(pair.right), _text(pair.difference), _text(pair.ratio)


def _files(kind: str, pairs: tuple[FilePair, ...]) -> list[tuple[str, ...]]:
    from winslow_dagster.formatting import format_size

    rows = [
        (f"{kind} {pair.path}", *(format_size(side.size_bytes) if side else "" for side in (pair.left, pair.right)))
        for pair in pairs[:MAX_FILES_SHOWN]
    ]
    return [*rows, (f"{kind}: {len(pairs) - MAX_FILES_SHOWN} more", "", "")] if len(pairs) > MAX_FILES_SHOWN else rows


def _column(facts: ColumnFacts | None) -> str:
    if facts is None:
        return "no numbers"
    return f"{facts.count} numbers, {facts.min:g} … {facts.max:g}, mean {facts.mean:g}, median {facts.median:g}"
