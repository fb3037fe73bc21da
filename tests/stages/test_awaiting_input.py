"""What a stage asks of a person, and what is checked of what it wrote, from its program to its result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attempts import Place

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import Form
from winslow_dagster.pipelines.model.output_checks import CsvCheck, FileCheck, ResultCheck
from winslow_dagster.stages.runner.awaiting_input import written_form

FORM = {"message": "Click the kerb.", "form": [{"kind": "points", "name": "kerb", "image": "./frame.jpg"}]}
WRITES = f"""cd "$WINSLOW_OUTPUT_DIR"; echo x > frame.jpg; echo '{json.dumps(FORM)}' > await_input.json; """


def test_a_stage_that_asks_hands_over_its_form_and_what_the_form_shows(place: Place) -> None:
    result = place.run(WRITES + "exit 75")
    assert (result.outcome, result.message, result.checks) == ("awaiting_input", "Click the kerb.", ())
    assert Form.model_validate({"form": result.form}).variables == ("KERB",)
    assert place.text(result.outputs, "frame.jpg") == "x\n"


def test_what_the_log_says_comes_before_what_the_form_says(place: Place) -> None:
    assert place.run(f"{WRITES} echo WINSLOW_AWAIT_INPUT: now; exit 75").message == "now"


def test_a_stage_that_asks_and_exits_with_0_asks(place: Place) -> None:
    result = place.run(f"{WRITES} echo WINSLOW_AWAIT_INPUT: Where is the kerb?; exit 0")
    assert (result.outcome, result.message, result.exit_code) == ("awaiting_input", "Where is the kerb?", 0)
    assert Form.model_validate({"form": result.form}).variables == ("KERB",)


def test_a_stage_that_asks_without_a_form_keeps_its_outputs_too(place: Place) -> None:
    result = place.run('echo x > "$WINSLOW_OUTPUT_DIR/frame.jpg"; exit 75')
    assert (result.outcome, result.form) == ("awaiting_input", None)
    assert result.message == "the stage needs input, but did not say what for"
    assert place.text(result.outputs, "frame.jpg") == "x\n"


def test_a_form_that_cannot_be_read_fails_the_stage_and_says_why(place: Place) -> None:
    result = place.run("""echo '{"form": [{"kind": "pints"}]}' > "$WINSLOW_OUTPUT_DIR/await_input.json"; exit 75""")
    assert (result.outcome, result.form, result.outputs) == ("failed", None, None)
    assert result.message.startswith(
        "the stage awaits input, but its form is invalid: await_input.json: form[1].kind: "
        '`kind` is "pints"; expected one of text,'
    )
    assert result.message.endswith("did you mean points?")


def test_a_form_counts_only_where_the_stage_asks(place: Place) -> None:
    result = place.run(WRITES)
    assert (result.outcome, result.form) == ("succeeded", None)


def test_an_image_that_the_stage_did_not_write_cannot_be_marked(tmp_path: Path) -> None:
    (tmp_path / "await_input.json").write_text(json.dumps(FORM))
    with pytest.raises(
        InputRejected, match=r"the field kerb shows \./frame\.jpg, but the stage did not write that file"
    ):
        written_form(tmp_path, ())


def test_a_form_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "await_input.json").symlink_to("/etc/hostname")
    with pytest.raises(InputRejected, match="not a regular file"):
        written_form(tmp_path, ())


def test_checks_that_are_not_passed_leave_a_stage_succeeded_with_its_outputs(place: Place) -> None:
    checks = (
        CsvCheck(name="tracks", blocking=True, glob="tracks.csv", range={"speed": {"max": 70}}),
        ResultCheck(name="many", severity="warn", blocking=False, key="vehicles", min=5),
        FileCheck(name="film", blocking=True, glob="film.mp4"),
    )
    script = 'echo WINSLOW_RESULT: vehicles=7; printf "speed\\n312\\n" > "$WINSLOW_OUTPUT_DIR/tracks.csv"'
    result = place.run(script, checks=checks)
    assert result.outcome == "succeeded"
    assert result.outputs is not None
    assert [(one.name, one.passed, one.blocking) for one in result.checks] == [
        ("tracks", False, True),
        ("many", True, False),
        ("film", False, True),
    ]
    assert result.checks[0].message == "tracks.csv: speed is 312 in line 2, above 70"


def test_a_stage_that_failed_is_not_checked(place: Place) -> None:
    checks = (FileCheck(name="film", blocking=True, glob="film.mp4"),)
    assert place.run("exit 3", checks=checks).checks == ()
