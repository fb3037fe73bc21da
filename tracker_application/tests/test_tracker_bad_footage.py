"""Damaged footage: the good part is kept unchanged, and the damage is reported."""

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
    """Overwrite the content of these packets, except for the length at the beginning."""
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


def homographies(outputs: Path) -> dict[str, np.ndarray]:
    return read_homographies(outputs / "track_reference_points" / "homographies.csv")[0]


def test_damaged_frames_and_their_dependents_are_dropped_and_all_others_are_unchanged(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(outputs.parent / "film.mp4", drifting(120), options={"bf": "0"})
    damaged = damage(whole, range(44, 47))
    filmed, left = pictures_of(whole), pictures_of(damaged)
    assert list(left) == [time_s for time_s in filmed if not 2.2 <= time_s < 3.0]  # the next key frame is at 3 s
    assert all(left[time_s] == filmed[time_s] for time_s in left)
    begin(outputs, damaged)
    assert follow(outputs, damaged, "--workers", "1") == 0
    output = capsys.readouterr().err
    assert "frames of the video were left out because they, or frames they depend on, are damaged" in output
    assert "the video has gaps from 2.1 to 3.0 s" in output
    table = homographies(outputs)
    assert len(table["frame"]) == 104
    assert table["registered"].all()


def test_a_fully_damaged_stretch_does_not_affect_the_rest(outputs: Path) -> None:
    whole = write(outputs.parent / "film.mp4", drifting(160), options={"bf": "0"})
    damaged = damage(whole, range(38, 82))
    with open_footage(damaged, threads=1) as film:
        lengths = [sum(1 for _ in frames_of(film, segment)) for segment in plan(film, np.inf)]
    assert lengths == [38, 0, 20, 40]
    begin(outputs, damaged)
    assert follow(outputs, damaged, "--workers", "2") == 0
    assert len(homographies(outputs)["frame"]) == sum(lengths)


def test_damage_at_the_beginning_is_reported_with_the_new_start_time(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = damage(write(outputs.parent / "film.mp4", drifting(120), options={"bf": "0"}), range(3))
    begin(outputs, damaged)
    assert "the first 1.0 s of damaged.mp4 cannot be decoded" in capsys.readouterr().err


def test_the_intact_part_of_a_truncated_matroska_file_is_used(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(outputs.parent / "film.mkv", drifting(160)).read_bytes()
    cut = outputs.parent / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    begin(outputs, cut)
    assert "the last part of cut.mkv cannot be decoded" in capsys.readouterr().err
    assert follow(outputs, cut) == 0
    assert "the video should be 8.0 s long but ends at" in capsys.readouterr().err
    assert 60 < len(homographies(outputs)["frame"]) < 120


def test_a_black_passage_loses_only_its_own_frames(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = drifting(180)
    for black in (range(40), range(80, 120)):  # two seconds at the beginning, and in the middle
        for index in black:
            pictures[index] = np.zeros_like(pictures[index])
    video = write(outputs.parent / "film.mp4", pictures)
    begin(outputs, video)
    assert follow(outputs, video) == 0
    assert (
        "for example from 0.0 to 1.9 s, from 4.0 to 6.0 s: vehicles are not detected in them" in capsys.readouterr().err
    )
    registered = homographies(outputs)["registered"] == 1
    assert not registered[:40].any()
    assert registered[45:80].all()
    assert not registered[80:120].any()
    assert registered[125:].all()


def test_the_stage_stops_when_the_reference_is_lost_for_too_long(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = drifting(160)
    for index in range(60, 120):
        pictures[index] = np.zeros_like(pictures[index])
    video = write(outputs.parent / "film.mp4", pictures)
    begin(outputs, video)
    assert follow(outputs, video, "--max-lost-seconds", "2") == 14
    assert "the reference points were lost at 2.95 s and not found again by 5.00 s" in capsys.readouterr().err


def test_a_fixed_camera_needs_no_trackable_points(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(1)
    noise = [cv2.resize(random.integers(0, 255, (18, 32, 3), dtype=np.uint8), (640, 360)) for _ in range(60)]
    video = write(outputs.parent / "film.mp4", noise)
    begin(outputs, video)
    assert follow(outputs, video) == 14
    assert "if the camera is fixed, set CAMERA=fixed" in capsys.readouterr().err
    assert follow(outputs, video, "--camera", "fixed") == 0
    table, matrices = read_homographies(outputs / "track_reference_points" / "homographies.csv")
    assert table["registered"].all()
    assert np.array_equal(matrices, np.broadcast_to(np.eye(3), (60, 3, 3)))
    assert follow(outputs, video, "--camera", "handheld") == 2
    assert "CAMERA is 'handheld'. Expected moving or fixed" in capsys.readouterr().err


def test_the_largest_video_stream_is_used(tmp_path: Path) -> None:
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


def test_a_video_with_odd_dimensions_is_not_cropped(outputs: Path) -> None:
    pictures = [np.ascontiguousarray(picture[:359, :639]) for picture in drifting(50)]
    video = write(outputs.parent / "film.mp4", pictures, pixel_format="yuv444p")
    begin(outputs, video)
    assert follow(outputs, video) == 0
    assert homographies(outputs)["registered"].all()


def test_frame_reordering_does_not_count_as_a_variable_rate(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write(
        outputs.parent / "film.mp4", drifting(320), options={"bf": "3", "x264-params": "b-adapt=0:scenecut=0"}
    )
    assert stage("extract-frame", outputs, video) == 0
    assert "frame rate varies" not in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_still_image_is_rejected(suffix: str, outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = outputs.parent / f"photo{suffix}"
    cv2.imwrite(str(path), drifting(1)[0])
    assert stage("extract-frame", outputs, path) == 11
    assert f"photo{suffix} is a still image. Expected a video" in capsys.readouterr().err


def test_an_unsupported_codec_is_reported(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = outputs.parent / "film.mp4"
    path.write_bytes(write(outputs.parent / "known.mp4", drifting(5)).read_bytes().replace(b"avc1", b"zzz1"))
    assert stage("extract-frame", outputs, path) == 11
    assert "a video codec that cannot be decoded here. Convert it to H.264 or H.265" in capsys.readouterr().err


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_avi_is_supported(codec: str, outputs: Path) -> None:
    video = outputs.parent / "film.avi"
    with av.open(str(video), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height, stream.bit_rate = 640, 360, 8_000_000
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for picture in drifting(50):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    begin(outputs, video)
    assert follow(outputs, video) == 0
    table = homographies(outputs)
    assert np.allclose(table["time_s"], np.arange(50) / 20, atol=1e-6)
    assert table["registered"].all()


def test_a_raw_stream_without_timestamps_gets_a_remux_hint(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(outputs.parent / "film.h264", drifting(30))
    assert stage("extract-frame", outputs, path) == 11
    assert "remux it to MP4: ffmpeg -i FILE -c copy film.mp4" in capsys.readouterr().err


def test_an_empty_file_is_not_a_video(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (outputs.parent / "film.mp4").touch()
    assert stage("extract-frame", outputs, outputs.parent / "film.mp4") == 11
    assert "film.mp4 is empty" in capsys.readouterr().err


@pytest.mark.slow
def test_after_a_worker_is_killed_the_next_start_reuses_finished_segments(outputs: Path) -> None:
    video = write(outputs.parent / "film.mp4", drifting(300))
    begin(outputs, video)
    directory = outputs / "track_reference_points"
    words = ["track-reference-points", "--input", outputs, "--output", directory, "--video", video, "--workers", "2"]
    command = [sys.executable, "-m", "tracker", *words]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while running.poll() is None and not list(directory.glob(".checkpoint/*/00001.npz")):
        os.sched_yield()
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    output = running.communicate()[1]
    assert running.returncode == 16
    assert "a worker process was killed (SIGKILL), usually because memory ran out" in output
    assert "Run the stage again to continue from its checkpoints" in output
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "segments were already done" in again.stdout
    assert len(homographies(outputs)["frame"]) == 300
