"""Projects on real services: they pause, ask, are answered, go on, and are redone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation, until

from winslow_dagster import Winslow
from winslow_dagster.errors import InputRejected, ProjectConflict, StageFailed
from winslow_dagster.projects.domain.actor import Actor

pytestmark = pytest.mark.slow

GATED = """
name: gated
command: [sh, -c]
stages:
  - name: before
    args: ['echo before > "$WINSLOW_OUTPUT_DIR/a.txt"']
  - name: gate
    args: ['until [ -e "$GATE" ]; do sleep 0.05; done; echo "gate $LEVEL" > "$WINSLOW_OUTPUT_DIR/b.txt"']
    env: {GATE: "${GATE:?}", LEVEL: "1"}
  - name: behind
    args: ['(cat "$WINSLOW_INPUT_DIR/gate/b.txt"; echo "$EXTRA") > "$WINSLOW_OUTPUT_DIR/c.txt"']
    env: {EXTRA: none}
  - name: last
    args: ['cat "$WINSLOW_INPUT_DIR/behind/c.txt" > "$WINSLOW_OUTPUT_DIR/d.txt"']
"""
ASKING = """
name: asking
command: [sh, -c]
stages:
  - name: choose
    args: ['cd "$WINSLOW_OUTPUT_DIR"; echo "$SIDE $COUNT" > side.txt; cp "$WINSLOW_ANSWER_FILE" said.json']
    needs_input:
      when: once
      message: Which side?
      form:
        - {kind: choice, name: side, options: [north, south]}
        - {kind: number, name: count, min: 1, max: 9, default: 3}
  - name: look
    args: ['cat "$WINSLOW_INPUT_DIR/choose/side.txt"; echo "$SIZE" > "$WINSLOW_OUTPUT_DIR/seen.txt"']
    env: {SIZE: small}
  - name: confirmed
    args: ['cp "$WINSLOW_INPUT_DIR/look/seen.txt" "$WINSLOW_OUTPUT_DIR/"']
    needs_input:
      when: always
      form: [{kind: confirm, name: fine, stage: look}]
  - name: finds_out
    args: ['if [ -z "$NAME" ]; then echo "WINSLOW_AWAIT_INPUT: no name was given";
            printf %s "$FORM" > "$WINSLOW_OUTPUT_DIR/await_input.json"; exit 75; fi;
            echo "$NAME" > "$WINSLOW_OUTPUT_DIR/name.txt"']
    env:
      NAME: ""
      FORM: '{"message": "A name, please", "form": [{"kind": "text", "name": "name", "max_length": 5}]}'
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("stories"), None, {"gated": GATED, "asking": ASKING})
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="module")
def winslow(there: Installation) -> Iterator[Winslow]:
    with Winslow(there.settings, Actor("anna")) as api:
        yield api


@pytest.fixture(scope="module")
def ben(there: Installation) -> Iterator[Winslow]:
    with Winslow(there.settings, Actor("ben")) as api:
        yield api


def text(winslow: Winslow, project: str, stage: str, path: str) -> str:
    file = next(file for file in winslow.project(project).files(stage) if file.path == path)
    assert file.local_path is not None
    return file.local_path.read_text()


