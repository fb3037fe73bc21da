from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.formatting import count_of, format_duration, format_progress, format_size
from winslow_dagster.pipelines.model.stage_rules import PromisedOutput
from winslow_dagster.stages.checks.promised_outputs import broken_promises
from winslow_dagster.stages.task.model import SubjectProgress


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "speed.png").write_bytes(b"x" * 2048)
    (tmp_path / "trajectories.csv").write_bytes(b"x" * 10)
    return tmp_path


def broken(output: Path, glob: str, min_size_bytes: int = 0) -> tuple[str, ...]:
    return broken_promises(output, [PromisedOutput(glob=glob, min_size_bytes=min_size_bytes)])


@pytest.mark.parametrize("glob", ["trajectories.csv", "*.csv", "charts/*.png", "**/*.png", "**"])
def test_a_promise_is_kept_by_one_match(output: Path, glob: str) -> None:
    assert broken(output, glob) == ()


def test_every_match_has_to_be_large_enough(output: Path) -> None:
    assert broken(output, "*.csv", 10) == ()
    assert broken(output, "*.csv", 11) == (
        "the promised output *.csv is too small: trajectories.csv (10 B); expected at least 11 B",
    )


@pytest.mark.parametrize(
    ("glob", "meant"),
    [
        ("Trajectories.csv", "trajectories.csv (10 B)"),
        ("speed.png", "charts/speed.png (2 KiB)"),
        ("trajectory.csv", "trajectories.csv (10 B)"),
        ("out/*.csv", "trajectories.csv (10 B)"),
    ],
)
def test_a_near_miss_is_suggested(output: Path, glob: str, meant: str) -> None:
    assert broken(output, glob) == (f"the promised output {glob} is missing; did you mean {meant}?",)


def test_without_a_near_miss_the_first_few_files_are_named(output: Path) -> None:
    for number in range(5):
        (output / f"frame_{number}.jpg").touch()
    (sentence,) = broken(output, "model.onnx")
    assert sentence.startswith("the promised output model.onnx is missing; the stage wrote charts/speed.png (2 KiB), ")
    assert sentence.endswith(" and 2 more")


def test_a_stage_that_wrote_nothing_is_told_so(tmp_path: Path) -> None:
    assert broken(tmp_path, "*") == ("the promised output * is missing; the stage wrote no files",)


def test_a_directory_keeps_no_promise(output: Path) -> None:
    assert len(broken(output, "charts")) == 1


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (8 << 30, "8 GiB"), (5000 << 40, "5000 TiB")],
)
def test_sizes_are_said_in_binary_units(size_bytes: int, words: str) -> None:
    assert format_size(size_bytes) == words


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [
        (0.26, "0.3 s"),
        (5, "5 s"),
        (41.2, "41 s"),
        (61, "1 m 1 s"),
        (7200, "2 h"),
        (11_520, "3 h 12 m"),
        (190_800, "2 d 5 h"),
    ],
)
def test_durations_are_said_in_the_two_largest_units(duration_s: float, words: str) -> None:
    assert format_duration(duration_s) == words


def test_one_is_no_plural() -> None:
    assert (count_of(1, "file"), count_of(2, "file")) == ("1 file", "2 files")


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (SubjectProgress(subject="frames", current=120), "frames 120"),
        (SubjectProgress(subject="frames", current=120, total=375), "frames 120/375 (32 %)"),
        (SubjectProgress(subject="export", current=32, total=100, unit="%"), "export 32 %"),
        (SubjectProgress(subject="frames", current=1, total=4, remaining_s=70), "frames 1/4 (25 %), 1 m 10 s left"),
    ],
)
def test_progress_is_shown_with_its_total_and_the_time_left(progress: SubjectProgress, text: str) -> None:
    assert format_progress(progress) == text
