from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attempts import Place, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@contextmanager
def small_disk(path: Path, size_mib: int) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "none", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_stage_is_not_started_on_a_disk_that_is_nearly_full(place: Place) -> None:
    with small_disk(place.home / "tasks", 32):
        result = place.run("echo ran")
        assert (result.outcome, result.exit_code) == ("failed", None)
        assert "of 32 MiB free" in result.message
        assert "expected at least 64 MiB" in result.message
        assert "Free space" in result.message


def test_a_disk_with_little_room_is_warned_of(place: Place) -> None:
    with small_disk(place.home / "tasks", 128):
        task = place.task("true")
        assert place.serve(task).outcome == "succeeded"
        assert "the stage may run out of space" in place.runner_lines(task)


def test_a_stage_that_fills_the_disk_fails_for_that_and_its_end_is_still_written_down(place: Place) -> None:
    with small_disk(place.home / "tasks", 80):
        fill = 'dd if=/dev/zero of="$WINSLOW_OUTPUT_DIR/big" bs=1M count=500 2>/dev/null || exit 7'
        result = place.run(fill)
        assert (result.outcome, result.exit_code) == ("failed", 7)
        assert result.message.startswith("the disk is full")
        assert "of 80 MiB free" in result.message


def test_a_stage_that_does_not_notice_that_the_disk_is_full_has_not_succeeded(place: Place) -> None:
    with small_disk(place.home / "tasks", 80):
        fill = 'dd if=/dev/zero of="$WINSLOW_OUTPUT_DIR/big" bs=1M count=500 2>/dev/null || true'
        result = place.run(fill)
        assert (result.outcome, result.exit_code, result.outputs) == ("failed", 0, None)
        assert result.message.startswith("the disk was full")
        assert "the outputs and the log may be incomplete" in result.message


def test_a_stage_that_fills_the_disk_with_its_log_is_ended_for_that(place: Place) -> None:
    with small_disk(place.home / "tasks", 80):
        noise = 'dd if=/dev/zero of="$WINSLOW_OUTPUT_DIR/big" bs=1M count=500 2>/dev/null; yes || exit 5'
        result = place.run(noise)
        assert result.outcome == "failed"
        assert "the disk" in result.message


LINES = 200_000
LEFT_BYTES = 512 * 1024
"""Enough for a runner to start, and too little for that many lines."""
PRINTS_ON_DEMAND = f"""cd "$WINSLOW_OUTPUT_DIR"; touch ready; while [ ! -e go ]; do sleep 0.1; done
rm ready go; seq {LINES}; touch done"""


def test_a_stage_whose_log_does_not_fit_on_the_disk_has_not_succeeded(place: Place) -> None:
    with small_disk(place.home / "tasks", 160):
        task = place.task(PRINTS_ON_DEMAND)
        output = place.directory(task).output
        place.kill_runner_once(task, "the stage runs", (output / "ready").exists)
        (output / "go").touch()
        until("it has printed everything without a runner", (output / "done").exists)
        ballast = place.home / "tasks" / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64k"], capture_output=True, check=False)
        os.truncate(ballast, ballast.stat().st_size - LEFT_BYTES)
        result = place.serve(task)
        assert (result.outcome, result.exit_code) == ("failed", 0)
        assert result.message.startswith("the disk was full (the disk that holds ")
        assert "so the outputs and the log may be incomplete" in result.message
        assert "the rest of the log is missing: it cannot be written: " in place.runner_lines(task)
        assert place.lines(task) == [str(number + 1) for number in range(place.printed(task))]
