"""The drone's own height, compared with the one that follows from the reference points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rendered_film import Film

from tracker.cli import main
from tracker.errors import InputMissing
from tracker.telemetry import doubt_about_height, height_m

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
    assert height_m(subtitles(tmp_path / "film.SRT", 75.0, layout)) == pytest.approx(75.2)


def test_subtitles_without_heights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "film.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with pytest.raises(InputMissing, match="has no heights"):
        height_m(tmp_path / "film.srt")


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


def test_the_parts_of_a_split_film_are_reported_with_how_to_join_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "video").mkdir()
    for name in ("DJI_0001.MP4", "DJI_0002.MP4"):
        (tmp_path / "video" / name).write_bytes(b"part")
    words = ["--resources", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main(["extract-frame", *words]) == 10
    assert "are joined without loss by ffmpeg -f concat" in capsys.readouterr().err


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
