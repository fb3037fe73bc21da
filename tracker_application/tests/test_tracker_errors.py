"""Invalid footage, points and parameters: each gives a clear message and its own exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from rendered_film import Film

from tracker.cli import main
from tracker.video import VideoWriter


@pytest.fixture
def define(rendered: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the first two stages; returns the exit code and standard error."""

    def run(video: Path = rendered.video, points: Path = rendered.points) -> tuple[int, str]:
        code = begin(tmp_path / "out", video, points)
        return code, capsys.readouterr().err

    return run


def begin(outputs: Path, video: Path, points: Path) -> int:
    """Run the first two stages into subdirectories of `outputs`; returns the exit code of the last one."""
    outputs.mkdir(exist_ok=True)
    files = ["--input", str(outputs), "--video", str(video), "--reference-points", str(points)]
    code = 0
    for stage in ("extract-frame", "define-reference-points"):
        code = code or main([stage, *files, "--output", str(outputs / stage.replace("-", "_"))])
    return code


@pytest.fixture
def points_file(rendered: Film, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """A modified copy of the correct points file."""

    def write(change: Callable[[dict[str, Any]], None]) -> Path:
        data = json.loads(rendered.points.read_text())
        change(data)
        path = tmp_path / "points.json"
        path.write_text(json.dumps(data))
        return path

    return write


def film_of(path: Path, pictures: list[np.ndarray], rate_fps: float = 10) -> Path:
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width, height, rate_fps) as writer:
        for index, picture in enumerate(pictures):
            writer.write(picture, index / rate_fps)
    return path


def test_a_text_file_is_not_a_video(define: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_text("these are words\n" * 100)
    code, errors = define(video=tmp_path / "film.mp4")
    assert code == 11
    assert errors.startswith("ERROR: film.mp4 is not a video")


def test_an_audio_file_is_not_a_video(define: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    code, errors = define(video=tmp_path / "song.mp4")
    assert code == 11
    assert "no video, only audio" in errors


def test_a_video_cut_off_within_two_seconds_is_rejected(
    rendered: Film, define: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    whole = rendered.video.read_bytes()
    (tmp_path / "film.mp4").write_bytes(whole[: len(whole) // 10])
    code, errors = define(video=tmp_path / "film.mp4")
    assert code == 12
    assert re.search(r"is cut off after [01]\.\d of 12\.0 s", errors)


def test_a_video_without_its_index_is_reported_as_cut_off(
    tmp_path: Path, define: Callable[..., tuple[int, str]]
) -> None:
    random = np.random.default_rng(0)
    with av.open(str(tmp_path / "whole.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for _ in range(20):
            picture = random.integers(0, 255, (180, 320, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "film.mp4").write_bytes(whole[: whole.index(b"moov") - 4])
    code, errors = define(video=tmp_path / "film.mp4")
    assert code == 12
    assert "no index (moov)" in errors


def test_a_missing_video_is_reported(define: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, errors = define(video=tmp_path / "film.mp4")
    assert code == 10
    assert "this file does not exist" in errors


def test_dark_and_blurred_footage_is_reported_early(define: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    black = film_of(tmp_path / "black.mp4", [np.zeros((720, 1280, 3), np.uint8)] * 12)
    code, errors = define(video=black)
    assert code == 0
    assert "WARNING: the frame at 0.00 s is nearly black" in errors
    assert "WARNING: the video is only 1.2 s long" in errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(points=[]), "has no points"),
        (lambda data: data.update(points=data["points"][:3]), "gives no scale: only 3 of its 3 points"),
        (
            lambda data: [point.pop("x_m") and point.pop("y_m") for point in data["points"]],
            "gives no scale: only 0 of its",
        ),
        (lambda data: data["points"][1].update(x_px=5000), "outside the frame of 1280x720 pixels: point"),
        (lambda data: data["points"][0].pop("x_m"), "has y_m but not both"),
        (lambda data: data["points"][0].update(x_px="left"), "'left' is not a number"),
        (lambda data: [point.update(y_px=300) for point in data["points"]], "are collinear (in pixels)"),
        (lambda data: data["frame"].update(width_px=3840, height_px=2160), "is for 3840x2160 pixels"),
        (lambda data: data.update(poinst=[]), "unknown field poinst"),
        (lambda data: data.update(road_polygon_px=[[0, 0], [9, 9]]), "has only 2 corners"),
        (
            lambda data: data.update(known_length={"from_px": [1, 1], "to_px": [1, 1], "length_m": 2}),
            "greater than zero",
        ),
    ],
)
def test_invalid_points_are_rejected_with_the_reason(
    change: Callable[[dict[str, Any]], None],
    message: str,
    define: Callable[..., tuple[int, str]],
    points_file: Callable[..., Path],
) -> None:
    code, errors = define(points=points_file(change))
    assert code == 13
    assert message in errors


def test_points_that_are_not_json_are_rejected(define: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "points.json").write_text("{points")
    code, errors = define(points=tmp_path / "points.json")
    assert code == 13
    assert "not valid JSON" in errors


def test_one_known_length_gives_the_scale(
    define: Callable[..., tuple[int, str]], points_file: Callable[..., Path]
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["points"] = []
        data["known_length"] = {"from_px": [100, 100], "to_px": [200, 100], "length_m": 9.1}

    code, errors = define(points=points_file(change))
    assert code == 0, errors


def test_a_change_of_location_loses_the_reference_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(3)
    here, elsewhere = (
        cv2.resize(random.integers(0, 255, (45, 80, 3), dtype=np.uint8), (640, 360), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    )
    video = film_of(tmp_path / "film.mp4", [here] * 30 + [elsewhere] * 30)
    points = tmp_path / "points.json"
    points.write_text(json.dumps({"known_length": {"from_px": [0, 0], "to_px": [100, 0], "length_m": 10}}))
    files = ["--video", str(video), "--input", str(tmp_path)]
    assert begin(tmp_path, video, points) == 0
    code = main(["track-reference-points", *files, "--output", str(tmp_path / "track_reference_points")])
    errors = capsys.readouterr().err
    assert code == 14
    assert "the reference points were lost at 2.90 s" in errors


def test_a_road_without_vehicles_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(4)
    road = cv2.resize(random.integers(60, 120, (90, 160, 3), dtype=np.uint8), (640, 360), interpolation=cv2.INTER_CUBIC)
    video = film_of(tmp_path / "film.mp4", [road] * 40)
    points = tmp_path / "points.json"
    points.write_text(json.dumps({"known_length": {"from_px": [0, 0], "to_px": [100, 0], "length_m": 10}}))
    words = ["run", "--video", str(video), "--reference-points", str(points), "--output", str(tmp_path / "outputs")]
    assert main(words) == 15
    assert "Look at background.jpg; try a lower DETECTION_THRESHOLD or NETWORK_SCORE" in capsys.readouterr().err


def test_a_missing_earlier_stage_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["track-vehicles", "--input", str(tmp_path), "--output", str(tmp_path / "out")]) == 10
    assert "Run `tracker estimate-camera` first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("MIN_TRACK_SECONDS", "two"), ("MIN_TRACK_SECONDS", "-1"), ("GATE_M", "nan")]
)
def test_an_invalid_number_is_rejected(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["track-vehicles", "--input", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert f"{name} is {value!r}. Expected a number at least" in capsys.readouterr().err
