"""Index N is frame N, in the order of showing, whatever the film is made of."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from blake3 import blake3
from numbered_films import BITS, HEIGHT, WIDTH, number_of, write_film

from winslow_dagster.errors import NotFound
from winslow_dagster.footage import FootageReader, Source

FRAMES = 150
LOOKED_AT = (0, 1, 2, 29, 30, 31, 59, 77, 88, 119, 120, 148, 149)
OPEN_GOPS = {"x264-params": "bframes=3:b-adapt=0:open-gop=1:keyint=30:min-keyint=30:scenecut=0"}


def uneven(frames: int) -> list[float]:
    """Times as of a camera that drops frames."""
    return [number * 0.04 + (0.013 if number % 3 else 0.0) + (2.5 if number > 60 else 0.0) for number in range(frames)]


def trimmed(path: Path) -> Path:
    """Begins inside a group of pictures, by an edit list."""
    whole = write_film(path.with_name("whole.mp4"), FRAMES + 45, options=OPEN_GOPS)
    return ffmpeg(path, "-ss", "1.72", "-i", str(whole), "-c", "copy")


def turned(path: Path) -> Path:
    whole = write_film(path.with_name("lying.mp4"), FRAMES)
    return ffmpeg(path, "-i", str(whole), "-c", "copy", "-metadata:s:v:0", "rotate=90")


def with_sound(path: Path) -> Path:
    whole = write_film(path.with_name("silent.mp4"), FRAMES, options=OPEN_GOPS)
    sound = ("-f", "lavfi", "-i", "sine=duration=6")
    return ffmpeg(path, "-itsoffset", "0.5", "-i", str(whole), *sound, "-c:v", "copy", "-map", "0:v", "-map", "1:a")


def ffmpeg(path: Path, *arguments: str) -> Path:
    subprocess.run(["ffmpeg", "-loglevel", "error", *arguments, str(path)], check=True)
    return path


FILMS: dict[str, Callable[[Path], Path]] = {
    "plain.mp4": lambda path: write_film(path, FRAMES),
    "open-gops.mp4": lambda path: write_film(path, FRAMES, options=OPEN_GOPS),
    "one-key-frame.mp4": lambda path: write_film(path, FRAMES, gop=1000, options={"x264-params": "bframes=4"}),
    "uneven.mp4": lambda path: write_film(path, FRAMES, times_s=uneven(FRAMES), options=OPEN_GOPS),
    "trimmed.mp4": trimmed,
    "fragmented.mp4": lambda path: ffmpeg(
        path, "-i", str(write_film(path.with_name("one.mp4"), FRAMES)), "-c", "copy", "-movflags", "frag_keyframe"
    ),
    "with-sound.mp4": with_sound,
    "uneven.mkv": lambda path: write_film(path, FRAMES, times_s=uneven(FRAMES)),
    "film.mov": lambda path: write_film(path, FRAMES, options=OPEN_GOPS),
    "transport.ts": lambda path: write_film(path, FRAMES, options=OPEN_GOPS),
    "hevc.mp4": lambda path: write_film(
        path, FRAMES, codec="libx265", options={"x265-params": "log-level=none:open-gop=1:keyint=30:bframes=3"}
    ),
    "vp9.webm": lambda path: write_film(
        path, FRAMES, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}
    ),
    "b-frames.avi": lambda path: write_film(path, FRAMES, codec="mpeg4", options={"bf": "2", "qscale": "2"}),
    "pictures.avi": lambda path: write_film(path, FRAMES, codec="mjpeg"),
    "without-times.h264": lambda path: write_film(path, FRAMES, options=OPEN_GOPS),
}


def source_of(path: Path, *, by_ranges: bool = False) -> Source:
    content = path.read_bytes()
    read = (lambda begin, end: content[begin:end]) if by_ranges else None
    return Source(path.name, blake3(content).hexdigest(), len(content), None if by_ranges else path, read)


def numbers_by_decoding_all(path: Path) -> list[int]:
    """The numbers that a player shows which decodes the film from its beginning to its end."""
    shown = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            luma = frame.reformat(format="gray").to_ndarray()
            row = luma[HEIGHT // 4, :WIDTH]
            bits = row[np.arange(BITS) * (WIDTH // BITS) + WIDTH // BITS // 2] > 128
            shown.append(int("".join(str(int(bit)) for bit in bits), 2))
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("name", FILMS)
def test_an_index_shows_the_frame_that_a_player_shows_as_the_so_manieth(tmp_path: Path, name: str) -> None:
    path = FILMS[name](tmp_path / name)
    expected = numbers_by_decoding_all(path)
    reader, source = FootageReader(tmp_path / "cache"), source_of(path)
    footage = reader.footage(source)
    assert footage.frame_count == len(expected) >= FRAMES - 5
    looked_at = [number for number in LOOKED_AT if number < footage.frame_count]
    assert [number_of(reader.frame(source, number).content) for number in looked_at] == [
        expected[number] for number in looked_at
    ]
    strip = reader.strip(source, 0, footage.frame_count - 1, 5, WIDTH)
    assert (strip.indices[0], strip.indices[-1]) == (0, footage.frame_count - 1)
    # The times of frames lead back to them.
    times = [reader.time_of(source, number) for number in looked_at]
    assert [reader.index_at(source, time_s) for time_s in times] == looked_at


@pytest.mark.parametrize("by_ranges", [False, True], ids=["a file", "ranges of a store"])
def test_a_frame_is_found_in_the_middle_at_full_size_and_downscaled(tmp_path: Path, *, by_ranges: bool) -> None:
    path = write_film(tmp_path / "film.mp4", FRAMES, options=OPEN_GOPS, scale=2)
    reader, source = FootageReader(tmp_path / "cache"), source_of(path, by_ranges=by_ranges)
    footage = reader.footage(source)
    assert (footage.width, footage.height, footage.frame_count, footage.rate) == (2 * WIDTH, 2 * HEIGHT, FRAMES, 25)
    assert (footage.codec, footage.browser_plays, footage.key_frames[:3]) == ("h264", True, (0, 30, 60))
    whole, small = reader.frame(source, 77), reader.frame(source, 77, 128)
    assert [number_of(each.content) for each in (whole, small)] == [77, 77]
    assert [(each.width, each.height) for each in (whole, small)] == [(512, 128), (128, 32)]
    assert whole.time_s == pytest.approx(77 / 25)
    with pytest.raises(NotFound, match="there is no frame 150; expected 0 to 149"):
        reader.frame(source, FRAMES)


def test_the_frames_are_not_read_to_list_them(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 100, scale=4, noise=True, options={"x264-params": "qp=1"})
    content = path.read_bytes()
    read: list[int] = []

    def note(begin: int, end: int) -> bytes:
        read.append(end - begin)
        return content[begin:end]

    source = Source("film.mp4", blake3(content).hexdigest(), len(content), None, note)
    assert FootageReader(tmp_path / "cache").footage(source).frame_count == 100
    assert len(content) > 10 << 20
    assert sum(read) < len(content) / 2


@pytest.mark.slow
def test_a_film_that_lies_on_its_side_is_shown_upright(tmp_path: Path) -> None:
    path = turned(tmp_path / "turned.mp4")
    reader, source = FootageReader(tmp_path / "cache"), source_of(path)
    footage = reader.footage(source)
    assert (footage.width, footage.height) == (HEIGHT, WIDTH)
    frame = reader.frame(source, 5)
    assert (frame.width, frame.height) == (HEIGHT, WIDTH)


def test_the_frames_beside_one_are_decoded_with_it(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 60, options=OPEN_GOPS, scale=2)
    content = path.read_bytes()
    asked: list[int] = []

    def note(begin: int, end: int) -> bytes:
        asked.append(begin)
        return content[begin:end]

    reader = FootageReader(tmp_path / "cache")
    source = Source("film.mp4", blake3(content).hexdigest(), len(content), None, note)
    assert number_of(reader.frame(source, 31, 128).content) == 31
    asked.clear()
    assert [number_of(reader.frame(source, index, 128).content) for index in (29, 30, 32, 33, 34)] == [
        29,
        30,
        32,
        33,
        34,
    ]
    assert asked == []
    assert number_of(reader.frame(source, 31).content) == 31
    assert asked
