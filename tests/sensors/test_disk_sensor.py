"""The sensor that notes how much is free on the disks, and measures what only they know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import build_sensor_context

from winslow_dagster.engines.factory import open_engine
from winslow_dagster.projects.database.disk_samples import DiskSamples
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.database.space_usage import SpaceUsage
from winslow_dagster.projects.domain.space import DiskSample
from winslow_dagster.sensors.disk import disk_sensor
from winslow_dagster.settings import Settings


def test_each_tick_notes_the_free_space_and_one_in_three_hours_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    settings = Settings.read()
    settings.footage_dir.mkdir(parents=True)
    (settings.footage_dir / "proxy.mp4").write_bytes(b"f" * 1000)
    context = build_sensor_context()
    disk_sensor(context)
    records = ProjectRecords.open(settings.database_url)
    began = datetime.now(UTC) - timedelta(hours=1)
    (samples,) = DiskSamples(records.database).by_node(began).values()
    assert [each.total_bytes > each.free_bytes > 0 for each in samples] == [True]
    sizes = {each.kind: each.size_bytes for each in SpaceUsage(records.database).space(datetime.now(UTC), 1).kinds}
    assert sizes["footage"] == 1000
    (settings.footage_dir / "proxy.mp4").unlink()
    disk_sensor(build_sensor_context(cursor=context.cursor))
    sizes = {each.kind: each.size_bytes for each in SpaceUsage(records.database).space(datetime.now(UTC), 1).kinds}
    assert sizes["footage"] == 1000, "it was measured a moment ago"
    assert [len(each) for each in DiskSamples(records.database).by_node(began).values()] == [2]
    records.close()


def test_a_disk_that_fills_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    settings = Settings.read()
    settings.home.mkdir()
    records = ProjectRecords.open(settings.database_url)
    (now_free,) = open_engine(settings).node_usage()
    now = datetime.now(UTC)
    DiskSamples(records.database).add(
        DiskSample(
            node=now_free.name,
            at=now - timedelta(minutes=minutes),
            free_bytes=now_free.disk_free_bytes + minutes * now_free.disk_free_bytes // 10,
            total_bytes=now_free.disk_total_bytes,
        )
        for minutes in range(1, 14)
    )
    records.close()
    assert "is full in about" in str(disk_sensor(build_sensor_context()))
