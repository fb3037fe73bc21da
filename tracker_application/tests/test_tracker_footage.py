"""All kinds of footage: decoding, sharing among workers, and warnings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import PictureType
from drifting_film import HEIGHT, WIDTH, begin, drifting, follow, found, ground, stage, write

from tracker.contract import StageFiles
from tracker.detectors.options import Parameters
from tracker.detectors.searching import read_ground, views_of
from tracker.footage import open_footage
from tracker.homographies import read_homographies
from tracker.lens import Lens
from tracker.proxy import open_proxy, proxy_size
from tracker.segments import frames_of, plan


def frames_decoded(path: Path) -> list[tuple[float, bytes]]:
    with open_footage(path, threads=1) as film:
        return [(frame.time_s, frame.luma().tobytes()) for frame in film.frames()]


KINDS: dict[str, dict[str, str]] = {
    "closed": {"bf": "2", "x264-params": "open-gop=0"},
    "open": {"bf": "3", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"},
    "no B-frames": {"bf": "0"},
    "one key frame": {"g": "10000", "x264-params": "scenecut=0"},
}
SUFFIXES = [".mp4", pytest.param(".mkv", marks=pytest.mark.slow), pytest.param(".ts", marks=pytest.mark.slow)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_segments_cover_the_film_exactly(kind: str, suffix: str, tmp_path: Path) -> None:
    video = write(tmp_path / f"film{suffix}", drifting(150), options=KINDS[kind])
    with open_footage(video, threads=1) as film:
        segments = plan(film, np.inf)
        parts = [[(f.time_s, f.luma().tobytes()) for f in frames_of(film, segment)] for segment in segments]
    assert len(segments) == (1 if kind == "one key frame" else 4)
    assert [frame for part in parts for frame in part] == frames_decoded(video)
    assert sum(len(part) for part in parts) == 150


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_frame_at_a_time_is_the_one_that_decoding_from_the_start_finds(
    kind: str, suffix: str, tmp_path: Path
) -> None:
    video = write(tmp_path / f"film{suffix}", drifting(150), options=KINDS[kind])
    whole = frames_decoded(video)
    for step_s in (0.07, 0.4, 1.1, 2.3):
        wanted_s = np.arange(0, whole[-1][0], step_s)
        with open_footage(video, threads=1) as film:
            found = [(frame.time_s, frame.luma().tobytes()) for frame in film.frames_at(wanted_s)]
            almost_s = 0.25 / film.facts.rate_fps
        assert found == [next(frame for frame in whole if frame[0] >= time_s - almost_s) for time_s in wanted_s]


def test_start_offsets_and_variable_rates_keep_each_frames_time(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = np.random.default_rng(0).choice([33, 50, 84], 120)
    ticks = (7000 + np.cumsum(steps)).tolist()
    video = write(outputs.parent / "film.mkv", drifting(120), ticks=ticks)
    begin(outputs, video)
    assert "WARNING: the frame rate varies" in capsys.readouterr().err
    assert follow(outputs, video) == 0
    table, _ = read_homographies(outputs / "track_reference_points" / "homographies.csv")
    assert np.allclose(table["time_s"], (np.array(ticks) - ticks[0]) / 1000, atol=1e-6)
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        assert [frame.index for frame in proxy.frames()] == list(range(120))
        for frame in proxy.frames_at([3, 70, 70, 71, 119]):
            assert abs(float(frame.decoded.time or 0) - proxy.times_s[frame.index]) < 1e-3


def test_proxy_frames_can_be_read_individually_and_with_gaps(outputs: Path) -> None:
    steps = np.random.default_rng(1).choice([33, 50, 84], 80)
    video = write(outputs.parent / "film.mkv", drifting(80), ticks=np.cumsum(steps).tolist(), options={"g": "20"})
    begin(outputs, video)
    assert follow(outputs, video) == 0
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        whole = [frame.luma().copy() for frame in proxy.frames()]
        assert len(proxy.key_rows) >= 4
        assert set(proxy.key_rows) < set(range(80))
        for rows in ([[row] for row in range(80)], [range(0, 80, step) for step in (1, 2, 3, 6)], [proxy.key_rows]):
            for wanted in rows:
                found = list(proxy.frames_at(wanted))
                assert [frame.index for frame in found] == list(wanted)
                assert all(np.array_equal(frame.luma(), whole[frame.index]) for frame in found)
        referred = [row for row in range(proxy.key_rows[1]) if row % 3 == 0]
        assert [PictureType(frame.decoded.pict_type) for frame in proxy.frames_at(referred)][1:] == [PictureType.P] * (
            len(referred) - 1
        )


@pytest.mark.slow
def test_one_worker_and_three_write_the_same_bytes(outputs: Path) -> None:
    video = write(outputs.parent / "film.mp4", drifting(160), options=KINDS["open"])
    begin(outputs, video)
    wrote = []
    for workers in ("1", "3"):
        assert follow(outputs, video, "--workers", workers) == 0
        directory = outputs / "track_reference_points"
        assert sorted(path.name for path in directory.iterdir()) == [
            "film.json",
            "homographies.csv",
            "point_quality.csv",
            "proxy.mp4",
        ]
        wrote.append([(directory / name).read_bytes() for name in ("homographies.csv", "proxy.mp4")])
    assert wrote[0] == wrote[1]


@pytest.mark.slow
def test_a_killed_stage_reuses_finished_segments(outputs: Path, tmp_path: Path) -> None:
    video = write(tmp_path / "film.mp4", drifting(300), options=KINDS["closed"])
    begin(outputs, video)
    assert follow(outputs, video, "--workers", "1") == 0
    directory, kept = outputs / "track_reference_points", tmp_path / "kept"
    expected = [(directory / name).read_bytes() for name in ("homographies.csv", "proxy.mp4")]
    shutil.rmtree(directory)
    words = ["track-reference-points", "--input", outputs, "--output", directory, "--video", video, "--workers", "1"]
    command = [sys.executable, "-m", "tracker", *words, "--checkpoint", kept]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while killed.poll() is None and not list(kept.glob(".checkpoint/*/00001.npz")):
        os.sched_yield()
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in kept.glob(".checkpoint/*/0*.[nm]p[z4]")}
    assert len(done) >= 4
    assert not (directory / "homographies.csv").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "segments were already done" in again.stdout
    first = next(line for line in again.stdout.splitlines() if line.startswith("progress"))
    assert int(first.split()[2].split("/")[0]) > 2 * 40  # started after the frames of the finished segments
    assert [(directory / name).read_bytes() for name in ("homographies.csv", "proxy.mp4")] == expected
    assert list(kept.iterdir()) == []


def test_pieces_of_other_parameters_are_not_reused(outputs: Path, tmp_path: Path) -> None:
    video = write(tmp_path / "film.mp4", drifting(60))
    begin(outputs, video)
    stale = tmp_path / "kept" / ".checkpoint" / "0123" / "00000.npz"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of another film")
    assert follow(outputs, video, "--checkpoint", str(tmp_path / "kept")) == 0
    assert not stale.exists()


@pytest.mark.parametrize("turned_deg", [90, *(pytest.param(deg, marks=pytest.mark.slow) for deg in (180, -90))])
def test_a_video_rotated_by_metadata_is_used_upright(turned_deg: int, outputs: Path) -> None:
    upright = drifting(50)
    video = write(
        outputs.parent / "film.mp4",
        [np.ascontiguousarray(np.rot90(picture, -turned_deg // 90)) for picture in upright],
        turned_deg=turned_deg,
    )
    begin(outputs, video)
    assert follow(outputs, video) == 0
    frame = json.loads((outputs / "track_reference_points" / "film.json").read_text())["reference_frame"]
    assert (frame["width_px"], frame["height_px"]) == (WIDTH, HEIGHT)
    shown = cv2.imread(str(outputs / "extract_frame" / "frame.jpg"))
    assert cv2.absdiff(shown, upright[0]).mean() < 8
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        last = next(proxy.frames_at([49]))
        assert cv2.absdiff(last.colours(WIDTH, HEIGHT), upright[49]).mean() < 8
        assert np.allclose(proxy.matrices[49][:2, 2], [49 / 4, 49 / 8], atol=0.4)


def test_pixels_that_are_not_square_become_square(outputs: Path) -> None:
    wide = drifting(50)
    narrow = [cv2.resize(picture, (WIDTH * 3 // 4, HEIGHT), interpolation=cv2.INTER_AREA) for picture in wide]
    video = write(outputs.parent / "film.mp4", narrow, pixel_aspect=Fraction(4, 3))
    begin(outputs, video)
    facts = found(outputs)
    assert (facts["reference_frame"]["width_px"], facts["reference_frame"]["height_px"]) == (WIDTH, HEIGHT)
    assert facts["video"]["pixel_aspect"] == pytest.approx(4 / 3)
    assert follow(outputs, video) == 0
    assert cv2.absdiff(cv2.imread(str(outputs / "extract_frame" / "frame.jpg")), wide[0]).mean() < 8
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        assert (proxy.width_px, proxy.height_px) == (WIDTH, HEIGHT)
        assert np.allclose(proxy.matrices[49][:2, 2], [49 / 4, 49 / 8], atol=0.4)


def test_interlaced_films_are_reported_and_every_other_line_is_used(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = drifting(100)
    woven = []
    for first, second in zip(pictures[::2], pictures[1::2], strict=True):
        woven.append(first.copy())
        woven[-1][1::2] = second[1::2]
    video = write(outputs.parent / "film.mp4", woven, options={"x264-params": "tff=1"})
    begin(outputs, video, "--reference-time-s", "0")
    assert "WARNING: the footage is interlaced" in capsys.readouterr().err
    assert follow(outputs, video) == 0
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        assert proxy.registered.all()
        assert np.allclose(proxy.matrices[49][:2, 2], [98 / 4, 98 / 8], atol=0.4)


def test_ten_bits_are_rounded_and_hdr_is_reported(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write(outputs.parent / "film.mp4", drifting(50), pixel_format="yuv420p10le", transfer=16)
    begin(outputs, video)
    assert "WARNING: the footage is HDR (PQ)" in capsys.readouterr().err
    assert found(outputs)["video"]["bit_depth"] == 10
    assert follow(outputs, video) == 0
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        assert cv2.absdiff(next(proxy.frames()).luma(), cv2.cvtColor(drifting(1)[0], cv2.COLOR_BGR2GRAY)).std() < 12


def test_the_existing_part_of_a_truncated_video_is_used(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write(outputs.parent / "whole.mp4", drifting(160), options={"movflags": "+faststart"})
    with (
        av.open(str(video)) as source,
        av.open(str(outputs.parent / "film.mp4"), "w", options={"movflags": "+faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole = (outputs.parent / "film.mp4").read_bytes()
    cut = outputs.parent / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    begin(outputs, cut)
    assert "is cut off after" in capsys.readouterr().err
    assert follow(outputs, cut) == 0
    count = len(read_homographies(outputs / "track_reference_points" / "homographies.csv")[0]["frame"])
    assert 60 < count < 130
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        assert sum(1 for _ in proxy.frames()) == count


def test_black_frames_are_not_chosen_as_the_reference_frame(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = drifting(120)
    pictures[:12] = [np.zeros_like(pictures[0])] * 12
    video = write(outputs.parent / "film.mp4", pictures)
    begin(outputs, video)
    assert "nearly black" in capsys.readouterr().err
    assert found(outputs)["reference_frame"]["time_s"] >= 0.6
    assert follow(outputs, video) == 0
    table, _ = read_homographies(outputs / "track_reference_points" / "homographies.csv")
    assert not table["registered"][:12].any()
    assert table["registered"][18:].all()  # found again within a quarter of a second


def test_the_longer_first_part_before_a_jump_cut_is_kept(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write(outputs.parent / "film.mp4", drifting(110) + drifting(90, seed=2), options=KINDS["closed"])
    begin(outputs, video)
    assert "do not match the reference frame" in capsys.readouterr().err
    assert follow(outputs, video) == 0
    assert "the reference points were lost at 5.45 s" in capsys.readouterr().err
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        assert sum(1 for _ in proxy.frames()) == 110


def test_a_camera_that_is_moved_is_found_again(outputs: Path) -> None:
    picture = ground()
    jumped = [picture[90:450, 110:750]] * 30
    video = write(outputs.parent / "film.mp4", drifting(60) + [np.ascontiguousarray(p) for p in jumped])
    begin(outputs, video)
    assert follow(outputs, video) == 0
    table, matrices = read_homographies(outputs / "track_reference_points" / "homographies.csv")
    assert table["registered"].all()
    assert np.allclose(matrices[-1][:2, 2], [70, 50], atol=0.5)


def test_a_covered_point_is_rejected_and_the_others_suffice(outputs: Path) -> None:
    pictures = drifting(60)
    for picture in pictures[26:35]:  # not on a frame that is used when points are proposed
        picture[100:250, 200:400] = 128
    video = write(outputs.parent / "film.mp4", pictures)
    begin(outputs, video, "--reference-time-s", "0")
    assert follow(outputs, video) == 0
    table, matrices = read_homographies(outputs / "track_reference_points" / "homographies.csv")
    assert table["inliers"][30] < table["inliers"][5]
    shifts = matrices[:, :2, 2] - matrices[0, :2, 2]
    assert np.abs(shifts - np.outer(np.arange(60), [1 / 4, 1 / 8])).max() < 0.5


def test_lens_distortion_is_removed_from_frame_homographies_and_proxy(outputs: Path) -> None:
    lens = Lens(WIDTH, HEIGHT, 73.7, -0.12, 0.02)
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    straight = lens.undistorted(np.column_stack([x.ravel(), y.ravel()])).reshape(HEIGHT, WIDTH, 2).astype(np.float32)
    flat = drifting(50)
    filmed = [cv2.remap(picture, straight, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT) for picture in flat]
    video = write(outputs.parent / "film.mp4", filmed)
    lens_options = ["--lens-k1", "-0.12", "--lens-k2", "0.02"]
    begin(outputs, video, *lens_options, "--reference-time-s", "0")
    assert follow(outputs, video, *lens_options) == 0
    _, matrices = read_homographies(outputs / "track_reference_points" / "homographies.csv")
    middle = matrices[49] @ [WIDTH / 2, HEIGHT / 2, 1]
    corner = matrices[49] @ [40, 30, 1]
    for place, before in ((middle, (WIDTH / 2, HEIGHT / 2)), (corner, (40, 30))):
        assert np.allclose(place[:2] / place[2] - before, [49 / 4, 49 / 8], atol=0.3)
    inside = np.s_[30:-30, 50:-50]
    frame = cv2.imread(str(outputs / "extract_frame" / "frame.jpg"))
    bent = cv2.absdiff(filmed[0], flat[0])[inside].mean()
    assert cv2.absdiff(frame, flat[0])[inside].mean() < bent / 3
    with open_proxy(StageFiles(outputs, outputs, outputs)) as proxy:
        last = next(proxy.frames_at([49])).colours(WIDTH, HEIGHT)
    assert cv2.absdiff(last, flat[49])[inside].mean() < bent / 3


@pytest.mark.parametrize(
    ("film", "metres_per_pixel", "size"),
    [
        ((3840, 2160), 0.03, (1920, 1080)),
        ((3840, 2160), 0.07, (2688, 1512)),
        ((3840, 2160), 0.3, (3840, 2160)),
        ((1281, 721), 0.3, (1280, 720)),
    ],
)
def test_the_proxy_is_as_fine_as_the_network_needs(
    film: tuple[int, int], metres_per_pixel: float, size: tuple[int, int]
) -> None:
    assert proxy_size(*film, metres_per_pixel) == size


def test_a_film_from_high_up_is_searched_at_its_own_size(outputs: Path) -> None:
    large = [cv2.resize(picture, (2240, 1260), interpolation=cv2.INTER_CUBIC) for picture in drifting(12)]
    video = write(outputs.parent / "film.mp4", large)
    known = {"known_length": {"from_px": [0, 0], "to_px": [100, 0], "length_m": 30}}
    (outputs.parent / "points.json").write_text(json.dumps(known))
    begin(outputs, video)
    assert follow(outputs, video, "--workers", "1") == 0
    assert stage("estimate-camera", outputs, video, "--horizontal-fov-deg", "70") == 0
    files = StageFiles(outputs, outputs, outputs)
    with open_proxy(files) as proxy:
        assert (proxy.width_px, proxy.height_px) == (2240, 1260)
        views = views_of(proxy, read_ground(files)[0], Parameters())
        assert (views.width_px, views.pixel_m) == (2240, pytest.approx(0.3))


def test_distorting_and_undistorting_are_inverse() -> None:
    lens = Lens(3840, 2160, 73.7, -0.1, 0.03)
    places = np.random.default_rng(0).uniform(0, [3839, 2159], (50, 2))
    assert np.allclose(lens.undistorted(lens.filmed(places)), places, atol=1e-4)
    assert np.abs(lens.filmed(places) - places).max() > 20
