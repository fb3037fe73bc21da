"""The stage contract: directories and variables in; lines, files and exit codes out. Each stage is its own process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rendered_film import Film

from tracker.cli import main
from tracker.tables import read_table

# The environment's own programs; .venv need not be on the PATH.
TRACKER = Path(sys.executable).with_name("tracker")


def tracker(*words: str, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")}
    environ = clean | {name: str(value) for name, value in variables.items()}
    return subprocess.run([TRACKER, *words], env=environ, capture_output=True, text=True, check=False)


def as_winslow(rendered: Film, output: Path) -> dict[str, str | Path]:
    return {
        "WINSLOW_INPUT_DIR": rendered.outputs,
        "WINSLOW_OUTPUT_DIR": output,
        "WINSLOW_RESOURCE_VIDEO": rendered.video,
        "WINSLOW_RESOURCE_REFERENCE_POINTS": rendered.points,
    }


def test_without_points_a_person_is_asked(rendered: Film, tmp_path: Path) -> None:
    variables = as_winslow(rendered, tmp_path)
    del variables["WINSLOW_RESOURCE_REFERENCE_POINTS"]
    variables["WINSLOW_INPUT_DIR"] = tmp_path
    assert tracker("extract-frame", "--output", str(tmp_path / "extract_frame"), **variables).returncode == 0
    ended = tracker("define-reference-points", **variables)
    assert ended.returncode == 75
    assert re.search(r"^WINSLOW_AWAIT_INPUT: .*frame\.jpg", ended.stdout, re.MULTILINE)
    assert (tmp_path / "frame.jpg").stat().st_size > 10_000
    proposed = json.loads((tmp_path / "extract_frame" / "proposed_points.json").read_text())["points"]
    assert len(proposed) >= 6
    assert not (tmp_path / "reference_points.json").exists()


def test_an_answer_is_used(film: Film, tmp_path: Path) -> None:
    ended = tracker("define-reference-points", **as_winslow(film, tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "reference_points.json").exists()
    assert "WINSLOW_RESULT: reference_points=" in ended.stdout


def test_inputs_are_also_found_in_the_resources_directory(rendered: Film, tmp_path: Path) -> None:
    for name, path in (("video", rendered.video), ("reference_points", rendered.points)):
        (tmp_path / "resources" / name).mkdir(parents=True)
        shutil.copy(path, tmp_path / "resources" / name)
    ended = tracker("extract-frame", WINSLOW_RESOURCES_DIR=tmp_path / "resources", WINSLOW_OUTPUT_DIR=tmp_path / "out")
    assert ended.returncode == 0, ended.stderr


def test_progress_lines_match_the_pipeline_file_and_reach_their_total(film: Film, tmp_path: Path) -> None:
    ended = tracker("track-vehicles", **as_winslow(film, tmp_path))
    assert ended.returncode == 0, ended.stderr
    lines = re.findall(r"^progress (\w+) (\d+)/(\d+)$", ended.stdout, re.MULTILINE)
    assert {subject for subject, _, _ in lines} == {"steps"}
    assert lines[-1][1] == lines[-1][2]


def test_an_option_takes_precedence_over_its_variable(film: Film, tmp_path: Path) -> None:
    def vehicles(*words: str, **variables: str) -> int:
        ended = tracker("track-vehicles", *words, **as_winslow(film, tmp_path), **variables)
        return int(re.search(r"WINSLOW_RESULT: vehicles=(\d+)", ended.stdout)[1])

    usual = vehicles()
    assert vehicles(MIN_TRACK_SECONDS="4") < usual
    assert vehicles("--min-track-seconds", "1", MIN_TRACK_SECONDS="4") == usual


def test_an_empty_variable_counts_as_not_set(film: Film, tmp_path: Path) -> None:
    ended = tracker("export-trajectories", **as_winslow(film, tmp_path), EXPORT_RATE_HZ="")
    assert ended.returncode == 0, ended.stderr


def test_a_rate_reduces_the_exported_rows(film: Film, tmp_path: Path) -> None:
    tracker("export-trajectories", **as_winslow(film, tmp_path), EXPORT_RATE_HZ="4")
    every = len((film.outputs / "export_trajectories" / "trajectories.csv").read_text().splitlines())
    fewer = len((tmp_path / "trajectories.csv").read_text().splitlines())
    assert every / 3.6 < fewer < every / 2.4


def test_rerunning_a_stage_writes_the_same_bytes(film: Film, tmp_path: Path) -> None:
    assert tracker("detect-vehicles", **as_winslow(film, tmp_path)).returncode == 0
    again, before = (path / "detections.parquet" for path in (tmp_path, film.outputs / "detect_vehicles"))
    assert again.read_bytes() == before.read_bytes()


def test_a_road_polygon_excludes_vehicles_outside(film: Film, tmp_path: Path) -> None:
    data = json.loads((film.outputs / "estimate_camera" / "ground.json").read_text())
    width, height = film.size
    data["road_polygon_px"] = [[0, 0], [width / 2, 0], [width / 2, height - 1], [0, height - 1]]
    outputs = tmp_path / "outputs"
    shutil.copytree(film.outputs, outputs)
    (outputs / "estimate_camera" / "ground.json").write_text(json.dumps(data))
    ended = tracker("detect-vehicles", **(as_winslow(film, tmp_path / "out") | {"WINSLOW_INPUT_DIR": outputs}))
    assert ended.returncode == 0, ended.stderr
    found = read_table(tmp_path / "out" / "detections.parquet")
    assert len(found["x_px"]) > 10
    assert found["x_px"].max() <= width / 2 + 1


def test_help_lists_every_stage_and_every_parameter_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "define-reference-points" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["detect-vehicles", "--help"])
    assert "[DETECTION_THRESHOLD]" in capsys.readouterr().out
