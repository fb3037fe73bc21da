"""Stories of projects that live for weeks, in real containers: look, redo, branch, pause, come back, act together."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation, kill, until

from winslow_dagster import Winslow
from winslow_dagster.errors import ProjectConflict, WinslowError
from winslow_dagster.projects.domain.actor import Actor

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SCORES = "".join(f"{vehicle},{score}\n" for vehicle, score in enumerate((20, 35, 50, 65, 80, 95, 30, 70)))
DETECTION = """
name: detection
image: {image}
inputs:
  scores: {{kind: table, suffixes: [.csv]}}
defaults: {{cpus: 1, memory: 64MiB}}
stages:
  - name: detect
    args: [sh, -c, 'awk -F, "\\$2 >= $THRESHOLD" "$WINSLOW_RESOURCE_SCORES" > "$WINSLOW_OUTPUT_DIR/detections.csv";
                    echo "WINSLOW_RESULT: found=$(wc -l < "$WINSLOW_OUTPUT_DIR/detections.csv")"']
    env: {{THRESHOLD: "60"}}
    checks:
      - {{kind: result, key: found, min: 1}}
  - name: clean_up
    args: [sh, -c, 'head -n "$MOST" "$WINSLOW_INPUT_DIR/detect/detections.csv" > "$WINSLOW_OUTPUT_DIR/clean.csv"']
    env: {{MOST: "100"}}
  - name: accumulate
    args: [sh, -c, 'cd "$WINSLOW_OUTPUT_DIR"; cp "$WINSLOW_INPUT_DIR/clean_up/clean.csv" /tmp/clean.csv;
                    awk -F, "{{sum += \\$2}} END {{print NR \\",\\" sum}}" /tmp/clean.csv > total.csv;
                    echo "WINSLOW_RESULT: total=$(cat total.csv)"']
"""
BRANCHES = """
name: branches
image: {image}
stages:
  - {{name: root, args: [sh, -c, 'echo "root $V" > "$WINSLOW_OUTPUT_DIR/t"'], env: {{V: "1"}}}}
  - name: left
    after: [root]
    args: [sh, -c, '(echo "left $V"; cat "$WINSLOW_INPUT_DIR"/*/t) > "$WINSLOW_OUTPUT_DIR/t"']
    env: {{V: "1"}}
  - name: right
    after: [root]
    args: [sh, -c, '(echo "right $V"; cat "$WINSLOW_INPUT_DIR"/*/t) > "$WINSLOW_OUTPUT_DIR/t"']
    env: {{V: "1"}}
  - {{name: join, after: [left, right], args: [sh, -c, 'cat "$WINSLOW_INPUT_DIR"/*/t > "$WINSLOW_OUTPUT_DIR/t"']}}
"""


@pytest.fixture(scope="module")
def there(test_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pipelines = {"detection": DETECTION.format(image=test_image), "branches": BRANCHES.format(image=test_image)}
    made = Installation(tmp_path_factory.mktemp("weeks"), test_image, pipelines)
    made.up()
    yield made
    made.down()


@pytest.fixture
def anna(there: Installation) -> Iterator[Winslow]:
    with Winslow(there.settings, Actor("anna")) as winslow:
        yield winslow


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    path.write_text(SCORES)
    return path


def lines_of(winslow: Winslow, project: str, stage: str) -> list[str]:
    (file,) = winslow.project(project).files(stage)
    assert file.local_path is not None
    return file.local_path.read_text().splitlines()


def test_a_person_looks_at_detections_and_goes_back_until_they_are_right(anna: Winslow, scores: Path) -> None:
    status = anna.run("detection", "ulm-07", {"scores": scores}, stop_after="detect").wait()
    assert status.reason == "clean_up, accumulate have not run yet"
    assert lines_of(anna, "ulm-07", "detect") == ["3,65", "4,80", "5,95", "7,70"]

    ulm = anna.project("ulm-07")
    status = ulm.redo("detect", env={"THRESHOLD": "40"}, only=True, reason="some cars are missing").wait()
    assert status.stage("detect").results == {"found": "5"}
    ulm.resume().wait()
    assert lines_of(anna, "ulm-07", "accumulate") == ["5,360"]

    status = ulm.redo("clean_up", env={"MOST": "2"}, reason="only the first two are real").wait()
    assert (status.state, status.reason) == ("succeeded", "")
    assert lines_of(anna, "ulm-07", "accumulate") == ["2,115"]
    assert [(line.stage, line.number, line.reason) for line in ulm.history()] == [
        ("detect", 1, ""),
        ("detect", 2, "some cars are missing"),
        ("clean_up", 1, ""),
        ("accumulate", 1, ""),
        ("clean_up", 2, "only the first two are real"),
        ("accumulate", 2, "only the first two are real"),
    ]
    assert {line.image_digest for line in ulm.history()} != {None}


def test_a_failed_check_stops_the_project_until_somebody_has_looked(anna: Winslow, scores: Path) -> None:
    status = anna.run(
        "detection", "empty", {"scores": scores}, settings={"detect": {"env": {"THRESHOLD": "99"}}}
    ).wait()
    assert status.state == "paused"
    assert "a check of detect failed" in status.reason
    assert status.stage("clean_up").state == "pending"
    assert status.stage("detect").state == "succeeded", "its outputs are there to be looked at"
    assert anna.project("empty").resume().wait().state == "succeeded"


def test_a_project_paused_for_days_goes_on_with_the_pipeline_it_had(
    anna: Winslow, there: Installation, scores: Path
) -> None:
    run = anna.run("detection", "long", {"scores": scores}, env={"THRESHOLD_OF_PROJECT": "60"})
    anna.project("long").pause()
    assert run.ended().state == "paused"
    before = anna.status("long")

    kill(there.everything())
    assert there.supervisor is not None
    there.supervisor.wait()
    file = there.settings.pipelines_dir / "detection.yaml"
    original = file.read_text()
    file.write_text(original.replace('THRESHOLD: "60"', 'THRESHOLD: "90"').replace("accumulate", "add_up"))

    there.up()
    try:
        with Winslow(there.settings, Actor("ben")) as ben:
            status = ben.status("long")
            assert (status.state, status.reason, status.run_id) == (before.state, before.reason, before.run_id)
            assert status.pipeline_changes, "what changed since is shown"
            assert ben.project("long").resume(reason="back from holidays").wait().state == "succeeded"
            assert lines_of(ben, "long", "accumulate") == ["4,310"], "the threshold and the stages are still its own"

    finally:
        file.write_text(original)


def test_three_redos_in_a_chain_take_each_branch_from_where_it_is(anna: Winslow) -> None:
    anna.run("branches", "chain").wait()
    chain = anna.project("chain")
    chain.redo("left", env={"V": "2"}, only=True).wait()
    chain.redo("right", env={"V": "2"}, only=True).wait()
    assert chain.status().reason == "join is out of date"
    chain.redo("join").wait()
    assert lines_of(anna, "chain", "join") == ["left 2", "root 1", "right 2", "root 1"]
    chain.pick("left", 1)
    chain.redo("join").wait()
    assert lines_of(anna, "chain", "join") == ["left 1", "root 1", "right 2", "root 1"]
    chain.redo("root", env={"V": "3"}, only=True).wait()
    assert chain.status().reason == "left, right, join are out of date"
    chain.resume().wait()
    assert lines_of(anna, "chain", "join") == ["left 1", "root 3", "right 1", "root 3"]
    assert Counter(each.stage for each in chain.attempts()) == {"root": 2, "left": 3, "right": 3, "join": 4}


def test_of_two_people_who_act_in_the_same_second_one_wins_and_the_other_is_told(
    there: Installation, anna: Winslow
) -> None:
    anna.run("branches", "both").wait()
    told: dict[str, WinslowError | None] = {}
    together = threading.Barrier(2)

    def redo(who: str, stage: str) -> None:
        with Winslow(there.settings, Actor(who)) as winslow:
            together.wait()
            try:
                winslow.project("both").redo(stage, env={"V": who}, only=True)
                told[who] = None
            except ProjectConflict as conflict:
                told[who] = conflict

    people = [threading.Thread(target=redo, args=each) for each in (("ben", "left"), ("cleo", "right"))]
    for person in people:
        person.start()
    for person in people:
        person.join()
    (winner,) = [who for who, error in told.items() if error is None]
    (loser,) = set(told) - {winner}
    assert "a run is in progress" in str(told[loser])
    assert f"started by {winner}" in str(told[loser])
    both = anna.project("both")
    until(lambda: both.status().over, "the winner's run ends")
    assert [(entry.who, entry.action) for entry in both.audit()[:2]] == [(winner, "redo"), ("anna", "run")]


def test_a_project_runs_through_several_pipelines_and_keeps_what_each_made(anna: Winslow, scores: Path) -> None:
    anna.run("branches", "two-lives").wait()
    anna.run("detection", "two-lives", {"scores": scores}).wait()
    lives = anna.project("two-lives")
    assert [view.stage for view in lives.status().stages] == ["detect", "clean_up", "accumulate"]
    anna.run("branches", "two-lives", start_from="join").wait()
    assert lines_of(anna, "two-lives", "join") == ["left 1", "root 1", "right 1", "root 1"]
    assert [line.pipeline for line in lives.history()] == ["branches"] * 4 + ["detection"] * 3 + ["branches"]
