"""Reference points through a form: an answer works as well as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rendered_film import Film

from tracker.cli import main
from tracker.reference import Frame, parse_points
from tracker.reference_point_form import read_answer

FRAME = Frame(0.0, 1280, 720)


@pytest.fixture
def ask(
    rendered: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, Path]]:
    """Run the first two stages with or without an answer; returns exit code, standard output and output directory."""

    def run(answer: dict[str, Any] | None = None, *words: str, time_s: float = 0) -> tuple[int, str, Path]:
        if answer is not None:
            (tmp_path / "answer.json").write_text(json.dumps(answer))
            monkeypatch.setenv("WINSLOW_ANSWER_FILE", str(tmp_path / "answer.json"))
        out = tmp_path / "define_reference_points"
        first = ["--video", str(rendered.video), "--output", str(tmp_path / "extract_frame")]
        assert main(["extract-frame", *first, "--reference-time-s", str(time_s)]) == 0
        code = main(["define-reference-points", "--input", str(tmp_path), "--output", str(out), *words])
        return code, capsys.readouterr().out, out

    return run


@pytest.fixture
def answered(rendered: Film) -> dict[str, Any]:
    """The correct points, as answered in the form."""
    points = json.loads(rendered.points.read_text())["points"]
    return {
        "points": [
            {
                "label": point["name"],
                "x": point["x_px"] + 0.5,
                "y": point["y_px"] + 0.5,
                "world": [point["x_m"], point["y_m"]],
            }
            for point in points
        ],
        "frame_time_s": 0,
    }


def read(tmp_path: Path, answer: dict[str, Any]) -> dict[str, Any]:
    """The points file made from an answer."""
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    read_answer(tmp_path / "answer.json", FRAME, 0.0).write(tmp_path / "made.json")
    written: dict[str, Any] = json.loads((tmp_path / "made.json").read_text())
    return written


def test_without_points_a_form_and_its_images_are_written(ask: Callable[..., tuple[int, str, Path]]) -> None:
    code, output, out = ask()
    assert code == 75
    form = json.loads((out / "await_input.json").read_text())
    assert f"WINSLOW_AWAIT_INPUT: {form['message']}\n" in output
    fields = {field["name"]: field for field in form["form"]}
    assert list(fields) == ["points", "known_length", "known_length_m", "road", "frame_time_s"]
    assert (fields["points"]["min_count"], fields["points"]["world"]) == (4, "optional")
    images = [field["image"] for field in fields.values() if "image" in field]
    assert images == ["./frame.jpg"] * 3
    assert (out / images[0]).stat().st_size > 10_000
    assert not (out / "reference_points.json").exists()


def test_an_answer_gives_the_same_points_as_the_equivalent_file(
    ask: Callable[..., tuple[int, str, Path]], answered: dict[str, Any], rendered: Film
) -> None:
    code, _, out = ask(answered)
    assert code == 0
    assert not (out / "await_input.json").exists()
    expected, written = (parse_points(path, FRAME) for path in (rendered.points, out / "reference_points.json"))
    assert written == expected


def test_the_answer_is_also_found_in_the_resources(
    ask: Callable[..., tuple[int, str, Path]], answered: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "resources" / "answer").mkdir(parents=True)
    (tmp_path / "resources" / "answer" / "answer.json").write_text(json.dumps(answered))
    (tmp_path / "resources" / "answer" / "points.json").write_text("[]")
    code, _, _ = ask(None, "--resources", str(tmp_path / "resources"))
    assert code == 0


def test_pixels_count_from_a_pixel_centre_and_stay_inside_the_frame(tmp_path: Path) -> None:
    corners = [(0, 0), (1279.75, 0.25), (1279.75, 719.75), (0.5, 719.5)]
    world = [(0, 30), (50, 30), (50, 0), (0, 0)]
    points = [
        {"label": f"P{number}", "x": x, "y": y, "world": list(place)}
        for number, ((x, y), place) in enumerate(zip(corners, world, strict=True))
    ]
    points.append({"label": "tree", "x": 640.5, "y": 360.5, "world": None})
    written = read(tmp_path, {"points": points})
    assert [(point["x_px"], point["y_px"]) for point in written["points"]] == [
        (0, 0),
        (1279, 0),
        (1279, 719),
        (0, 719),
        (640, 360),
    ]
    assert written["points"][2] == {"name": "P2", "x_px": 1279.0, "y_px": 719.0, "x_m": 50.0, "y_m": 0.0}
    assert written["points"][4] == {"name": "tree", "x_px": 640.0, "y_px": 360.0}
    assert written["frame"] == {"time_s": 0.0, "width_px": 1280, "height_px": 720}


def test_a_known_length_and_a_road_are_enough(tmp_path: Path) -> None:
    def shape(*corners: tuple[float, float]) -> list[dict[str, Any]]:
        return [{"label": "one", "points": [{"x": x, "y": y, "world": None} for x, y in corners]}]

    written = read(
        tmp_path,
        {
            "known_length": shape((100.5, 100.5), (200.5, 100.5)),
            "known_length_m": 9.1,
            "road": shape((0, 300.5), (1279.9, 300.5), (640.5, 600.5)),
        },
    )
    assert written["known_length"] == {"from_px": [100, 100], "to_px": [200, 100], "length_m": 9.1}
    assert written["road_polygon_px"] == [[0, 300], [1279, 300], [640, 600]]


LINE = {"label": "one", "points": [{"x": 1, "y": 1}, {"x": 9, "y": 1}, {"x": 9, "y": 9}]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda answer: [point.update(world=None) for point in answer["points"][3:]], "gives no scale: only 3 of its"),
        (lambda answer: answer.pop("points"), "it has no points"),
        (lambda answer: [point.update(y=300) for point in answer["points"]], "are collinear (in pixels)"),
        (
            lambda answer: answer["points"][1].update(x=answer["points"][0]["x"], y=answer["points"][0]["y"]),
            "are at the same pixel",
        ),
        (lambda answer: answer["points"][1].update(label=answer["points"][0]["label"]), "two points are named"),
        (lambda answer: answer.update(known_length_m=4), "a length in metres but not the line it belongs to"),
        (lambda answer: answer.update(known_length=[LINE]), "a line but not its length in metres"),
        (lambda answer: answer.update(known_length=[LINE], known_length_m=4), "the known length has 3 points"),
        (lambda answer: answer.update(frame_time_s=5), "for the frame at 5 s, but extract_frame chose"),
        (lambda answer: answer["points"][0].pop("x"), "answer.json is malformed: KeyError('x')"),
    ],
)
def test_an_unusable_answer_is_asked_again_with_the_reason(
    change: Callable[[dict[str, Any]], None],
    reason: str,
    ask: Callable[..., tuple[int, str, Path]],
    answered: dict[str, Any],
) -> None:
    change(answered)
    code, output, out = ask(answered)
    assert code == 75
    message = json.loads((out / "await_input.json").read_text())["message"]
    assert message.startswith("the answer cannot be used: ")
    assert reason in message
    assert f"WINSLOW_AWAIT_INPUT: {message}\n" in output
    assert not (out / "reference_points.json").exists()


def test_a_new_frame_needs_a_new_answer(ask: Callable[..., tuple[int, str, Path]], answered: dict[str, Any]) -> None:
    code, _, out = ask(answered, time_s=3)
    assert code == 75
    fields = json.loads((out / "await_input.json").read_text())["form"]
    assert fields[-1]["default"] == fields[-1]["min"] == fields[-1]["max"] == 3


def test_a_file_takes_precedence_over_an_answer(
    ask: Callable[..., tuple[int, str, Path]], answered: dict[str, Any], rendered: Film
) -> None:
    answered["points"].pop()
    code, output, out = ask(answered, "--reference-points", str(rendered.points))
    assert code == 0
    assert "the earlier answer is ignored" in output
    written, expected = (
        json.loads(path.read_text())["points"] for path in (out / "reference_points.json", rendered.points)
    )
    assert len(written) == len(expected)


def test_a_missing_answer_file_is_reported(tmp_path: Path) -> None:
    words = ["--answer", str(tmp_path / "answer.json"), "--output", str(tmp_path)]
    assert main(["define-reference-points", *words]) == 10
