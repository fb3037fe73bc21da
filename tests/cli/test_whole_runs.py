"""Whole runs from the command line, against services that really run: the shell's side of everything."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from patience import until
from whole_installation import Installation, stages

from winslow_dagster.projects.dagster_api.connection import dagster_client
from winslow_dagster.projects.domain.views import ProjectFile, ProjectStatus, StageView
from winslow_dagster.services.instance import installation_id
from winslow_dagster.settings import Settings


@pytest.fixture(scope="module")
def first(there: Installation) -> Any:
    """The status of a project that has run once, with its run's."""
    return there.run("first")


def test_a_run_is_followed_to_its_end_and_told_in_stable_shapes(there: Installation, first: Any) -> None:
    status = first
    assert set(status) == set(ProjectStatus.model_fields)
    assert all(set(stage) == set(StageView.model_fields) for stage in status["stages"])
    assert (status["state"], status["reason"]) == ("succeeded", "")
    assert stages(status)["count"]["results"] == {"vehicles": "2"}
    assert there.said("status", "first") == status
    assert "first" in [each["project"] for each in there.said("status")["projects"]]
    assert "succeeded" in there.winslow("status").stdout


@pytest.mark.usefixtures("first")
def test_files_are_listed_and_copied_and_another_file_is_never_replaced(there: Installation, tmp_path: Path) -> None:
    (file,) = there.said("files", "first")["files"]
    assert set(file) == set(ProjectFile.model_fields)
    assert Path(file["local_path"]).read_text() == "2,63\n3,71\n"
    assert "fast.csv" in there.winslow("files", "first", "--stage", "pick").stdout
    assert there.said("files", "first", "--stage", "count") == {"files": []}
    (copied,) = there.said("files", "first", "--get", str(tmp_path))["files"]
    assert Path(copied["local_path"]) == tmp_path / "pick" / "fast.csv"
    assert there.winslow("files", "first", "--get", str(tmp_path)).returncode == 0
    (tmp_path / "pick" / "fast.csv").write_text("mine")
    assert there.refused("files", "first", "--get", str(tmp_path)) == (5, "a different file exists")


@pytest.mark.usefixtures("first")
def test_logs_are_read_whole_from_the_end_and_by_their_errors(there: Installation) -> None:
    lines = [json.loads(line) for line in there.winslow("logs", "first", "pick", "--json").stdout.splitlines()]
    assert {"number", "at", "stream", "text"} == set(lines[0])
    assert ("stderr", "picked") in [(line["stream"], line["text"]) for line in lines]
    assert there.winslow("logs", "first", "pick", "--errors").stdout == "picked\n"
    assert there.winslow("logs", "first", "count", "--errors").stdout == "WINSLOW_RESULT: vehicles=2\n"
    assert there.winslow("logs", "first", "count", "--tail", "1").stdout == "WINSLOW_RESULT: vehicles=2\n"
    assert there.winslow("logs", "first", "count", "--tail", "1", "--timestamps").stdout.startswith("20")
    assert there.winslow("logs", "first", "count", "--search", "VEHICLES=").stdout == ""
    found = there.winslow("logs", "first", "count", "--search", "vehicles=", "--source", "stdout").stdout
    assert found == "WINSLOW_RESULT: vehicles=2\n"
    assert there.winslow("logs", "first", "count", "--regex", r"s=\d$", "--since", "2020-01-01").stdout == found
    assert there.winslow("logs", "first", "count", "--regex", r"s=\d$", "--until", "2020-01-01T00:00Z").stdout == ""
    assert there.winslow("logs", "first", "pick", "--level", "warning").stderr.startswith("first/pick: no such line")
    assert there.refused("logs", "first", "count", "--regex", "(")[0] == 3
    assert there.refused("logs", "first", "count", "--search", "x", "--follow")[0] == 2
    assert there.refused("logs", "first", "count", "--attempt", "2") == (4, "stage count has no attempt 2")


def test_a_stage_that_fails_ends_the_command_with_eight_and_a_run_says_all_of_itself(
    there: Installation,
) -> None:
    ran = there.winslow(
        *("run", "speeding", "--project", "fails", "--input", "speeds=speeds.csv", "--set", "count.env.EXIT=3")
    )
    assert ran.returncode == 8
    assert "count" in ran.stderr
    assert "exit code 3" in ran.stderr
    status = there.said("status", "fails")
    assert status["state"] == "failed"
    assert "exit code 3" in status["reason"]
    assert "exit code 3" in there.winslow("status", "fails").stdout
    carried_on = there.winslow("resume", "fails")
    assert carried_on.returncode == 8, "resuming goes on with what the run was told"
    mended = there.said("run", "speeding", "--project", "fails")
    assert mended["state"] == "succeeded"
    assert stages(mended)["pick"]["task_id"] == stages(status)["pick"]["task_id"]


