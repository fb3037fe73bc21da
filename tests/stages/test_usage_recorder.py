"""What an attempt used over its time, in few points."""

from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.stages.launchers.base import Usage
from winslow_dagster.stages.launchers.process import cgroups
from winslow_dagster.stages.runner import usage_recorder
from winslow_dagster.stages.runner.usage_recorder import MOST_POINTS, UsageRecorder, thinned
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import UsageCurve

BEGIN_S = 1_800_000_000


class Clock:
    """A clock that a test sets."""

    now_s = float(BEGIN_S)

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(usage_recorder, "time", clock)
    return clock


def record(recorder: UsageRecorder, clock: Clock, seconds: int, cpus: float, begin_cpu_s: float = 0.0) -> None:
    for second in range(seconds):
        clock.now_s += 1
        recorder.record(Usage(begin_cpu_s + cpus * second, 1 << 20))


def test_processors_are_what_was_used_between_two_looks(tmp_path: Path, clock: Clock) -> None:
    recorder = UsageRecorder(TaskDirectory(tmp_path))

    record(recorder, clock, 10, cpus=1.5)

    assert recorder.curve.at == tuple(BEGIN_S + second for second in range(1, 10))
    assert recorder.curve.cpus == (1.5,) * 9
    assert set(recorder.curve.memory_bytes) == {1 << 20}
    assert TaskDirectory(tmp_path).usage() == recorder.curve


def test_a_stage_that_runs_for_a_day_has_no_more_points_than_one_of_minutes(tmp_path: Path, clock: Clock) -> None:
    recorder = UsageRecorder(TaskDirectory(tmp_path))

    record(recorder, clock, 20_000, cpus=2.0)

    curve = recorder.curve
    assert MOST_POINTS / 2 <= len(curve.at) <= MOST_POINTS
    assert curve.step_s == 128
    assert curve.at[-1] - curve.at[0] >= 20_000 - 3 * curve.step_s
    assert all(each == pytest.approx(2.0) for each in curve.cpus)


def test_the_next_runner_goes_on_where_the_last_one_was_killed(tmp_path: Path, clock: Clock) -> None:
    record(UsageRecorder(TaskDirectory(tmp_path)), clock, 5, cpus=1.0)
    clock.now_s += 100

    recorder = UsageRecorder(TaskDirectory(tmp_path))
    record(recorder, clock, 5, cpus=3.0, begin_cpu_s=400.0)

    assert recorder.curve.at[0] == BEGIN_S + 1
    assert recorder.curve.at[-1] == BEGIN_S + 109
    assert recorder.curve.cpus[-1] == 3.0


def test_thinning_keeps_what_is_not_known_apart() -> None:
    curve = UsageCurve(at=(10, 11, 12, 13), cpus=(1.0, 3.0, None, None), memory_bytes=(None, 4, 6, 8))

    assert thinned(curve, 2) == UsageCurve(step_s=2, at=(10, 12), cpus=(2.0, None), memory_bytes=(4, 7))


@pytest.mark.parametrize(
    ("files", "cpu_s", "memory_bytes"),
    [
        (
            {"cpuacct.usage": "2500000000", "memory.usage_in_bytes": "100", "memory.stat": "total_inactive_file 30"},
            2.5,
            70,
        ),
        ({"cpu.stat": "usage_usec 1500000", "memory.current": "100", "memory.stat": "inactive_file 40"}, 1.5, 60),
        ({}, None, None),
    ],
)
def test_control_groups_of_both_versions_say_what_is_used(
    tmp_path: Path, files: dict[str, str], cpu_s: float | None, memory_bytes: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")

    assert cgroups.cpu_time_s(tmp_path) == cpu_s
    assert cgroups.memory_bytes(tmp_path) == memory_bytes
