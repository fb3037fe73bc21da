"""What `winslow compare --table` and `--log` print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from winslow_dagster.cli.output import console, print_json, print_line, print_table

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.attempt_address import AttemptAddress
    from winslow_dagster.projects.commands.comparisons import ComparisonCommands
    from winslow_dagster.projects.comparison.log_diff import LogDiffRow
    from winslow_dagster.tables.diff import TableDiff

MAX_ROWS = 200
MARKS = {"same": " ", "removed": "-", "added": "+"}

Pair = tuple["AttemptAddress", "AttemptAddress"]


def print_log(comparisons: ComparisonCommands, pair: Pair, *, ignore_times: bool, as_json: bool) -> None:
    """The lines that differ, as long as there are any."""
    rows = _log_rows(comparisons, pair, ignore_times=ignore_times)
    if as_json:
        print_json({"rows": [row.model_dump(mode="json") for row in rows]})
        return
    for row in rows:
        if row.kind == "skipped":
            print_line(f"@@ {row.count} equal lines, from {row.left} and {row.right} on @@")
        else:
            print_line(f"{MARKS[row.kind]} {row.text}{f' … {row.more} more characters' if row.more else ''}")


def _log_rows(comparisons: ComparisonCommands, pair: Pair, *, ignore_times: bool) -> Iterator[LogDiffRow]:
    left: int | None = 1
    right: int | None = 1
    held: LogDiffRow | None = None
    while left is not None and right is not None:
        step = comparisons.log(*pair, first_left=left, first_right=right, ignore_times=ignore_times)
        for row in step.rows:
            if held is not None and held.kind == row.kind == "skipped":
                held = held.model_copy(update={"count": held.count + row.count})
                continue
            if held is not None:
                yield held
            held = row
        left, right = step.next_left, step.next_right
    if held is not None:
        yield held


def print_table_diff(found: TableDiff, *, as_json: bool) -> None:
    """The rows that differ."""
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    output = console()
    for fault in found.faults:
        output.print(f"{found.path}: {fault}", markup=False)
    if found.faults:
        return
    by = f"by {', '.join(found.key)}" if found.key else "by position"
    counts = ", ".join(f"{count} {kind}" for kind, count in found.counts.items())
    output.print(f"{found.path} {by}: {found.same} rows are the same, {counts}", markup=False)
    for title, columns in (("added", found.columns_added), ("removed", found.columns_removed)):
        if columns:
            output.print(f"columns {title}: {', '.join(columns)}", markup=False)
    rows = []
    for row in found.rows:
        sides = [("-", row.left_row, row.left), ("+", row.right_row, row.right)]
        rows += [(f"{mark}{number}", *cells) for mark, number, cells in sides if cells is not None]
    if rows:
        print_table(("row", *found.columns), rows)
    if found.total > len(found.rows):
        output.print(f"{found.total - len(found.rows)} more rows differ", markup=False)
    for note in found.notes:
        output.print(f"note: {note}", markup=False)
