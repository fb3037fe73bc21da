from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.stages.log.progress import Pace, Reading, number
from winslow_dagster.stages.task.model import SubjectProgress

S = 1_000_000_000


def after(readings: list[tuple[float, float]], total: float | None = 1_000.0) -> Pace:
    """The pace after readings of (second, current)."""
    (first_s, first), *others = readings
    pace = Pace.starting(Reading(current=first, total=total), int(first_s * S))
    for at_s, current in others:
        pace = pace.after(Reading(current=current, total=total), int(at_s * S))
    return pace


def seen(pace: Pace, now_s: float) -> SubjectProgress:
    return pace.seen("frames", int(now_s * S))


def test_one_reading_tells_nothing_about_the_end() -> None:
    assert seen(after([(0, 100)]), 10).remaining_s is None


def test_without_a_total_nothing_is_told_either() -> None:
    assert seen(after([(0, 0), (10, 100)], total=None), 10).remaining_s is None


def test_a_steady_pace_gives_the_true_time() -> None:
    pace = after([(second, second * 2.0) for second in range(101)])
    assert seen(pace, 100).remaining_s == pytest.approx(400)
    assert seen(pace, 100).elapsed_s == 100


def test_between_readings_the_time_runs_down() -> None:
    pace = after([(second, second * 10.0) for second in range(0, 60, 10)])
    assert seen(pace, 50).remaining_s == pytest.approx(50)
    assert seen(pace, 55).remaining_s == pytest.approx(45)


def test_a_stage_that_hangs_is_told_from_one_that_is_nearly_done() -> None:
    pace = after([(second, second * 10.0) for second in range(0, 60, 10)])
    waiting = [seen(pace, now_s).remaining_s or 0 for now_s in (60, 120, 600, 3_600)]
    assert waiting == sorted(waiting)
    assert waiting[-1] > 10 * waiting[0]


def test_after_a_change_of_pace_the_new_one_counts() -> None:
    slow = [(float(second), second * 1.0) for second in range(101)]
    fast = [(100.0 + second, 100 + second * 8.0) for second in range(1, 91)]
    remaining_s = seen(after(slow + fast), 190).remaining_s
    assert remaining_s == pytest.approx(180 / 8, rel=0.1)


def test_bursts_do_not_shake_the_estimate() -> None:
    readings = [(0.0, 0.0)]
    for second in range(1, 200):
        readings += [(second - 0.9, second * 2.0 - 1), (second - 0.89, second * 2.0)]
    assert seen(after(readings), 199).remaining_s == pytest.approx((1_000 - 398) / 2, rel=0.05)


def test_at_the_end_nothing_remains_and_the_clock_stops() -> None:
    done = seen(after([(0, 0), (10, 1_000)]), 500)
    assert (done.remaining_s, done.elapsed_s) == (0, 10)


def test_a_second_pass_begins_a_new_estimate() -> None:
    pace = after([(0, 0), (10, 900), (11, 1)])
    assert seen(pace, 11).remaining_s is None
    assert seen(pace.after(Reading(current=2, total=1_000), 12 * S), 12).remaining_s == pytest.approx(998)


def test_a_clock_that_is_set_back_breaks_nothing() -> None:
    pace = after([(100, 0), (110, 100), (50, 200)])
    assert seen(pace, 50).elapsed_s == 10
    assert seen(pace, 50).remaining_s is not None


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 2e3)), min_size=1, max_size=30), st.floats(0, 2e9))
def test_no_log_makes_a_time_that_cannot_be_shown(readings: list[tuple[float, float]], now_s: float) -> None:
    shown = seen(after(readings), now_s)
    assert shown.elapsed_s >= 0
    assert shown.remaining_s is None or 0 <= shown.remaining_s < float("inf")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234", 1_234),
        (" 12.5 ", 12.5),
        ("12,5", 12.5),
        ("1,234,567", 1_234_567),
        ("1,234.5", 1_234.5),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("1.2.3", None),
        (None, None),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str | None, value: float | None) -> None:
    assert number(text) == value
