"""Footage with something wrong in it: the good part is kept as it was filmed, and what is wrong is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from drifting_film import begin, drifting, follow, stage, write

from tracker.footage import open_footage
from tracker.homographies import read_homographies
from tracker.segments import frames_of, plan


def damage(path: Path, packets: range) -> Path:
    """Overwrite what is in these packets, after the few bytes that say how much that is."""
    with av.open(str(path)) as film:
        places = [(packet.pos, packet.size) for packet in film.demux(video=0) if packet.dts is not None]
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(0)
    for number in packets:
        place, size = places[number]
        data[place + 8 : place + size] = random.bytes(size - 8)
    damaged = path.with_name("damaged.mp4")
    damaged.write_bytes(data)
    return damaged


def pictures_of(path: Path) -> dict[float, bytes]:
    with open_footage(path, threads=1) as film:
        return {round(frame.time_s, 3): frame.luma().tobytes() for frame in film.frames()}


def homographies(made: Path) -> dict[str, np.ndarray]:
    return read_homographies(made / "track_reference_points" / "homographies.csv")[0]


def test_pictures_that_build_on_damaged_ones_are_left_out_and_all_others_are_as_filmed(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(made.parent / "film.mp4", drifting(120), options={"bf": "0"})
    damaged = damage(whole, range(44, 47))
    filmed, left = pictures_of(whole), pictures_of(damaged)
    assert list(left) == [time_s for time_s in filmed if not 2.2 <= time_s < 3.0]  # the next key frame is at 3 s
    assert all(left[time_s] == filmed[time_s] for time_s in left)
    begin(made, damaged)
    assert follow(made, damaged, "--workers", "1") == 0
    said = capsys.readouterr().err
    assert "pictures of the film are damaged or build on damaged ones, and left out" in said
    assert "the film shows nothing from 2.1 to 3.0 s" in said
    table = homographies(made)
    assert len(table["frame"]) == 104
    assert table["registered"].all()


def test_a_stretch_of_which_nothing_is_left_costs_only_itself(made: Path) -> None:
    whole = write(made.parent / "film.mp4", drifting(160), options={"bf": "0"})
    damaged = damage(whole, range(38, 82))
    with open_footage(damaged, threads=1) as film:
        lengths = [sum(1 for _ in frames_of(film, segment)) for segment in plan(film, np.inf)]
    assert lengths == [38, 0, 20, 40]
    begin(made, damaged)
    assert follow(made, damaged, "--workers", "2") == 0
    assert len(homographies(made)["frame"]) == sum(lengths)


def test_a_film_whose_beginning_is_damaged_says_that_times_count_from_later(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = damage(write(made.parent / "film.mp4", drifting(120), options={"bf": "0"}), range(3))
    begin(made, damaged)
    assert "the first 1.0 s of damaged.mp4 cannot be decoded" in capsys.readouterr().err


def test_of_a_matroska_film_that_was_cut_off_the_good_part_is_used(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(made.parent / "film.mkv", drifting(160)).read_bytes()
    cut = made.parent / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    begin(made, cut)
    assert "nothing can be decoded of the last part of cut.mkv" in capsys.readouterr().err
    assert follow(made, cut) == 0
    assert "the film is said to be 8.0 s long, and ends at" in capsys.readouterr().err
    assert 60 < len(homographies(made)["frame"]) < 120


def test_where_the_picture_is_black_for_a_while_only_that_is_lost(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = drifting(180)
    for black in (range(40), range(80, 120)):  # two seconds at the beginning, and in the middle
        for index in black:
            pictures[index] = np.zeros_like(pictures[index])
    video = write(made.parent / "film.mp4", pictures)
    begin(made, video)
    assert follow(made, video) == 0
    assert "such as from 0.0 to 1.9 s, from 4.0 to 6.0 s: no vehicles are looked for on them" in capsys.readouterr().err
    registered = homographies(made)["registered"] == 1
    assert not registered[:40].any()
    assert registered[45:80].all()
    assert not registered[80:120].any()
    assert registered[125:].all()


def test_where_the_picture_is_lost_for_longer_than_allowed_the_stage_gives_up(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = drifting(160)
    for index in range(60, 120):
        pictures[index] = np.zeros_like(pictures[index])
    video = write(made.parent / "film.mp4", pictures)
    begin(made, video)
    assert follow(made, video, "--max-lost-seconds", "2") == 14
    assert "the reference points were lost at 2.95 s, and still are at 5.00 s" in capsys.readouterr().err


def test_a_camera_that_is_said_to_be_fixed_needs_nothing_to_follow(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(1)
    noise = [cv2.resize(random.integers(0, 255, (18, 32, 3), dtype=np.uint8), (640, 360)) for _ in range(60)]
    video = write(made.parent / "film.mp4", noise)
    begin(made, video)
    assert follow(made, video) == 14
    assert "if the camera is fixed, say so (CAMERA=fixed)" in capsys.readouterr().err
    assert follow(made, video, "--camera", "fixed") == 0
    table, matrices = read_homographies(made / "track_reference_points" / "homographies.csv")
    assert table["registered"].all()
    assert np.array_equal(matrices, np.broadcast_to(np.eye(3), (60, 3, 3)))
    assert follow(made, video, "--camera", "handheld") == 2
    assert "CAMERA is 'handheld'. Expected moving or fixed" in capsys.readouterr().err


def test_beside_a_small_stream_for_previews_the_film_is_the_large_one(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        streams = []
        for width, height in ((160, 90), (640, 360)):
            stream = container.add_stream("libx264", rate=20)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for picture in drifting(20):
            for stream in streams:
                small = cv2.resize(picture, (stream.width, stream.height))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="bgr24")))
        for stream in streams:
            container.mux(stream.encode(None))
    with open_footage(tmp_path / "film.mp4") as film:
        assert (film.facts.width_px, film.facts.height_px) == (640, 360)
        assert sum(1 for _ in film.frames()) == 20


def test_a_film_with_odd_sides_is_used_whole(made: Path) -> None:
    pictures = [np.ascontiguousarray(picture[:359, :639]) for picture in drifting(50)]
    video = write(made.parent / "film.mp4", pictures, pixel_format="yuv444p")
    begin(made, video)
    assert follow(made, video) == 0
    assert homographies(made)["registered"].all()


def test_frames_that_come_in_another_order_than_they_are_shown_are_no_varying_rate(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write(made.parent / "film.mp4", drifting(320), options={"bf": "3", "x264-params": "b-adapt=0:scenecut=0"})
    assert stage("extract-frame", made, video) == 0
    assert "frame rate varies" not in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_single_picture_is_no_film(suffix: str, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made.parent / f"photo{suffix}"
    cv2.imwrite(str(path), drifting(1)[0])
    assert stage("extract-frame", made, path) == 11
    assert f"photo{suffix} is a single picture. Expected a video" in capsys.readouterr().err


def test_pictures_that_nothing_here_decodes_are_named(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made.parent / "film.mp4"
    path.write_bytes(write(made.parent / "known.mp4", drifting(5)).read_bytes().replace(b"avc1", b"zzz1"))
    assert stage("extract-frame", made, path) == 11
    assert "a kind that cannot be decoded here. Convert it to H.264 or H.265" in capsys.readouterr().err


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_a_film_in_avi_is_used(codec: str, made: Path) -> None:
    video = made.parent / "film.avi"
    with av.open(str(video), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height, stream.bit_rate = 640, 360, 8_000_000
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for picture in drifting(50):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    begin(made, video)
    assert follow(made, video) == 0
    table = homographies(made)
    assert np.allclose(table["time_s"], np.arange(50) / 20, atol=1e-6)
    assert table["registered"].all()


def test_pictures_without_times_are_to_be_put_into_a_file_that_has_them(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(made.parent / "film.h264", drifting(30))
    assert stage("extract-frame", made, path) == 11
    assert "put it into an MP4 anew: ffmpeg -i FILE -c copy film.mp4" in capsys.readouterr().err


def test_an_empty_file_is_not_a_video(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (made.parent / "film.mp4").touch()
    assert stage("extract-frame", made, made.parent / "film.mp4") == 11
    assert "film.mp4 is empty" in capsys.readouterr().err


def test_when_a_worker_is_killed_the_next_start_goes_on_from_what_was_done(made: Path) -> None:
    video = write(made.parent / "film.mp4", drifting(300))
    begin(made, video)
    directory = made / "track_reference_points"
    words = ["track-reference-points", "--input", made, "--output", directory, "--video", video, "--workers", "2"]
    command = [sys.executable, "-m", "tracker", *words]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while running.poll() is None and not list(directory.glob(".checkpoint/*/00001.npz")):
        os.sched_yield()
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    said = running.communicate()[1]
    assert running.returncode == 16
    assert "ended from outside (SIGKILL), which is what happens where there is too little memory" in said
    assert "run the stage again to go on from there" in said
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "segments are there from before" in again.stdout
    assert len(homographies(made)["frame"]) == 300
