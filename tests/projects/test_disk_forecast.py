"""When a disk will be full, from how it has filled lately."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from winslow_dagster.projects.database.disk_samples import DiskSamples
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.space import DiskForecast, DiskSample
from winslow_dagster.projects.retention.disk_forecast import forecast

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
GIB = 1 << 30
DAY = timedelta(days=1)


def samples(free_gib: list[float], every: timedelta = timedelta(minutes=1)) -> list[DiskSample]:
    """Samples of a disk of 1000 GiB up to now."""
    began = NOW - every * (len(free_gib) - 1)
    return [
        DiskSample(node="ulm", at=began + every * index, free_bytes=round(free * GIB), total_bytes=1000 * GIB)
        for index, free in enumerate(free_gib)
    ]


def told(free_gib: list[float], every: timedelta = timedelta(minutes=1)) -> DiskForecast:
    return forecast(samples(free_gib, every), NOW, DAY, 5.0)


def test_a_disk_that_loses_a_gibibyte_a_minute_is_full_once_the_rest_is_lost() -> None:
    found = told([100.0 - minute for minute in range(41)])
    assert found.full_at is not None
    assert (found.full_at - NOW).total_seconds() == pytest.approx(60 * 60, abs=1)
    assert found.bytes_per_hour == pytest.approx(60 * GIB, rel=1e-6)
    assert found.warns
    assert "full in about 1 h" in found.text
    assert "60 GiB an hour" in found.text


def test_a_trend_is_not_followed_for_much_longer_than_it_was_seen() -> None:
    assert told([900.0 - minute for minute in range(16)]).full_at is None
    hours = told([290.0 - 10 * hour / 6 for hour in range(36)], timedelta(minutes=10))
    assert hours.full_at is not None
    assert timedelta(hours=23) < hours.full_at - NOW <= DAY
    assert hours.warns


def test_a_disk_that_is_full_next_week_or_gains_space_is_no_reason_to_warn() -> None:
    slow = told([900.0 - 2 * hour / 6 for hour in range(36)], timedelta(minutes=10))
    assert (slow.full_at, slow.warns) == (None, False)
    gains = told([100.0 + minute for minute in range(20)])
    assert (gains.full_at, gains.bytes_per_hour, gains.warns) == (None, 0, False)
    assert gains.text == "On the disk of ulm, 119 GiB of 1000 GiB are free."


def test_two_samples_or_a_few_megabytes_are_no_trend() -> None:
    assert told([100.0, 50.0]).full_at is None
    assert told([100.0 - minute / 1024 for minute in range(20)]).full_at is None


def test_little_space_is_a_reason_to_warn_without_a_trend() -> None:
    found = told([49.0] * 10)
    assert (found.full_at, found.warns) == (None, True)


def test_samples_are_kept_for_a_day(records: ProjectRecords) -> None:
    disks = DiskSamples(records.database)
    old, new = samples([10.0, 9.0], timedelta(hours=25))
    disks.add([old])
    disks.add([new, new])
    assert disks.by_node(NOW - 3 * DAY) == {"ulm": (new,)}
    assert disks.by_node(NOW + DAY) == {}
