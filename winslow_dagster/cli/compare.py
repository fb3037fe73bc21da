"""`winslow compare`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.output import console, json_option, print_json, print_table

if TYPE_CHECKING:
    from winslow_dagster.projects.comparison.compare import Comparison, CrossTable, FilePair, Pair, TablePair
    from winslow_dagster.projects.comparison.csv_summary import ColumnFacts
    from winslow_dagster.projects.comparison.service import ComparisonService

ADDRESS = re.compile(r"(?P<project>[^:]+):(?P<stage>[^:]+):(?P<number>[1-9]\d*)")
MOST_FILES_SHOWN = 50


@click.command("compare")
@click.argument("what", nargs=-1, required=True, metavar="PROJECT STAGE [A B …] | PROJECT:STAGE:A PROJECT:STAGE:B …")
@json_option
def command(what: tuple[str, ...], *, as_json: bool) -> None:
    """Say what differs between two attempts: parameters, results, durations, files, tables.

    A and B count a stage's attempts from 1 over all runs. Without them, or with more than two, the attempts are the
    rows of one table of what differs between them, their results and durations.

    With --json of two: left, right, parameters, results, progress, measures, files, tables, pictures, notes; of
    more: parameters, results, rows, notes.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.comparison.service import ComparisonService

    with Winslow() as winslow:
        comparing = ComparisonService(winslow.records, winslow.store)
        task_ids, side_by_side = _chosen(comparing, what)
        if side_by_side:
            comparison = comparing.two(*task_ids)
            print_json(comparison.model_dump(mode="json")) if as_json else show(comparison)
        else:
            table = comparing.many(task_ids)
            print_json(table.model_dump(mode="json")) if as_json else show_many(table)


def _chosen(comparing: ComparisonService, what: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The attempts' task ids, and whether they are two that stand side by side."""
    if any(":" in word for word in what):
        found = [ADDRESS.fullmatch(word) for word in what]
        attempts = [(match["project"], match["stage"], int(match["number"])) for match in found if match]
        if len(attempts) != len(what) or len(what) == 1:
            raise click.UsageError("attempts of several projects are named PROJECT:STAGE:NUMBER, two or more")
    else:
        project, stage, *numbers = (*what, "") if len(what) == 1 else what
        if not stage or len(numbers) == 1 or not all(number.isdecimal() for number in numbers):
            raise click.UsageError("name a project, its stage, and no attempt or at least two, by their numbers")
        if not numbers:
            return comparing.finished(project, stage), False
        attempts = [(project, stage, int(number)) for number in numbers]
    return tuple(comparing.attempt(*each) for each in attempts), len(attempts) == 2  # noqa: PLR2004  # left and right


def show(comparison: Comparison) -> None:
    """Two attempts, for a person."""
    there = console()
    left, right = comparison.left, comparison.right
    fields = ("started_at", "outcome", "node", "mode", "image_digest", "pipeline_digest")
    print_table(
        ("", left.name, right.name),
        [(name.replace("_", " "), _said(getattr(left, name)), _said(getattr(right, name))) for name in fields],
    )
    if not comparison.differs:
        there.print("\nnothing differs")
    _section("parameters", [(row.path, _said(row.left), _said(row.right)) for row in comparison.parameters])
    for row in comparison.parameters:
        marks = {"both": "", "left": "-", "right": "+"}
        if row.words:
            there.print(
                f"{row.path}: " + "  ".join(f"{marks[part.side]}[{part.text}]" for part in row.words), markup=False
            )
    for title, pairs in (("results", comparison.results), ("progress", comparison.progress), ("", comparison.measures)):
        _section(title or "measures", [_figures(pair) for pair in pairs], ("difference", "ratio"))
    files = comparison.files
    _section(
        "files", [*_files("added", files.added), *_files("removed", files.removed), *_files("changed", files.changed)]
    )
    there.print(f"{files.unchanged_count} files are the same", markup=False)
    for table in comparison.tables:
        _show_table(table)
    for pair in comparison.pictures:
        there.print(f"picture {pair.path} differs", markup=False)
    for note in comparison.notes:
        there.print(f"note: {note}", markup=False)


def _show_table(table: TablePair) -> None:
    rows = [("rows", _said(table.left.rows), _said(table.right.rows))]
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
    """Many attempts, for a person."""
    from winslow_dagster.stages.formatting import format_duration

    print_table(
        ("attempt", *table.parameters, *table.results, "time", "outcome"),
        [
            (
                row.attempt.name,
                *(_said(row.parameters.get(path)) for path in table.parameters),
                *(row.results.get(name, "") for name in table.results),
                "" if row.attempt.duration_s is None else format_duration(row.attempt.duration_s),
                _said(row.attempt.outcome),
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


def _said(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _figures(pair: Pair) -> tuple[str, ...]:
    name = f"{pair.name} ({pair.unit})" if pair.unit else pair.name
    return name, _said(pair.left), _said(pair.right), _said(pair.difference), _said(pair.ratio)


def _files(kind: str, pairs: tuple[FilePair, ...]) -> list[tuple[str, ...]]:
    from winslow_dagster.stages.formatting import format_size

    rows = [
        (f"{kind} {pair.path}", *(format_size(side.size_bytes) if side else "" for side in (pair.left, pair.right)))
        for pair in pairs[:MOST_FILES_SHOWN]
    ]
    return [*rows, (f"{kind}: {len(pairs) - MOST_FILES_SHOWN} more", "", "")] if len(pairs) > MOST_FILES_SHOWN else rows


def _column(facts: ColumnFacts | None) -> str:
    if facts is None:
        return "no numbers"
    return f"{facts.count} numbers, {facts.min:g} … {facts.max:g}, mean {facts.mean:g}, median {facts.median:g}"
