"""`winslow answer` as people type it: values from files, a points file, the printed example, and answering again."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from whole_installation import Installation, stages

pytestmark = pytest.mark.slow

MARKING = """\
name: marking
command: [sh, -c]
stages:
  - name: frame
    args: ['cp "$PICTURE" "$WINSLOW_OUTPUT_DIR/frame.png"']
    env: {PICTURE: "PLACE/frame.png"}
  - name: mark
    after: [frame]
    args: ['cp "$POINTS" "$WINSLOW_OUTPUT_DIR/points.json"; echo "$KNOWN_LENGTH_M" > "$WINSLOW_OUTPUT_DIR/length"']
    needs_input:
      message: Mark the points
      form:
        - {kind: points, name: points, image: frame/frame.png, world: metres, min_count: 4}
        - {kind: lines, name: known_length, image: frame/frame.png}
        - {kind: number, name: known_length_m, min: 0.01}
        - {kind: polygon, name: road, image: frame/frame.png, required: false}
        - {kind: text, name: remark, required: false}
"""
# A grey PNG of 1920x1080 pixels.
PICTURE_SIZE = (1920, 1080)
POINTS = {
    "frame": {"time_s": 0.0, "width_px": 1920, "height_px": 1080},
    "points": [
        {"name": f"p{number}", "x_px": x, "y_px": y, "x_m": x / 20, "y_m": -y / 20}
        for number, (x, y) in enumerate([(100, 100), (1700, 120), (1750, 900), (150, 950), (900, 500), (1300, 700)])
    ],
    "known_length": {"from_px": [100, 200], "to_px": [300, 200], "length_m": 10.0},
}


def png(width: int, height: int) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([96]) * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def marking(there: Installation) -> Installation:
    (there.place / "frame.png").write_bytes(png(*PICTURE_SIZE))
    text = MARKING.replace("PLACE", str(there.place))
    (there.place / "pipeline_configs" / "marking.yaml").write_text(text)
    (there.place / "points.json").write_text(json.dumps(POINTS))
    return there


def from_file(*fields: str) -> list[str]:
    return [word for field in fields for word in ("--value", f"{field}=@points.json")]


def output(place: Installation, project: str, name: str) -> str:
    files = {Path(each["path"]).name: each["local_path"] for each in place.said("files", project)["files"]}
    return Path(files[name]).read_text()


def test_the_example_that_is_printed_with_a_question_runs_as_printed(marking: Installation) -> None:
    marking.said("run", "marking", "--project", "shown")
    shown = marking.winslow("answer", "shown").stdout
    (example,) = re.findall(r"^for example: (.*)$", shown, re.MULTILINE)
    words = shlex.split(example)
    ran = marking.winslow(*words[words.index("answer") :])
    assert ran.returncode == 0, ran.stderr
    assert "warning" not in ran.stderr
    assert len(json.loads(output(marking, "shown", "points.json"))) == 4


def test_a_points_file_answers_every_field_of_marks(marking: Installation) -> None:
    marking.said("run", "marking", "--project", "filed")
    (marking.place / "remark.txt").write_text("two\nlines\n")
    status = marking.said(
        "answer",
        "filed",
        "mark",
        *from_file("points", "known_length", "known_length_m"),
        "--value",
        "remark=@remark.txt",
    )
    assert status["state"] == "succeeded"
    points = json.loads(output(marking, "filed", "points.json"))
    assert points[0] == {"label": "p0", "x": 100.5, "y": 100.5, "world": [5.0, -5.0]}
    assert output(marking, "filed", "length") == "10\n"


def test_what_is_implausible_is_a_warning_before_the_answer_is_sent(marking: Installation) -> None:
    marking.said("run", "marking", "--project", "warned")
    swapped = json.loads(json.dumps(POINTS))
    first, second = swapped["points"][0], swapped["points"][2]
    for axis in ("x_m", "y_m"):
        first[axis], second[axis] = second[axis], first[axis]
    (marking.place / "swapped.json").write_text(json.dumps(swapped))
    values = ["--value", "points=@swapped.json", *from_file("known_length", "known_length_m")]
    ran = marking.winslow("answer", "warned", "mark", *values)
    assert ran.returncode == 0
    assert "warning: points: p0 and p2 are perhaps swapped" in ran.stderr


def test_an_answer_is_given_again_and_what_depends_on_it_runs_again(marking: Installation) -> None:
    marking.said("run", "marking", "--project", "repeated")
    values = from_file("points", "known_length", "known_length_m")
    marking.said("answer", "repeated", "mark", *values)
    code, what = marking.refused("answer", "repeated", "mark", *values)
    assert code == 5
    assert "mark has no open question" in what
    again = marking.said("answer", "repeated", "mark", *values, "--again")
    assert (again["state"], stages(again)["mark"]["attempts"]) == ("succeeded", 2)


def test_a_file_that_cannot_be_a_value_is_named(marking: Installation) -> None:
    code, what = marking.refused("answer", "shown", "mark", "--value", "points=@missing.json")
    assert code == 2
    assert "missing.json cannot be read" in what
