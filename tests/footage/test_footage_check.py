"""Whether a video can be read to its end, before a stage spends hours on it."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from blake3 import blake3
from numbered_films import write_film

from winslow_dagster.errors import FootageUnreadable
from winslow_dagster.footage import FootageReader, Source

FRAMES = 300


def source_of(content: bytes, path: Path, *, by_ranges: bool = False) -> Source:
    path.write_bytes(content)
    read = (lambda begin, end: content[begin:end]) if by_ranges else None
    return Source(path.name, blake3(content).hexdigest(), len(content), None if by_ranges else path, read)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A film whose list of frames is in front, as cameras and editors write it: its end may be missing unnoticed."""
    folder = tmp_path_factory.mktemp("films")
    written = write_film(folder / "film.mp4", FRAMES, noise=True, options={"x264-params": "qp=10"})
    with (
        av.open(str(written)) as reading,
        av.open(str(folder / "front.mp4"), "w", options={"movflags": "faststart"}) as writing,
    ):
        stream = reading.streams.video[0]
        copy = writing.add_stream_from_template(stream)
        for packet in reading.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                writing.mux(packet)
    content = (folder / "front.mp4").read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")
    return content


@pytest.mark.parametrize("by_ranges", [False, True], ids=["a file", "ranges of a store"])
def test_a_whole_film_has_no_problem(film: bytes, tmp_path: Path, *, by_ranges: bool) -> None:
    checked = FootageReader(tmp_path / "cache").check(source_of(film, tmp_path / "film.mp4", by_ranges=by_ranges))
    assert (checked.problem, checked.footage.codec, checked.footage.frame_count) == ("", "h264", FRAMES)


def test_a_film_whose_end_is_missing_is_told_with_what_is_there(film: bytes, tmp_path: Path) -> None:
    cut = source_of(film[: len(film) * 6 // 10], tmp_path / "cut.mp4")
    reader = FootageReader(tmp_path / "cache")
    # At first sight it is a film like any other.
    assert reader.footage(cut).codec == "h264"
    problem = reader.check(cut).problem
    assert problem.startswith("Only the first ")
    assert problem.endswith(" s of its 12 s are there: the rest of the file is missing")


def test_a_film_that_is_damaged_in_the_middle_is_told_with_the_place(film: bytes, tmp_path: Path) -> None:
    begin, end = len(film) * 4 // 10, len(film) * 6 // 10
    damaged = source_of(film[:begin] + bytes(end - begin) + film[end:], tmp_path / "damaged.mp4")
    problem = FootageReader(tmp_path / "cache").check(damaged).problem
    assert problem.startswith("It is damaged: frames cannot be decoded at ")


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FootageUnreadable):
        FootageReader(tmp_path / "cache").check(source_of(b"no film at all", tmp_path / "none.mp4"))
