"""What the drone wrote down, compared with what follows from the reference points, or used instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rendered_film import Film

from tracker.cli import main
from tracker.errors import InputMissing
from tracker.telemetry import doubt_about_height, read_telemetry

NEW = """\
{number}
00:00:0{number},000 --> 00:00:0{number},033
<font size="28">FrameCnt: {number}, DiffTime: 33ms
2026-05-05 12:00:00.000
[iso: 100] [shutter: 1/640.0] [fnum: 2.8] [focal_len: 24.00] [latitude: 50.78] [longitude: 6.07] \
[rel_alt: {height:.3f} abs_alt: 250.100] [ct: 5500] </font>

"""
OLD = """\
{number}
00:00:0{number},000 --> 00:00:0{number},999
HOME(6.0700,50.7800) 2026.05.05 12:00:00
GPS(6.0701,50.7801,16) BAROMETER:{height:.1f}
ISO:100 Shutter:640 EV:0 Fnum:F2.8

"""


def subtitles(path: Path, height: float, layout: str = NEW) -> Path:
    path.write_text("".join(layout.format(number=number, height=height + 0.1 * number) for number in range(5)))
    return path


@pytest.mark.parametrize("layout", [NEW, OLD])
def test_the_height_is_the_median_of_all_frames(layout: str, tmp_path: Path) -> None:
    telemetry = read_telemetry([subtitles(tmp_path / "film.SRT", 75.0, layout)])
    assert telemetry is not None
    assert telemetry.height_m == pytest.approx(75.2)


def test_subtitles_without_heights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "film.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with pytest.raises(InputMissing, match="no heights"):
        read_telemetry([tmp_path / "film.srt"])


@pytest.mark.parametrize(
    ("from_points_m", "from_drone_m", "said"),
    [
        (77.0, 75.0, ""),
        (30.0, 22.0, ""),
        (120.0, 75.0, "are the scale and the field of view right?"),
        (246.0, 75.0, "are the points in feet?"),
    ],
)
def test_a_height_that_disagrees_is_a_doubt(from_points_m: float, from_drone_m: float, said: str) -> None:
    doubt = doubt_about_height(from_points_m, from_drone_m)
    assert bool(doubt) == bool(said)
    assert said in doubt


LENS = """\
1
00:00:00,000 --> 00:00:00,033
2026-05-05 12:00:00.000
[iso : 100] {focal} [dzoom_ratio: {zoom}, delta:0],[latitude: 50.78] [longitude: 6.07] [rel_alt: 75.0 abs_alt: 250.1]
"""


@pytest.mark.parametrize(
    ("focal", "zoom", "expected"),
    [
        ("[focal_len: 24.00]", "1.00", 24.0),
        ("[focal_len : 240]", "10000", 24.0),
        ("[focal_len : 240]", "20000", 48.0),
        ("[focal_len : 1620]", "10000", 162.0),
        ("", "10000", None),
    ],
)
def test_the_focal_length_is_in_millimetres_with_the_digital_zoom(
    focal: str, zoom: str, expected: float | None, tmp_path: Path
) -> None:
    (tmp_path / "film.SRT").write_text(LENS.format(focal=focal, zoom=zoom))
    telemetry = read_telemetry([tmp_path / "film.SRT"])
    assert telemetry is not None
    assert telemetry.focal_length_35mm == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("focal", "source", "doubtful"), [("[focal_len: 24.00]", "telemetry", False), ("", "height of the drone", True)]
)
def test_without_a_field_of_view_the_drones_own_is_used(
    focal: str,
    source: str,
    doubtful: bool,  # noqa: FBT001  both kinds
    film: Film,
    tmp_path: Path,
) -> None:
    (tmp_path / "film.SRT").write_text(LENS.format(focal=focal, zoom="1.00"))
    words = ["--input", str(film.outputs), "--output", str(tmp_path / "camera")]
    assert main(["estimate-camera", *words, "--telemetry", str(tmp_path / "film.SRT")]) == 0
    quality = json.loads((tmp_path / "camera" / "camera_quality.json").read_text())
    assert quality["field_of_view"]["source"] == source
    # The film was rendered with 73.7 degrees.
    assert quality["field_of_view"]["horizontal_fov_deg"] == pytest.approx(73.7, abs=3)
    assert any("follows from the drone's height" in doubt for doubt in quality["doubts"]) == doubtful


def test_what_the_drone_wrote_beside_the_film_is_found(film: Film, tmp_path: Path) -> None:
    (tmp_path / "DJI_0001.MP4").symlink_to(film.video)
    subtitles(tmp_path / "DJI_0001.SRT", 150.0)
    subtitles(tmp_path / "DJI_0002.SRT", 20.0)
    words = ["--input", str(film.outputs), "--output", str(tmp_path / "camera"), "--horizontal-fov-deg", "73.7"]
    assert main(["estimate-camera", *words, "--video", str(tmp_path / "DJI_0001.MP4")]) == 0
    quality = json.loads((tmp_path / "camera" / "camera_quality.json").read_text())
    assert quality["height_of_the_drone_m"] == pytest.approx(150.2)


@pytest.mark.parametrize(("height", "doubts"), [(76.0, False), (150.0, True)])
def test_the_camera_is_compared_with_the_drones_height(
    height: float,
    doubts: bool,  # noqa: FBT001  both kinds
    film: Film,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = subtitles(tmp_path / "film.srt", height)
    words = ["--input", str(film.outputs), "--output", str(tmp_path / "camera"), "--telemetry", str(telemetry)]
    assert main(["estimate-camera", *words, "--horizontal-fov-deg", "73.7"]) == 0
    quality = json.loads((tmp_path / "camera" / "camera_quality.json").read_text())
    assert quality["height_of_the_drone_m"] == pytest.approx(height + 0.2)
    assert any("according to the drone" in doubt for doubt in quality["doubts"]) == doubts
    assert ("WARNING: the camera is" in capsys.readouterr().err) == doubts
