"""Forms that stages write, and answers to them: what is accepted, what is rejected, and the messages."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from form_strategies import forms_with_answers
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.errors import AnswerRejected, InputRejected
from winslow_dagster.pipelines import CheckedAnswer, Form, check_answer, judge_answer, parse_form, resolve_environment
from winslow_dagster.pipelines.forms.example import example_answer
from winslow_dagster.pipelines.forms.json_file import LARGEST_FORM_BYTES
from winslow_dagster.pipelines.model.form import ConfirmField

T = TypeVar("T")
BUILTIN = {"WINSLOW_RESOURCES_DIR": "/r"}
SQUARE = [{"x": 0, "y": 0}, {"x": 9, "y": 0}, {"x": 9, "y": 9}, {"x": 0, "y": 9}]


def form_of(*fields: dict[str, Any]) -> Form:
    return parse_form({"form": list(fields)})


def faults_of(form: Form, values: dict[str, Any], **more: Any) -> list[str]:
    with pytest.raises(InputRejected) as raised:
        check_answer(form, values, **more)
    assert isinstance(raised.value, AnswerRejected)
    return [f"{field}: {sentence}" for field, sentence in raised.value.faults]


def answered(field: dict[str, Any], value: Any, **more: Any) -> CheckedAnswer:
    return check_answer(form_of(field | {"name": "a"}), {"a": value}, **more)


def fault_of(field: dict[str, Any], value: Any, **more: Any) -> str:
    (fault,) = faults_of(form_of(field | {"name": "a"}), {"a": value}, **more)
    return fault


def test_a_form_that_a_stage_wrote_has_its_defaults() -> None:
    form = parse_form('{"message": "How fast?", "form": [{"kind": "number", "name": "speed", "min": 0, "unit": null}]}')
    assert form.message == "How fast?"
    (field,) = form.form
    assert (field.kind, field.name, field.label, field.required) == ("number", "speed", "", True)
    assert form.variables == ("SPEED",)


def test_a_confirm_field_means_the_only_stage_directly_before() -> None:
    (field,) = parse_form({"form": [{"kind": "confirm", "name": "ok"}]}, after=("detect",)).form
    assert isinstance(field, ConfirmField)
    assert field.stage == "detect"
    with pytest.raises(InputRejected, match="needs a `stage`"):
        parse_form({"form": [{"kind": "confirm", "name": "ok"}]}, after=("detect", "decode"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not valid JSON: line 1, column 1: Expecting value"),
        ("[]", "the form is a list"),
        (b"\xff", "not valid JSON: byte 0: not UTF-8"),
        ("[" * 100_000, "not valid JSON: nested too deeply"),
        ('{"form": [' + "9" * 5000 + "]}", "not valid JSON: a number has too many digits"),
        ('{"from": []}', "from: a form has no field `from`; expected a field of a form; did you mean form?"),
        ('{"form": [{"kind": "txt", "name": "a"}]}', 'form[1].kind: `kind` is "txt"'),
        ('{"form": [{"kind": "number", "name": "a", "min": "1"}]}', '`min` is "1"; expected a number; did you mean 1?'),
        ('{"form": [null]}', "form[1]: an item of `form` is empty; expected a mapping"),
        ('{"form": [{"kind": "points", "name": "a"}]}', "a points field has no `image`"),
        ('{"form": [{"kind": "text", "name": "a"}, {"kind": "text", "name": "a"}]}', "form[2].name: two fields"),
    ],
)
def test_an_invalid_form_is_reported_with_the_path_of_its_fault(text: str | bytes, expected: str) -> None:
    with pytest.raises(InputRejected) as raised:
        parse_form(text)
    assert expected in str(raised.value)
    assert str(raised.value).startswith("await_input.json: ")


def test_a_form_that_is_too_large_is_not_read() -> None:
    with pytest.raises(InputRejected, match="too large"):
        parse_form(" " * (LARGEST_FORM_BYTES + 1))
    fields = [{"kind": "boolean", "name": f"a{number}"} for number in range(101)]
    with pytest.raises(InputRejected, match="`form` is too long; expected at most 100"):
        parse_form({"form": fields})


def test_an_answer_becomes_files_and_variables(tmp_path: Path) -> None:
    form = form_of(
        {"kind": "text", "name": "note"},
        {"kind": "number", "name": "speed", "default": 2.5},
        {"kind": "boolean", "name": "night"},
        {"kind": "choice", "name": "road", "options": ["A8", "B10"], "variable": "ROAD_NAME"},
        {"kind": "points", "name": "corners", "image": "decode/frame.jpg", "world": "optional"},
        {"kind": "file", "name": "table"},
        {"kind": "text", "name": "more", "required": False},
    )
    upload = tmp_path / "a $.csv"
    upload.touch()
    points = [{"x": 1.5, "y": 2, "world": [3, 4]}, {"x": 0, "y": 0, "label": "kerb"}]
    values = {"note": "${HOME} costs 3$", "night": True, "road": "B10", "corners": points}
    answer = check_answer(form, values, {"table": upload})
    stored = [
        {"label": "P1", "x": 1.5, "y": 2, "world": [3, 4]},
        {"label": "kerb", "x": 0, "y": 0, "world": None},
    ]
    assert answer.values == values | {"speed": 2.5, "corners": stored, "table": "table/a $.csv"}
    assert json.loads(answer.documents["answer.json"]) == answer.values
    assert json.loads(answer.documents["corners.json"]) == stored
    assert answer.files == {"table/a $.csv": upload}
    assert (answer.accepted, answer.redo) == (True, None)
    assert resolve_environment([{"HOME": "x"}, answer.variables], BUILTIN) == BUILTIN | {
        "HOME": "x",
        "NOTE": "${HOME} costs 3$",
        "SPEED": "2.5",
        "NIGHT": "true",
        "ROAD_NAME": "B10",
        "CORNERS": "/r/answer/corners.json",
        "TABLE": "/r/answer/table/a $.csv",
    }


def test_all_faults_of_an_answer_are_reported_at_once() -> None:
    form = form_of(
        {"kind": "number", "name": "speed"}, {"kind": "boolean", "name": "night"}, {"kind": "file", "name": "table"}
    )
    assert faults_of(form, {"sped": 1, "speed": "fast", "table": "a.csv"}) == [
        "sped: the form has no such field; did you mean speed?",
        'speed: is "fast"; expected a number',
        "night: is required",
        'table: is a file field, but the answer is "a.csv"; expected a file',
    ]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ({"kind": "text"}, "", "a: is empty; expected a non-empty string"),
        ({"kind": "text", "max_length": 3}, "four", "a: has 4 characters; expected at most 3"),
        ({"kind": "text", "pattern": "[a-z]+"}, "ab1", 'a: is "ab1"; expected a match of [a-z]+'),
        ({"kind": "text"}, "a\0b", "a: contains a character that cannot be passed to a program"),
        ({"kind": "number"}, True, "a: is true; expected a number"),
        ({"kind": "number"}, float("nan"), "a: is nan; expected a finite number"),
        ({"kind": "number"}, 10**400, "a: is too large; expected a number up to 9007199254740992"),
        ({"kind": "number", "integer": True}, 1.5, "a: is 1.5; expected an integer"),
        ({"kind": "number", "min": 2}, 1, "a: is 1; expected at least 2"),
        ({"kind": "number", "max": 2}, 2.000001, "a: is 2.000001; expected at most 2"),
        ({"kind": "number", "min": 1, "step": 0.1}, 1.25, "a: is 1.25; expected 1 plus a multiple of 0.1"),
        ({"kind": "choice", "options": [1, 2]}, True, "a: is true; expected one of 1, 2"),
        ({"kind": "choice", "options": ["day", "night"]}, "nigt", "did you mean night?"),
        ({"kind": "boolean"}, 1, "a: is 1; expected true or false"),
        ({"kind": "points", "image": "./a"}, {"x": 1}, "a: `value` is a mapping; expected a list"),
        ({"kind": "points", "image": "./a"}, [{"x": 1}], "a: [1]: a point has no `y`; expected `y: …`"),
        ({"kind": "points", "image": "./a"}, [{"x": -1, "y": 1}], "a: [1].x: `x` is -1; expected at least 0"),
        ({"kind": "points", "image": "./a"}, [{"x": None, "y": 1}], "a: [1].x: `x` is empty; expected a number"),
        ({"kind": "points", "image": "./a"}, [], "a: has 0 points; expected at least 1"),
        ({"kind": "points", "image": "./a"}, [{"x": 1, "y": 1, "world": [1, 2]}], "expected no `world`"),
        (
            {"kind": "points", "image": "./a", "world": "metres"},
            [{"x": 1, "y": 1}],
            "expected `world` as [x, y] in metres",
        ),
        (
            {"kind": "points", "image": "./a", "world": "metres"},
            [{"x": 1, "y": 1, "world": [1, float("inf")]}],
            "a: [1].world[2]: an item of `world` is inf; expected a finite number",
        ),
        (
            {"kind": "points", "image": "./a", "world": "wgs84"},
            [{"x": 1, "y": 1, "world": [9.98, 98.4]}],
            "a: point 1 has the world coordinates 9.98, 98.4; expected [longitude, latitude] in degrees",
        ),
        (
            {"kind": "points", "image": "./a", "labels": ["kerb", "pole"]},
            [{"x": 1, "y": 1, "label": "krb"}],
            'a: point 1 has the label "krb"; expected one of kerb, pole; did you mean kerb?',
        ),
        ({"kind": "polygon", "image": "./a"}, [{"points": SQUARE}] * 2, "a: has 2 polygons; expected at most 1"),
        (
            {"kind": "polygon", "image": "./a"},
            [{"points": [SQUARE[0], SQUARE[1], SQUARE[0], SQUARE[1]]}],
            "a: polygon 1 has 2 different points; expected at least 3",
        ),
        (
            {"kind": "polygon", "image": "./a"},
            [{"points": [*SQUARE, SQUARE[0]]}],
            "a: polygon 1 has the corner (0, 0) twice; expected each corner once",
        ),
        (
            {"kind": "polygon", "image": "./a"},
            [{"points": [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]]}],
            "a: polygon 1 intersects itself: its edges 1-2 and 3-4 meet; expected a simple polygon",
        ),
        (
            {"kind": "polygon", "image": "./a"},
            [{"points": [{"x": 0, "y": 0}, {"x": 4, "y": 0}, {"x": 2, "y": 0}]}],
            "a: polygon 1 intersects itself: its edges 1-2 and 2-3 meet; expected a simple polygon",
        ),
        (
            {"kind": "lines", "image": "./a"},
            [{"points": [SQUARE[0], SQUARE[0]]}],
            "a: line 1 has 1 different points; expected at least 2",
        ),
        ({"kind": "confirm", "stage": "b"}, {"accepted": "yes"}, '`accepted` is "yes"; expected true or false'),
        ({"kind": "confirm", "stage": "b"}, {"accepted": False, "envi": {}}, "did you mean env?"),
        ({"kind": "confirm", "stage": "b"}, {"accepted": False, "env": {"A": "${"}}, "`${` is not followed by a name"),
        ({"kind": "confirm", "stage": "b"}, {"accepted": True, "args": []}, "is accepted but changes args"),
    ],
)
def test_an_invalid_value_is_reported(field: dict[str, Any], value: Any, expected: str) -> None:
    assert expected in fault_of(field, value)


@given(forms_with_answers())
def test_every_form_has_an_example_of_a_valid_answer(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
    form = parse_form(case[0])
    example = example_answer(form, {})
    left_out = {one.name for one in form.form if one.kind == "file" or (one.kind == "text" and one.pattern)}
    assert set(example) == {one.name for one in form.form} - left_out
    rest = [one for one in form.form if one.name not in left_out]
    assert check_answer(Form(form=tuple(rest)), example).accepted


POINTS_FILE = {
    "frame": {"time_s": 0.0, "width_px": 1920, "height_px": 1080},
    "points": [
        {"name": "kerb", "x_px": 412.0, "y_px": 300.5, "x_m": 0.0, "y_m": 2.5},
        {"x_px": 0, "y_px": 0},
    ],
    "known_length": {"from_px": [100, 200], "to_px": [300, 200], "length_m": 12.0},
    "road_polygon_px": [[0, 300], [1919, 300], [1919, 700]],
}


def test_a_points_file_of_the_tracker_answers_points_lines_and_polygons() -> None:
    sizes = {"a": (1920, 1080)}
    points = answered({"kind": "points", "image": "./a", "world": "optional"}, POINTS_FILE, image_sizes=sizes)
    assert points.values["a"] == [
        {"label": "kerb", "x": 412.5, "y": 301.0, "world": [0.0, 2.5]},
        {"label": "P2", "x": 0.5, "y": 0.5, "world": None},
    ]
    (line,) = answered({"kind": "lines", "image": "./a"}, POINTS_FILE).values["a"]
    assert [(each["x"], each["y"]) for each in line["points"]] == [(100.5, 200.5), (300.5, 200.5)]
    (polygon,) = answered({"kind": "polygon", "image": "./a"}, POINTS_FILE, image_sizes=sizes).values["a"]
    assert polygon["points"][1] == {"x": 1919.5, "y": 300.5, "world": None}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ({"kind": "points"}, {"points": [{"x_px": 1}]}, "is not a valid points file (KeyError('y_px'))"),
        ({"kind": "points"}, {"points": [], "more": 1}, 'has the unknown key "more"; expected a points file'),
        ({"kind": "lines"}, {"points": []}, "is a points file without `known_length`"),
        ({"kind": "points"}, POINTS_FILE | {"frame": {"width_px": 9, "height_px": 9}}, "is for a frame of 9x9 pixels"),
        (
            {"kind": "points", "world": "metres"},
            {"points": [{"x_px": 1, "y_px": 1, "latitude_deg": 48.4, "longitude_deg": 10}]},
            "has latitudes and longitudes; expected metres",
        ),
        (
            {"kind": "points", "world": "wgs84"},
            {"points": [{"x_px": 1, "y_px": 1, "x_m": 48.4, "y_m": 10}]},
            "has metres; expected latitudes and longitudes",
        ),
    ],
)
def test_a_points_file_that_does_not_fit_is_reported(field: dict[str, Any], value: Any, expected: str) -> None:
    assert expected in fault_of(field | {"image": "./a"}, value, image_sizes={"a": (1920, 1080)})


FRAME = {"kind": "points", "video": "input:film"}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (FRAME, [{"x": 1, "y": 1}], "has a mark without `frame`; expected the index of the frame that is marked"),
        (
            FRAME,
            [{"x": 1, "y": 1, "frame": 3}, {"x": 5, "y": 5, "frame": 4}],
            "has marks on the frames 3, 4; expected one frame",
        ),
        (FRAME, [{"x": 1, "y": 1, "frame": -1}], "`frame` is -1"),
        (FRAME, [{"x": 1, "y": 1, "frame": 1.5}], "`frame` is 1.5"),
        (
            {"kind": "points", "image": "./a"},
            [{"x": 1, "y": 1, "frame": 3}],
            "has the frame 3; expected no `frame`, because an image is marked",
        ),
    ],
)
def test_marks_on_a_video_are_on_one_frame(field: dict[str, Any], value: Any, expected: str) -> None:
    assert expected in fault_of(field, value)


def test_the_answer_to_marks_on_a_video_has_the_index_of_the_frame() -> None:
    points = answered(FRAME, [{"x": 1, "y": 2, "frame": 7}]).values["a"]
    assert points == [{"label": "P1", "x": 1, "y": 2, "world": None, "frame": 7}]
    line = answered({"kind": "lines", "video": "cut/*.mp4"}, [{"points": SQUARE[:2], "frame": 7}]).values["a"]
    assert line[0]["frame"] == 7


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"video": "input:film", "image": "./a.png"}, "has both `image` and `video`"),
        ({}, "has no `image`"),
        ({"video": "input:"}, "names no input"),
        ({"video": "film.mp4"}, "is not a stage output"),
    ],
)
def test_a_field_shows_an_image_or_a_video(field: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputRejected) as raised:
        form_of({"kind": "points", "name": "a"} | field)
    assert expected in str(raised.value)


def test_a_known_length_is_judged_as_a_scale_beside_the_points() -> None:
    form = form_of(
        {"kind": "points", "name": "points", "image": "./a", "world": "metres"},
        {"kind": "lines", "name": "known_length", "image": "./a"},
        {"kind": "number", "name": "known_length_m"},
    )
    sizes = dict.fromkeys(("points", "known_length"), (1920, 1080))
    points = [
        {"x": x, "y": y, "world": [x / 20, -y / 20]} for x, y in ((100, 100), (1800, 100), (1800, 900), (100, 900))
    ]
    line = [{"points": [{"x": 100, "y": 500}, {"x": 300, "y": 500}]}]

    def judged(length_m: float) -> tuple[str, ...]:
        values = {"points": points, "known_length": line, "known_length_m": length_m}
        return judge_answer(form, values, sizes).warnings

    assert judged(10) == ()
    assert judged(30) == ("known_length: One pixel is 0.15 m wide by this length, and 0.05 m by the points.",)
    assert judged(3000) == (
        "known_length: One pixel is 15 m wide by this length; a drone's picture has 0.005 to 0.5 m.",
    )


def test_a_point_outside_the_image_is_reported_if_its_size_is_known() -> None:
    field = {"kind": "points", "image": "./a"}
    sizes = {"a": (1920, 1080)}
    assert answered(field, [{"x": 1919.9, "y": 1079.9}], image_sizes=sizes).values
    expected = fault_of(field, [{"x": 1920, "y": 0}], image_sizes=sizes)
    assert expected == "a: point 1 is at (1920, 0); expected a point inside the image of 1920x1080"


def test_steps_are_counted_in_decimal_arithmetic() -> None:
    assert answered({"kind": "number", "step": 0.1}, 0.3).variables == {"A": "0.3"}


@pytest.mark.parametrize(("value", "text"), [(1e-7, "0.0000001"), (1e20, "1" + "0" * 20), (2.0, "2"), (-0.5, "-0.5")])
def test_a_number_has_no_exponent_in_a_variable(value: float, text: str) -> None:
    assert answered({"kind": "number"}, value).variables == {"A": text}


def test_a_rejected_result_is_a_redo_and_needs_no_other_answer() -> None:
    form = form_of({"kind": "confirm", "name": "ok", "stage": "detect"}, {"kind": "text", "name": "note"})
    answer = check_answer(form, {"ok": {"accepted": False, "env": {"A": "1"}, "memory": 8 << 30, "why": "few"}})
    assert not answer.accepted
    assert answer.redo == {"stage": "detect", "settings": {"env": {"A": "1"}, "memory": str(8 << 30)}}
    assert faults_of(form, {"ok": {"accepted": True}}) == ["note: is required"]


def test_a_file_must_exist_and_have_an_accepted_name(tmp_path: Path) -> None:
    form = form_of({"kind": "file", "name": "a", "suffixes": [".csv"]})
    video = tmp_path / "a.mp4"
    video.touch()
    assert faults_of(form, {}, files={"a": video}) == [
        "a: a.mp4 has the wrong suffix; expected a file name ending in .csv"
    ]
    assert faults_of(form, {}, files={"a": tmp_path / "b.csv"}) == ["a: the file b.csv does not exist"]
    assert faults_of(form, {}) == ["a: is required; expected a file"]


def test_no_pattern_takes_for_ever() -> None:
    assert "expected a match of" in fault_of({"kind": "text", "pattern": r"(a+|b+|ab)*\d"}, "ab" * 40 + "!")


@pytest.fixture(scope="module")
def uploads() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        for file in ("a.csv", "a $.b.CSV"):
            Path(name, file).touch()
        yield Path(name)


def split(answer: dict[str, Any], uploads: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    files = {name: uploads / value for name, value in answer.items() if isinstance(value, Path)}
    return {name: value for name, value in answer.items() if name not in files}, files


@given(case=forms_with_answers())
def test_every_valid_answer_is_accepted_and_survives_json(
    case: tuple[dict[str, Any], dict[str, Any]], uploads: Path
) -> None:
    written, answer = case
    form = parse_form(json.dumps(written))
    assert parse_form(json.dumps(form.as_json())) == form
    assert Form.model_validate(json.loads(json.dumps(form.as_json()))) == form
    values, files = split(answer, uploads)
    taken = check_answer(form, json.loads(json.dumps(values)), files, image_sizes=dict.fromkeys(answer, (1000, 1000)))
    assert taken.values.keys() == answer.keys()
    assert json.loads(taken.documents["answer.json"]) == taken.values
    for name, document in taken.documents.items():
        if name != "answer.json":
            assert json.loads(document) == taken.values[name.removesuffix(".json")]
    seen = resolve_environment([taken.variables], BUILTIN)
    for field in form.form:
        if field.kind in {"text", "choice"} and isinstance(taken.values[field.name], str):
            assert seen[field.name.upper()] == taken.values[field.name]
        elif field.kind == "number":
            assert float(seen[field.name.upper()]) == taken.values[field.name]
    again = {name: value for name, value in taken.values.items() if name not in files}
    assert check_answer(form, again, files).values == taken.values


THINGS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from([10**400, "\ud800", "\0", "answer", "points", "${", "../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def steps(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(found for step, item in inner for found in steps(item, (*path, step)))]


def mutated(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        if not (places := steps(data)):
            return data
        *above, last = draw(st.sampled_from(places))
        target: Any = data
        for step in above:
            target = target[step]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                target[last] = draw(THINGS)
            case "remove":
                del target[last]
            case _ if isinstance(target, dict):
                target[draw(st.text(max_size=4))] = draw(THINGS)
            case _:
                target.insert(last, draw(THINGS))
    return data


def taken_or_told(call: Callable[[], T]) -> T | None:
    """What the call gives, or None where it was refused in one printable line; nothing else may be raised."""
    try:
        return call()
    except InputRejected as error:
        if not str(error).isprintable():
            pytest.fail(f"no line: {str(error)!r}")
        return None


@given(case=forms_with_answers(), data=st.data())
def test_any_changed_form_or_answer_is_accepted_or_rejected_in_one_line(
    case: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject, uploads: Path
) -> None:
    written, answer = case
    values, files = split(answer, uploads)
    form = taken_or_told(partial(parse_form, mutated(data.draw, written))) or parse_form(written)
    taken = taken_or_told(partial(check_answer, form, mutated(data.draw, values), files))
    if taken is not None:
        assert json.loads(taken.documents["answer.json"]) == taken.values


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_form_or_rejected(content: bytes) -> None:
    taken_or_told(partial(parse_form, content))


@pytest.mark.parametrize("field", ["label", "help"])
@pytest.mark.parametrize("character", ["\0", "\x1b", "\x9b", "\udc00"])
def test_a_form_with_control_characters_is_rejected(field: str, character: str) -> None:
    written = json.dumps({"form": [{"kind": "text", "name": "road", field: f"a{character}b"}]})
    with pytest.raises(InputRejected, match=rf"form\[1\]\.{field}: has a control character"):
        parse_form(written)


@pytest.mark.parametrize("character", ["\0", "\udc00"])
def test_a_label_that_no_program_can_be_passed_is_rejected(character: str) -> None:
    form = form_of({"kind": "points", "name": "corners", "image": "decode/a.jpg"})
    assert faults_of(form, {"corners": [{"x": 1, "y": 2, "label": character}]}) == [
        "corners: contains a character that cannot be passed to a program"
    ]
