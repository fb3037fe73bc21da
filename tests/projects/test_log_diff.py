"""Two logs against each other, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.projects.comparison import log_diff as room
from winslow_dagster.projects.comparison.edit_script import matches
from winslow_dagster.projects.comparison.log_diff import LinesFrom, LogDiffRow, log_diff
from winslow_dagster.stages.log import LogLine

LOG = st.lists(st.sampled_from("abcdef"), max_size=60)


def log(texts: Sequence[str]) -> LinesFrom:
    def lines_from(first: int) -> Iterator[LogLine]:
        for number, text in enumerate(texts, 1):
            if number >= first:
                yield LogLine(number, "2026-01-02T03:04:05.000000000Z", "stdout", text)

    return lines_from


def whole(left: Sequence[str], right: Sequence[str], *, ignore_times: bool = False) -> list[LogDiffRow]:
    """All steps."""
    rows: list[LogDiffRow] = []
    at: tuple[int | None, int | None] = (1, 1)
    while at[0] is not None and at[1] is not None:
        step = log_diff(log(left), log(right), first_left=at[0], first_right=at[1], ignore_times=ignore_times)
        assert (step.next_left, step.next_right) != at
        rows += step.rows
        at = (step.next_left, step.next_right)
    return rows


def sides(rows: Sequence[LogDiffRow], left: Sequence[str], right: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both logs, put together from a comparison."""
    one: list[str] = []
    other: list[str] = []
    for row in rows:
        if row.kind == "skipped":
            assert row.left
            assert row.right
            one += left[row.left - 1 : row.left - 1 + row.count]
            other += right[row.right - 1 : row.right - 1 + row.count]
            continue
        one += [row.text] if row.left else []
        other += [row.text] if row.right else []
    return one, other


@given(LOG, LOG, st.integers(0, 60))
def test_equal_parts_are_equal_in_order_and_the_most_there_are(left: list[str], right: list[str], most: int) -> None:
    found, complete = matches(left, right, most)
    at = (0, 0)
    for match in found:
        assert match.length > 0
        assert (match.left >= at[0], match.right >= at[1]) == (True, True)
        assert left[match.left : match.left + match.length] == right[match.right : match.right + match.length]
        at = (match.left + match.length, match.right + match.length)
    common = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            common[i + 1][j + 1] = common[i][j] + 1 if one == other else max(common[i][j + 1], common[i + 1][j])
    edits = len(left) + len(right) - 2 * common[-1][-1]
    assert complete == (edits <= most)
    if complete:
        assert sum(match.length for match in found) == common[-1][-1]


@given(LOG, LOG, st.integers(2, 8), st.integers(1, 6), st.integers(1, 9))
def test_a_comparison_has_all_lines_of_both_logs_whatever_the_limits_are(
    left: list[str], right: list[str], lines: int, edits: int, rows: int
) -> None:
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(room, "WINDOW_LINES", lines)
        limits.setattr(room, "MOST_EDITS", edits)
        limits.setattr(room, "MOST_ROWS", rows)
        found = whole(left, right)
    assert sides(found, left, right) == (left, right)


def test_only_what_differs_is_shown_with_the_lines_around_it() -> None:
    left = [f"frame {number}" for number in range(10_000)]
    right = [*left[:5_000], "warning: dark", *left[5_000:9_000], *left[9_001:]]
    rows = whole(left, right)
    shown = [(row.kind, row.left, row.right) for row in rows if row.kind in {"added", "removed"}]
    assert shown == [("added", None, 5_001), ("removed", 9_001, None)]
    assert sum(row.kind == "same" for row in rows) == 12
    assert sides(rows, left, right) == (left, right)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-01-02 03:04:05,123 INFO ready", "2027-12-31 23:59:59,999 INFO ready"),
        ("2026-01-02T03:04:05Z ready", "2026-01-02T03:04:06.5+01:00 ready"),
        ("took 3.25 s", "took 14 s"),
        ("took 1h 2min 3s", "took 59min 3.5s"),
        ("100/100 [00:12<00:00, 8.21it/s]", "100/100 [01:02<00:00, 1.6it/s]"),
        ("[12:30:01] done in 350ms", "[23:59:59.123] done in 1200ms"),
    ],
)
def test_times_and_durations_are_ignored_on_demand(one: str, other: str) -> None:
    assert {row.kind for row in whole([one], [other])} == {"removed", "added"}
    assert {row.kind for row in whole([one], [other], ignore_times=True)} == {"skipped"}


@pytest.mark.parametrize(("one", "other"), [("3 cars", "4 cars"), ("speed 3.5 m", "speed 4.5 m"), ("v1.2.3", "v1.2.4")])
def test_other_numbers_are_not_times(one: str, other: str) -> None:
    assert {row.kind for row in whole([one], [other], ignore_times=True)} == {"removed", "added"}


def test_a_step_ends_after_its_time_and_goes_on_where_it_was() -> None:
    lines = [f"line {number}" for number in range(50_000)]
    seconds = iter(range(1_000))
    step = log_diff(log(lines), log(lines), clock=lambda: float(next(seconds)))
    assert (step.next_left, step.next_right) == (2_001, 2_001)
    assert [row.count for row in step.rows] == [2_000]


def test_a_very_long_line_is_shown_in_part() -> None:
    (removed, added) = whole(["x" * 10_000], ["y" * 10])
    assert (len(removed.text), removed.more, added.more) == (2_000, 8_000, 0)
