"""A film in several files is read as one."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from rendered_film import Film

from tracker.cli import main
from tracker.contract import StageFiles
from tracker.errors import NotAVideo
from tracker.footage import open_footage
from tracker.geometry import transform
from tracker.homographies import read_homographies
from tracker.parts import read_film

SPLIT_S = 5.0


def split(video: Path, directory: Path, first: str = "DJI_0009.MP4", second: str = "DJI_0010.MP4") -> Path:
    """The film in two files, cut at a key frame."""
    directory.mkdir(parents=True)
    with av.open(str(video)) as whole:
        stream = whole.streams.video[0]
        packets = [packet for packet in whole.demux(stream) if packet.dts is not None]
        cut = next(
            at
            for at, packet in enumerate(packets)
            if packet.is_keyframe and float(packet.pts * packet.time_base) >= SPLIT_S
        )
        for name, part in ((first, packets[:cut]), (second, packets[cut:])):
            with av.open(str(directory / name), "w", format="mp4") as file:
                copy = file.add_stream_from_template(stream)
                begin = min(packet.pts for packet in part)
                for packet in part:
                    packet.pts, packet.dts, packet.stream = packet.pts - begin, packet.dts - begin, copy
                    file.mux(packet)
    return directory


def subtitles(film: Path, first: str, last: str) -> None:
    lines = (f"1\n00:00:00,000 --> 00:00:00,033\n2026-05-05 {time}\n[rel_alt: 75.0]\n" for time in (first, last))
    film.with_suffix(".SRT").write_text("\n".join(lines))


def film_in(directory: Path) -> StageFiles:
    return StageFiles(directory, directory, directory, {"video": directory})


@pytest.mark.slow
def test_a_film_in_two_files_is_registered_like_the_whole(film: Film, tmp_path: Path) -> None:
    parts = split(film.video, tmp_path / "video")
    (parts / "DJI_0009.LRF").write_bytes(b"a small copy")
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    words = ["--input", str(outputs), "--video", str(parts), "--reference-points", str(film.points)]
    for stage in ("extract-frame", "define-reference-points", "track-reference-points"):
        assert main([stage, *words, "--output", str(outputs / stage.replace("-", "_"))]) == 0
    facts = json.loads((outputs / "extract_frame" / "footage.json").read_text())["video"]
    assert (facts["frames"], round(facts["duration_s"], 3)) == (120, 12.0)
    own, whole = (
        read_homographies(directory / "track_reference_points" / "homographies.csv")
        for directory in (outputs, film.outputs)
    )
    assert np.abs(own[0]["time_s"] - whole[0]["time_s"]).max() < 1e-6
    corners = np.array([[0.0, 0.0], [film.size[0], 0.0], film.size, [0.0, film.size[1]]])
    apart = [
        np.hypot(*(transform(a, corners) - transform(b, corners)).T).max()
        for a, b in zip(own[1], whole[1], strict=True)
    ]
    assert max(apart) < 0.5
    with open_footage(outputs / "track_reference_points" / "proxy.mp4") as proxy:
        times_s = [frame.time_s for frame in proxy.frames()]
    assert np.abs(np.array(times_s) - whole[0]["time_s"]).max() < 1e-3


def test_what_the_drones_clock_says_is_missing_between_two_files_is_said_and_counts(
    rendered: Film, tmp_path: Path
) -> None:
    parts = split(rendered.video, tmp_path / "video")
    subtitles(parts / "DJI_0009.MP4", "12:00:00.000", "12:00:04.900")
    subtitles(parts / "DJI_0010.MP4", "12:00:08.000", "12:00:14.900")
    film = read_film(film_in(parts))
    assert film.doubts == ("3.0 s are missing between DJI_0009.MP4 and DJI_0010.MP4",)
    assert film.parts[1].start_s == pytest.approx(8.0)
    assert film.at(7.9).path.name == "DJI_0010.MP4"
    assert film.facts.duration_s == pytest.approx(15.0)


def test_files_follow_each_other_by_number_and_a_missing_number_is_said(rendered: Film, tmp_path: Path) -> None:
    parts = split(rendered.video, tmp_path / "video", "DJI_9.MP4", "DJI_11.MP4")
    film = read_film(film_in(parts))
    assert [part.path.name for part in film.parts] == ["DJI_9.MP4", "DJI_11.MP4"]
    assert film.doubts == ("DJI_9.MP4 and DJI_11.MP4 are not numbered consecutively: is a part between them missing?",)


def test_files_of_different_films_are_refused(rendered: Film, tmp_path: Path) -> None:
    parts = split(rendered.video, tmp_path / "video")
    with av.open(str(parts / "DJI_0011.MP4"), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width, stream.height = 640, 360
        for _ in range(10):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((360, 640, 3), np.uint8), "bgr24")))
        file.mux(stream.encode(None))
    with pytest.raises(NotAVideo, match=r"DJI_0011.MP4 \(h264 640x360, .* are no parts of one film"):
        read_film(film_in(parts))