def test_a_long_reason_is_told_in_full_once(there: Installation) -> None:
    ran = there.winslow("run", "breaking", "--project", "breaks", "--stop-after", "long")
    reason = f"FATAL {'7'.zfill(200)}"[:180]
    assert (ran.returncode, ran.stderr.count(reason[:60]), ran.stderr.count(reason)) == (8, 2, 1)
    assert "failed: failed" not in ran.stderr
    page = there.winslow("status", "breaks").stdout
    assert (page.count(reason), "failed in long" in page, " left" in page) == (1, True, False)
    assert stages(there.said("status", "breaks"))["long"]["progress"][0]["remaining_s"] is None
    (_silent, line) = there.said("history", "breaks")["attempts"]
    assert line["message"].startswith("exit code 3")


def test_the_log_of_a_program_that_printed_nothing_says_how_it_ended(there: Installation) -> None:
    there.winslow("run", "breaking", "--project", "silent", "--stop-after", "absent")
    assert "printed nothing; succeeded: 0 files, 0 B" in there.winslow("logs", "silent", "silent").stderr
    assert "the program 'no-such-program' cannot be started" in there.winslow("logs", "silent", "absent").stderr
    assert there.refused("logs", "silent", "long") == (4, "the stage has no log yet")


@pytest.mark.usefixtures("first")
def test_a_project_runs_through_another_pipeline_where_it_has_what_that_needs(there: Installation) -> None:
    code, what = there.refused("run", "waiting", "--project", "first")
    assert (code, "GATE" in what) == (3, True)
    assert there.said("status", "first")["pipeline"] == "speeding", "what was refused changes nothing"


def test_a_project_without_its_input_says_what_to_run_it_with(there: Installation) -> None:
    created = there.winslow("create", "speeding", "--project", "bare").stderr
    assert "run speeding --project bare --input speeds=PATH" in created
    assert there.said("status", "bare")["missing_inputs"] == ["speeds"]
    page = there.winslow("status", "bare").stdout
    assert ("--input speeds=PATH" in page, "next:" in page) == (True, False)


