"""The stage detect_vehicles on a small film: each detector, its errors, and determinism."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rendered_film import Film

from tracker.cli import main
from tracker.detectors.boxes import CLASS_SCORES, KINDS
from tracker.tables import read_table

COLUMNS = {
    "frame", "time_s", "x_m", "y_m", "heading_deg", "length_m", "width_m", "score", "whole", "x_px", "y_px", "class",
    "source", "position_std_m", "network_x_m", "network_y_m", "lean_x_m", "lean_y_m", "lean_length_m", "lean_width_m",
    "car_score", "truck_bus_score", "two_wheeler_score",
}  # fmt: skip


NAMES = {"background.jpg", "detections.parquet", "looks.parquet"}


def detect(film: Film, output: Path, *words: str) -> int:
    return main(["detect-vehicles", "--input", str(film.outputs), "--output", str(output), *words])


@pytest.mark.parametrize(("detector", "sources"), [("network", {"network"}), ("motion", {"motion"})])
def test_each_detector_works_on_its_own(detector: str, sources: set[str], film: Film, tmp_path: Path) -> None:
    assert detect(film, tmp_path / "out", "--detector", detector, "--detection-rate-hz", "1") == 0
    found = read_table(tmp_path / "out" / "detections.parquet")
    assert set(found) == COLUMNS
    assert set(found["source"]) == sources
    assert len(np.unique(found["frame"])) >= 10


def test_the_default_detector_is_fused_and_classifies_vehicles(film: Film) -> None:
    found = read_table(film.outputs / "detect_vehicles" / "detections.parquet")
    assert set(found) == COLUMNS
    assert {"fused", "network"} <= set(found["source"])
    assert np.mean(found["class"] == "car") > 0.5
    both = np.isfinite(found["network_x_m"])
    assert set(found["source"][both]) == {"fused"}
    apart = np.hypot(found["network_x_m"] - found["x_m"], found["network_y_m"] - found["y_m"])[both]
    assert 0 < np.median(apart) < 0.5
    assert (film.outputs / "detect_vehicles" / "background.jpg").stat().st_size > 10_000


def test_detections_have_the_scores_of_each_class_where_the_network_looked(film: Film) -> None:
    looks = read_table(film.outputs / "detect_vehicles" / "looks.parquet")
    scores = np.column_stack([looks[name] for name in CLASS_SCORES])
    assert np.isfinite(scores).all()
    assert np.array_equal(np.array(KINDS, object)[scores.argmax(axis=1)], looks["class"])
    assert np.allclose(scores.max(axis=1), looks["score"])
    boxes_ = read_table(film.outputs / "detect_vehicles" / "detections.parquet")
    known = np.isfinite(boxes_[CLASS_SCORES[0]])
    assert set(boxes_["frame"][known]) >= set(looks["frame"])
    assert 0.1 < known.mean() < 0.9
    assert not known[boxes_["source"] == "motion"].any()


def test_recall_and_precision_on_the_road_are_high(film: Film) -> None:
    found = read_table(film.outputs / "detect_vehicles" / "detections.parquet")
    truth = read_table(film.directory / "truth.csv")
    hits = visible = false = 0
    for frame in np.unique(found["frame"]):
        found_rows, true_rows = found["frame"] == frame, truth["frame"] == frame
        distances = np.hypot(
            found["x_m"][found_rows][:, None] - truth["x_m"][true_rows],
            found["y_m"][found_rows][:, None] - truth["y_m"][true_rows],
        )
        seen = truth["visible"][true_rows] == 1
        hits += int((distances.min(axis=0) < 1.5)[seen].sum())
        visible += int(seen.sum())
        # On this map the roads run along both axes.
        on_road = np.minimum(np.abs(found["x_m"][found_rows]), np.abs(found["y_m"][found_rows])) < 8
        false += int((distances.min(axis=1) > 1.5)[on_road].sum())
    print(f"recall {hits / visible:.3f}, false {false / len(found['frame']):.3f}")
    assert hits > 0.93 * visible
    assert false < 0.06 * len(found["frame"])


@pytest.mark.slow
def test_one_worker_and_three_write_the_same_bytes(film: Film, tmp_path: Path) -> None:
    for workers in ("1", "3"):
        assert detect(film, tmp_path / workers, "--detection-rate-hz", "2", "--workers", workers) == 0
        assert {path.name for path in (tmp_path / workers).iterdir()} == NAMES
    for name in sorted(NAMES):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


@pytest.mark.slow
def test_a_killed_search_reuses_finished_stretches(film: Film, tmp_path: Path) -> None:
    kept, output = tmp_path / "kept", tmp_path / "out"
    words = ["--detection-rate-hz", "2", "--workers", "1"]
    assert detect(film, tmp_path / "whole", *words) == 0
    files = ["--input", film.outputs, "--output", output, "--checkpoint", kept]
    command = [sys.executable, "-m", "tracker", "detect-vehicles", *files, *words]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while killed.poll() is None and not list(kept.glob(".checkpoint/*/00000.parquet")):
        os.sched_yield()
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (output / "detections.parquet").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "stretches were already done" in again.stdout
    assert "progress background" not in again.stdout
    assert (output / "detections.parquet").read_bytes() == (tmp_path / "whole" / "detections.parquet").read_bytes()
    assert list(kept.iterdir()) == []


def test_an_unusable_model_has_its_own_exit_code(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").write_text("no network")
    code = detect(film, tmp_path / "out", "--detector", "model", "--model-file", str(tmp_path / "model.onnx"))
    assert code == 20
    assert "model.onnx is not an ONNX network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--detector", "model"], 10, "DETECTOR is 'model', but there is no model"),
        (["--detector", "magic"], 2, "Expected fused, network, motion, model"),
        (["--provider", "tensorrt"], 2, "PROVIDER is 'tensorrt'"),
        (["--model-file", "nowhere.onnx"], 10, "MODEL_FILE is nowhere.onnx"),
    ],
)
def test_an_unavailable_detector_is_reported(  # noqa: PLR0913, PLR0917  what is given and what is expected
    words: list[str], code: int, message: str, film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(film, tmp_path / "out", *words) == code
    assert message in capsys.readouterr().err


def test_footage_without_vehicles_is_reported_and_the_background_kept(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nothing is as large as the vehicles to detect.
    words = ("--detector", "motion", "--min-area-m2", "5000", "--detection-rate-hz", "1")
    assert detect(film, tmp_path / "out", *words) == 15
    assert "no vehicle was detected in any frame" in capsys.readouterr().err
    assert (tmp_path / "out" / "background.jpg").is_file()
    assert not (tmp_path / "out" / "detections.parquet").exists()
