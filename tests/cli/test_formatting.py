"""How sizes, durations, times and progress read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from winslow_dagster.formatting import format_time


def test_a_time_is_shown_in_utc_with_its_date_and_zone() -> None:
    moment = datetime(2026, 3, 1, 23, 30, 5, 999, tzinfo=UTC)
    assert format_time(moment) == "2026-03-01 23:30:05 UTC"
    assert format_time(moment.astimezone(timezone(timedelta(hours=2)))) == "2026-03-01 23:30:05 UTC"