def test_a_project_pauses_after_the_stage_that_runs_and_goes_on_with_what_it_was_told(
    winslow: Winslow, ben: Winslow, there: Installation, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run = winslow.run("gated", "ulm", env={"GATE": str(gate)}, settings={"behind": {"env": {"EXTRA": "told"}}})
    ulm = winslow.project("ulm")
    until(lambda: ulm.status().stage("gate").state == "running", "the gate runs")
    ben.project("ulm").pause()
    status = ulm.status()
    assert (status.state, status.reason) == ("pausing", "ben requested a pause; gate is still running")
    assert status.actions == ("resume", "cancel")
    with pytest.raises(ProjectConflict, match="ben already paused it"):
        ulm.pause()
    gate.touch()
    status = run.ended()
    assert (status.state, status.reason) == ("paused", "before behind: ben requested a pause")
    assert [view.state for view in status.stages] == ["succeeded", "succeeded", "pending", "pending"]
    until(lambda: not there.run_worker() and not there.stage_runner(), "a paused project holds no process")

    assert ulm.resume().wait().state == "succeeded"
    assert text(winslow, "ulm", "last", "d.txt") == "gate 1\ntold\n"
    assert [each.stage for each in ulm.attempts()] == ["before", "gate", "behind", "last"]


def test_a_pause_can_be_lifted_before_it_takes_effect(winslow: Winslow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = winslow.run("gated", "lifted", env={"GATE": str(gate)})
    lifted = winslow.project("lifted")
    until(lambda: lifted.status().stage("gate").state == "running", "the gate runs")
    lifted.pause()
    lifted.resume()
    assert lifted.status().state == "running"
    gate.touch()
    assert run.wait().state == "succeeded"


def test_a_project_pauses_after_the_stage_that_was_named(winslow: Winslow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = winslow.run("gated", "later", env={"GATE": str(gate)})
    later = winslow.project("later")
    until(lambda: later.status().stage("gate").state == "running", "the gate runs")
    later.pause(after="behind")
    assert later.status().reason == "anna requested a pause after behind; gate is still running"
    gate.touch()
    assert run.ended().reason == "before last: anna requested a pause after behind"
    assert later.status().stage("behind").state == "succeeded"


def test_a_redo_that_was_paused_before_it_began_is_not_forgotten(winslow: Winslow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    winslow.run("gated", "patient", env={"GATE": str(gate)}).wait()
    patient = winslow.project("patient")
    gate.unlink()
    run = patient.redo("gate", env={"LEVEL": "7"})
    until(lambda: patient.status().stage("gate").state == "running", "the gate runs")
    patient.pause()
    gate.touch()
    assert run.ended().state == "paused"
    patient.pick("gate", 1)
    assert patient.status().stage("behind").outdated == "", "what was made of it fits again"
    patient.resume().wait()
    assert [each.stage for each in patient.attempts()][5:] == ["behind", "last"]


def test_only_one_stage_is_redone_and_what_follows_is_out_of_date(winslow: Winslow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    winslow.run("gated", "redone", env={"GATE": str(gate)}).wait()
    redone = winslow.project("redone")
    status = redone.redo("gate", env={"LEVEL": "2"}, only=True, reason="a higher level").wait()
    assert status.reason == "behind, last are out of date"
    assert status.stage("behind").outdated == "gate has other outputs now"
    assert status.stage("last").outdated == "behind is out of date"
    assert redone.resume().wait().reason == ""
    assert text(winslow, "redone", "last", "d.txt") == "gate 2\nnone\n"
    line = redone.history("gate")[-1]
    assert (line.number, line.requested_by, line.reason, line.settings) == (
        2,
        "anna",
        "a higher level",
        {"env": {"LEVEL": "2"}},
    )

    redone.pick("gate", 1)
    assert redone.status().stage("behind").outdated
    redone.pick("behind", 1)
    assert not redone.status().stage("behind").outdated, "it was made of the first attempt of gate"
    status = redone.redo("last", use={"behind": 2}).wait()
    assert text(winslow, "redone", "last", "d.txt") == "gate 2\nnone\n"
    with pytest.raises(ProjectConflict, match=r"cannot both run again and use existing outputs"):
        redone.redo("gate", use={"behind": 2})


def test_a_sweep_makes_one_attempt_a_combination_and_one_is_picked(winslow: Winslow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    winslow.run("gated", "swept", env={"GATE": str(gate)}).wait()
    swept = winslow.project("swept")
    runs = swept.sweep("gate", {"LEVEL": ["5", "6"], "UNUSED": ["a"]})
    assert len(runs) == 2
    for run in runs:
        run.ended()
    status = swept.status()
    assert (status.state, status.actions) == ("awaiting_input", ("pick", "redo"))
    assert status.reason == "pick one of 2 attempts of gate"
    assert {summary.project: summary.state for summary in winslow.projects()}["swept"] == "awaiting_input"
    assert not status.stage("behind").outdated, "candidates change nothing"
    with_six = next(line for line in swept.history("gate")[1:] if line.settings["env"]["LEVEL"] == "6")
    swept.pick("gate", with_six.number)
    assert swept.status().state == "paused"
    swept.resume().wait()
    assert text(winslow, "swept", "last", "d.txt") == "gate 6\nnone\n"


def test_a_changed_file_is_a_new_attempt_and_the_rest_goes_on_with_it(winslow: Winslow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    winslow.run("gated", "mended", env={"GATE": str(gate)}).wait()
    mended = winslow.project("mended")
    (tmp_path / "mine.txt").write_text("by hand\n")
    made = mended.replace("gate", "b.txt", tmp_path / "mine.txt", reason="a wrong line")
    assert made.message == "anna replaced b.txt with mine.txt: a wrong line"
    assert mended.status().reason == "behind, last are out of date"
    mended.resume().wait()
    assert text(winslow, "mended", "last", "d.txt") == "by hand\nnone\n"


def test_an_equal_attempt_of_another_project_is_taken_over(winslow: Winslow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    winslow.run("gated", "first", env={"GATE": str(gate)}).wait()
    status = winslow.run("gated", "second", env={"GATE": str(gate)}, reuse=True).wait()
    assert status.state == "succeeded"
    lines = winslow.project("second").history()
    assert all(line.reused_from and line.message.startswith("taken over from ") for line in lines)
    changed = winslow.project("second").redo("behind", env={"EXTRA": "new"}, reuse=True).wait()
    assert changed.state == "succeeded"
    last = winslow.project("second").history()[-2:]
    assert [line.reused_from for line in last] == [None, None]


def test_a_project_asks_is_answered_and_goes_on(winslow: Winslow, ben: Winslow) -> None:
    status = winslow.run("asking", "east").ended()
    assert (status.state, status.reason) == ("awaiting_input", "before choose: Which side?")
    east = winslow.project("east")
    assert [question.stage for question in status.questions] == ["choose"]
    with pytest.raises(ProjectConflict, match="choose is waiting for an answer: Which side"):
        east.resume()
    with pytest.raises(InputRejected, match=r"side: .*west.*count: "):
        east.answer("choose", {"side": "west", "count": 10})
    run = east.answer("choose", {"side": "north"})
    assert run is not None
    with pytest.raises(ProjectConflict, match="has no open question: anna answered it"):
        ben.project("east").answer("choose", {"side": "south"})

    status = run.ended()
    assert text(winslow, "east", "choose", "side.txt") == "north 3\n"
    assert json.loads(text(winslow, "east", "choose", "said.json")) == {"side": "north", "count": 3}
    assert status.reason.startswith("before confirmed: Review the result of look")
    rejected = east.answer("confirmed", {"fine": {"accepted": False, "env": {"SIZE": "large"}}})
    assert rejected is not None
    status = rejected.ended()
    assert status.reason.startswith("before confirmed"), "the new result is to be looked at, too"
    accepted = east.answer("confirmed", {"fine": {"accepted": True}})
    assert accepted is not None
    status = accepted.ended()
    assert text(winslow, "east", "confirmed", "seen.txt") == "large\n"
    assert status.state == "awaiting_input"
    assert status.questions[0].message == "no name was given"
    assert status.questions[0].form[0]["name"] == "name"
    with pytest.raises(InputRejected, match="name"):
        east.answer("finds_out", {"name": "far too long"})
    named = east.answer("finds_out", {"name": "Anna"})
    assert named is not None
    assert named.wait().state == "succeeded"
    assert text(winslow, "east", "finds_out", "name.txt") == "Anna\n"
    assert [(each.stage, each.version, each.accepted) for each in east.answers()] == [
        ("choose", 1, True),
        ("confirmed", 1, False),
        ("confirmed", 2, True),
        ("finds_out", 1, True),
    ]
    again = east.redo("look", env={"SIZE": "huge"}).ended()
    assert again.reason.startswith("before confirmed"), "what was accepted was another result"


def test_a_rejected_result_is_made_again_with_all_that_the_run_was_told(winslow: Winslow) -> None:
    told = {"finds_out": {"env": {"NAME": "Ben"}}}
    winslow.run("asking", "south", settings=told).ended()
    south = winslow.project("south")
    south.answer("choose", {"side": "south"}).ended()
    south.answer("confirmed", {"fine": {"accepted": False, "env": {"SIZE": "large"}}}).ended()
    assert south.answer("confirmed", {"fine": {"accepted": True}}).wait().state == "succeeded"
    assert text(winslow, "south", "finds_out", "name.txt") == "Ben\n"


def test_what_people_did_is_on_record(winslow: Winslow) -> None:
    entries = winslow.project("ulm").audit()
    assert [(entry.who, entry.action) for entry in reversed(entries)] == [
        ("anna", "run"),
        ("ben", "pause"),
        ("anna", "resume"),
    ]
    assert entries[-1].details["settings"] == {"behind": {"env": {"EXTRA": "told"}}}
    assert all(entry.host and entry.via == "python" for entry in entries)


def test_a_failed_stage_is_resumed_with_what_its_run_was_told(winslow: Winslow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    with pytest.raises(StageFailed, match="behind: "):
        winslow.run(
            "gated", "broken", env={"GATE": str(gate)}, settings={"behind": {"args": ["exit 3"], "env": {"EXTRA": "x"}}}
        ).wait()
    broken = winslow.project("broken")
    assert broken.status().state == "failed"
    assert broken.redo("behind", env={"EXTRA": "y"}).wait().state == "succeeded"
    assert text(winslow, "broken", "last", "d.txt") == "gate 1\ny\n"
