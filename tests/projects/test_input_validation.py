"""What is looked at before a file becomes a project's input."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import parse_form
from winslow_dagster.pipelines.model.pipeline import Pipeline, ProjectInput, Stage
from winslow_dagster.projects.inputs.validation import check_answer_files, check_input, check_names

VIDEO = ProjectInput(kind="video", suffixes=(".mp4", ".MOV"))
PIPELINE = Pipeline(
    name="traffic",
    inputs={"video": VIDEO, "points": ProjectInput(kind="json", required=False)},
    stages=(Stage(name="one", command=("true",)),),
)


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def large_box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


FILM = box(b"ftyp", b"isom") + large_box(b"mdat", b"frames" * 20) + box(b"moov", b"index")


def file(directory: Path, content: bytes, name: str = "film.mp4") -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def fault(path: Path, asked: ProjectInput = VIDEO) -> str:
    with pytest.raises(InputRejected) as caught:
        check_input("video", path, asked)
    assert str(path) in caught.value.where
    return caught.value.what


def test_a_whole_film_is_taken(tmp_path: Path) -> None:
    check_input("video", file(tmp_path, FILM), VIDEO)
    check_input("video", file(tmp_path, FILM, "FILM.mov"), VIDEO)


@pytest.mark.parametrize("cut", [len(FILM) - 1, len(FILM) - 20, 40])
def test_a_film_that_breaks_off_is_known_by_its_lengths(tmp_path: Path, cut: int) -> None:
    assert "it is incomplete" in fault(file(tmp_path, FILM[:cut])) or "no index" in fault(file(tmp_path, FILM[:cut]))


def test_a_recording_that_was_not_closed_has_no_index(tmp_path: Path) -> None:
    assert "no index of its frames" in fault(file(tmp_path, FILM[: -len(box(b"moov", b"index"))]))


def test_a_box_of_no_length_is_damage(tmp_path: Path) -> None:
    assert fault(file(tmp_path, box(b"ftyp") + struct.pack(">I4s", 3, b"free"))) == "it is damaged at byte 8"


def test_a_last_box_without_a_length_reaches_to_the_end(tmp_path: Path) -> None:
    content = box(b"ftyp") + box(b"moov") + struct.pack(">I4s", 0, b"mdat") + b"frames"
    check_input("video", file(tmp_path, content), VIDEO)


@pytest.mark.parametrize(
    "head",
    [
        b"\x1aE\xdf\xa3",
        b"RIFF\0\0\0\0AVI ",
        b"G" + b"\0" * 187 + b"G",
        b"OggS",
        b"FLV",
        b"\0\0\1\xba",
    ],
)
def test_other_kinds_of_film_are_known_by_their_first_bytes(tmp_path: Path, head: bytes) -> None:
    check_input("video", file(tmp_path, head + b"\0" * 400), VIDEO)


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "film.mp4", "it is empty"),
        (b"<html>404 Not Found</html>", "film.mp4", "it does not start like a video"),
        (FILM, "film.txt", "its name ends in .txt"),
        (FILM, "film", "its name ends in nothing"),
    ],
)
def test_what_is_no_film_is_refused_with_the_reason(tmp_path: Path, content: bytes, name: str, says: str) -> None:
    assert fault(file(tmp_path, content, name)) == says


def test_a_file_that_is_not_there_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert fault(tmp_path / "nothing.mp4") == "no such file"
    assert fault(tmp_path) == "it is a directory"


def test_the_parts_of_a_recording_are_taken_where_the_input_may_have_parts(tmp_path: Path) -> None:
    asked = ProjectInput(kind="video", suffixes=(".mp4",), parts=True)
    recording = tmp_path / "recording"
    recording.mkdir()
    file(recording, b"00:00:01 what the drone noted", "DJI_0001.SRT")
    with pytest.raises(InputRejected, match=r"no file in it can be a part; expected files that end in \.mp4"):
        check_input("video", recording, asked)
    for name in ("DJI_0001.MP4", "DJI_0002.MP4"):
        file(recording, FILM, name)
    check_input("video", recording, asked)
    check_input("video", recording / "DJI_0002.MP4", asked)
    assert fault(recording) == "it is a directory", "where the input may have none"
    file(recording, FILM[:-5], "DJI_0002.MP4")
    with pytest.raises(InputRejected, match="it is incomplete") as caught:
        check_input("video", recording, asked)
    assert caught.value.where.endswith("recording/DJI_0002.MP4")


def test_a_directory_is_taken_where_one_is_asked_for(tmp_path: Path) -> None:
    asked = ProjectInput(kind="directory")
    check_input("frames", tmp_path, asked)
    assert fault(file(tmp_path, b"x"), asked) == "not a directory"


@pytest.mark.parametrize(
    ("kind", "good", "bad", "says"),
    [
        ("json", b"[1, 2]", b"[1, 2", "it is not JSON"),
        ("table", b"a,b\n1,2\n", b"a\0b", "it is not a text file"),
        ("image", b"\x89PNG\r\n\x1a\n....", b"no picture", "it does not start like an image"),
        ("model", b"weights", b"", "it is empty"),
    ],
)
def test_other_kinds_are_looked_at_too(tmp_path: Path, kind: str, good: bytes, bad: bytes, says: str) -> None:
    asked = ProjectInput.model_validate({"kind": kind})
    check_input("given", file(tmp_path, good, "good"), asked)
    assert fault(file(tmp_path, bad, "bad"), asked).startswith(says)


def test_an_input_the_pipeline_does_not_ask_for_is_refused_with_the_one_meant() -> None:
    with pytest.raises(InputRejected, match=r"has no input 'vidoe'.*Did you mean video\?"):
        check_names(PIPELINE, ["vidoe"], ())


def test_a_required_input_must_be_given_once_and_an_optional_one_never(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="needs the input video"):
        check_names(PIPELINE, (), ())
    check_names(PIPELINE, (), ["video"])
    check_names(PIPELINE, ["video"], ())
    check_input("video", file(tmp_path, FILM), PIPELINE.inputs["video"])


@given(content=st.binary(max_size=600), head=st.sampled_from([b"", box(b"ftyp"), FILM, b"RIFF"]))
def test_whatever_the_bytes_the_answer_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    path = file(tmp_path_factory.getbasetemp(), head + content)
    for kind in ("video", "image", "json", "table"):
        with contextlib.suppress(InputRejected):
            check_input("given", path, ProjectInput.model_validate({"kind": kind}))


def test_a_file_of_an_answer_is_checked_like_an_input(tmp_path: Path) -> None:
    form = parse_form({"form": [{"kind": "file", "name": "film", "input_kind": "video"}]})
    check_answer_files(form, {"film": file(tmp_path, FILM)})
    check_answer_files(form, {})
    with pytest.raises(InputRejected, match=r"input film, .*: it does not start like a video; expected a video"):
        check_answer_files(form, {"film": file(tmp_path, b"no film", "notes.mp4")})