@pytest.mark.slow
def test_every_next_step_runs_as_printed_in_another_shell(there: Installation) -> None:
    advice = there.winslow("run", "speeding", "--project", "next", "--input", "speeds=speeds.csv").stderr
    page = there.winslow("status", "next").stdout
    steps = [[line.strip() for line in text.split("next:\n")[1].splitlines()] for text in (advice, page)]
    assert len(steps[0]) > 1
    assert steps[0] == steps[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")}
    for step in steps[0]:
        ran = subprocess.run(
            ["sh", "-c", step], cwd=there.place, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, (step, ran.stderr)


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("command", ["history first", "audit first", "compare first pick 1 1", "pool list"])
def test_every_time_that_is_printed_has_its_date_and_time_zone(there: Installation, command: str) -> None:
    if command == "pool list":
        there.said("pool", "add", "speeds.csv", "--name", "timed")
    printed = there.winslow(*command.split()).stdout
    times = re.findall(r"\d\d:\d\d", printed)
    assert times
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", printed)) == len(
        re.findall(r"\d\d:\d\d:\d\d", printed)
    )


def test_a_detached_run_is_followed_joined_and_cancelled(there: Installation) -> None:
    gate = there.place / "never"
    started = there.said("run", "waiting", "--project", "long", "--env", f"GATE={gate}", "--detach")
    assert set(started) == {"project", "run_id"}
    assert there.refused("run", "waiting", "--project", "long")[0] == 5
    await_log(there, "long", "begun")
    status = there.said("status", "long")
    assert (status["state"], stages(status)["wait"]["state"]) == ("running", "running")
    cancelled = there.said("cancel", "long")
    assert (cancelled["state"], stages(cancelled)["wait"]["state"]) == ("cancelled", "cancelled")
    assert there.refused("cancel", "long") == (5, "there is no run to cancel")


def test_ctrl_c_leaves_a_followed_run_alone_and_says_how_to_end_it(there: Installation) -> None:
    gate = there.place / "gate"
    with there.begin("run", "waiting", "--project", "alone", "--env", f"GATE={gate}") as following:
        assert following.stderr is not None
        said = ""
        while "wait: running" not in said:
            line = following.stderr.readline()
            assert line, said
            said += line
        following.send_signal(signal.SIGINT)
        rest = following.stderr.read()
    assert following.returncode == 130
    assert "the run continues" in rest
    assert "winslow cancel alone` ends it" in rest
    with there.begin("logs", "alone", "wait", "--follow") as log:
        gate.touch()
        assert log.communicate()[0].endswith("begun\npassed\n")


@pytest.mark.usefixtures("first")
def test_a_run_from_the_launchpad_is_the_project_s_run_too(there: Installation) -> None:
    settings = Settings.read(there.settings)
    dagit = dagster_client(settings, installation_id(settings))
    run_id = dagit.launch(dagit.job("speeding"), {"project": "first", "start_from": "count"}, {})

    def has_ended() -> bool:
        assert there.winslow("status", "first").returncode == 0, "the status is shown at any time"
        return dagit.run(run_id).ended

    until("the run ends", has_ended)
    status = there.said("status", "first")
    assert (status["run_id"], status["state"]) == (run_id, "succeeded")


def await_log(there: Installation, project: str, text: str) -> None:
    """Until the stage has begun, and printed the text."""
    until(f"the stage printed {text}", lambda: text in there.winslow("logs", project, "wait").stdout)


def test_of_two_who_run_a_project_at_the_same_moment_one_is_told(there: Installation) -> None:
    gate = there.place / "both"
    command = ("run", "waiting", "--project", "both", "--env", f"GATE={gate}", "--detach", "--json")
    with there.begin(*command) as one, there.begin(*command) as two:
        said = {process.wait(): process.communicate() for process in (one, two)}
    gate.touch()
    assert set(said) == {0, 5}
    assert "a run is in progress" in json.loads(said[5][1])["what"]


DEMO = """\
name: traffic_analysis
command: [sh, -c]
inputs:
  video: {kind: video, suffixes: [.mp4]}
  reference_points: {kind: json, suffixes: [.json], required: false}
stages:
  - name: export
    args: ['if [ -z "$WINSLOW_RESOURCE_REFERENCE_POINTS" ];
            then echo "WINSLOW_AWAIT_INPUT: Click four points."; exit 75; fi;
            cp "$WINSLOW_RESOURCE_REFERENCE_POINTS" "$WINSLOW_OUTPUT_DIR/trajectories.csv"']
    outputs: [trajectories.csv]
"""


@pytest.mark.slow
def test_the_demo_runs_on_your_own_film_and_ends_with_the_address_of_the_project(there: Installation) -> None:
    (there.place / "pipeline_configs" / "traffic_analysis.yaml").write_text(DEMO)
    (there.place / "film.mp4").write_bytes(b"\0\0\0\x08ftyp\0\0\0\x08moov")
    (there.place / "points.json").write_text("[1, 2]")
    given = ("--video", "film.mp4", "--points", "points.json")
    said = there.said("demo", *given)
    assert set(said) == {"project", "run_id", "state", "files"}
    assert (said["project"], said["state"]) == ("demo", "succeeded")
    ran = there.winslow("demo", *given)
    assert ran.returncode == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/login/link\?key=[\w-]+&next=%2Fprojects%2Fdemo-2\n", ran.stdout)
    assert "project demo-2" in ran.stderr
    assert "open the project:" in ran.stderr
    without = there.winslow("demo", "--video", "film.mp4")
    assert without.returncode == 0
    assert "export is waiting for you: Click four points." in without.stderr
    assert "winslow answer demo-3" in without.stderr


def test_a_question_of_a_stage_without_a_form_is_answered_with_a_text(there: Installation) -> None:
    there.said("run", "wondering", "--project", "lost")
    (question,) = there.said("answer", "lost")["questions"]
    assert (question["message"], [(each["kind"], each["name"]) for each in question["form"]]) == (
        "which way?",
        [("text", "reply")],
    )
    assert "winslow answer lost wonder --value reply=..." in there.winslow("answer", "lost").stdout
    asked_again = there.said("answer", "lost", "wonder")
    assert (asked_again["state"], len(asked_again["questions"])) == ("awaiting_input", 1)
    assert there.said("answer", "lost", "wonder", "--value", "reply=north, $5 at most")["state"] == "succeeded"
    (file,) = there.said("files", "lost")["files"]
    assert Path(file["local_path"]).read_text() == "north, $5 at most\n"
