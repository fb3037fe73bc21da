"""Whole runs from the command line, against services that really run: the shell's side of everything."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import running

from winslow_dagster.cli import main
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.domain.views import ProjectFile, ProjectStatus, StageView
from winslow_dagster.services.instance import installation_id
from winslow_dagster.settings import Settings

PROGRAM = [sys.executable, "-c", "from winslow_dagster.cli import main; main()"]
SPEEDING = """\
name: speeding
command: [sh, -c]
inputs:
  speeds: {{kind: table, suffixes: [.csv]}}
env: {{LIMIT: "{limit}"}}
stages:
  - name: pick
    args: ['awk -F, "\\$2 > $LIMIT" "$WINSLOW_RESOURCE_SPEEDS" > "$WINSLOW_OUTPUT_DIR/fast.csv"; echo picked >&2']
    outputs: [fast.csv]
  - name: count
    args: ['echo "WINSLOW_RESULT: vehicles=$(wc -l < "$WINSLOW_INPUT_DIR/pick/fast.csv")"; exit ${{EXIT:-0}}']
    errors: ['^WINSLOW_RESULT']
"""
SLOWEST = """\
name: slowest
command: [sh, -c]
inputs:
  speeds: {kind: table, suffixes: [.csv]}
stages:
  - name: sort
    args: ['sort -t, -k2n "$WINSLOW_RESOURCE_SPEEDS" > "$WINSLOW_OUTPUT_DIR/sorted.csv"; echo sorted; echo "${WORD:-}"']
    outputs: [sorted.csv]
  - name: count
    args: ['echo "WINSLOW_RESULT: slowest=$(head -n 1 "$WINSLOW_INPUT_DIR/sort/sorted.csv")"']
"""
BREAKING = """\
name: breaking
stages:
  - {name: silent, command: ["true"]}
  - name: long
    command: [sh, -c]
    args: ['echo "frame 1/10"; echo "frame 2/10"; printf "FATAL %0200d\\n" 7 >&2; exit 3']
    progress: [{subject: frames, pattern: 'frame (?P<current>\\d+)/(?P<total>\\d+)'}]
    errors: ['^FATAL']
  - {name: absent, command: [no-such-program], after: [silent]}
"""
WAITING = """\
name: waiting
command: [sh, -c]
stages:
  - name: wait
    args: ['echo begun; until [ -e "${GATE}" ]; do sleep 0.05; done; echo passed']
"""

WONDERING = """\
name: wondering
command: [sh, -c]
stages:
  - name: wonder
    args:
      - |
        if [ -z "$REPLY" ]; then echo "WINSLOW_AWAIT_INPUT: which way?"; exit 75; fi
        echo "$REPLY" > "$WINSLOW_OUTPUT_DIR/way"
    env: {REPLY: ""}
"""


@dataclass(frozen=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Installation:
    """A directory with pipelines and services."""

    place: Path
    settings: dict[str, str]
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")} | self.settings

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        command = [*PROGRAM, "up", "--json"]
        with running(command, cwd=self.place, env=self.environment, stdout=subprocess.PIPE, text=True) as services:
            # Three lines: the one object that says that the services answer.
            ready = json.loads("".join(services.stdout.readline() for _ in range(3)))
            assert ready == {"address": f"http://127.0.0.1:{self.port}"}
            yield
            services.send_signal(signal.SIGINT)
        assert services.returncode == 0

    def begin(self, *arguments: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        return running(
            [*PROGRAM, *arguments],
            cwd=self.place,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def winslow(self, *arguments: str) -> Ran:
        """The same in this process: a second of imports less."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.chdir(self.place)
            for name, value in self.settings.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, out.getvalue(), err.getvalue())

    def said(self, *arguments: str, exit_code: int = 0) -> Any:
        ran = self.winslow(*arguments, "--json")
        assert ran.returncode == exit_code, ran.stderr
        return json.loads(ran.stdout)

    def refused(self, *arguments: str) -> tuple[int, str]:
        ran = self.winslow(*arguments, "--json")
        return ran.returncode, json.loads(ran.stderr)["what"]

    def run(self, project: str, *more: str) -> Any:
        return self.said("run", "speeding", "--project", project, "--input", "speeds=speeds.csv", *more)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    place = tmp_path_factory.mktemp("installation")
    pipelines = place / "pipeline_configs"
    pipelines.mkdir()
    (pipelines / "speeding.yaml").write_text(SPEEDING.format(limit="50"))
    (pipelines / "waiting.yaml").write_text(WAITING)
    (pipelines / "wondering.yaml").write_text(WONDERING)
    (pipelines / "slowest.yaml").write_text(SLOWEST)
    (pipelines / "breaking.yaml").write_text(BREAKING)
    (place / "speeds.csv").write_text("1,48\n2,63\n3,71\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"WINSLOW_HOME": str(place / "home"), "WINSLOW_PORT": str(port), "WINSLOW_STAGE_MODE": "process"}
    installation = Installation(place, settings, port)
    with installation.up():
        yield installation


@pytest.fixture(scope="module")
def first(there: Installation) -> Any:
    """The status of a project that has run once, with its run's."""
    return there.run("first")


def stages(status: Any) -> dict[str, Any]:
    return {stage["stage"]: stage for stage in status["stages"]}


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
    assert there.refused("logs", "first", "count", "--attempt", "2") == (4, "stage count has no attempt 2")


def test_a_redo_starts_where_it_is_told_and_changes_what_it_is_told(there: Installation) -> None:
    first = there.run("redo")
    assert there.refused("run", "speeding", "--project", "redo") == (
        5,
        "every stage has run, and nothing is out of date",
    )
    again = there.said("run", "speeding", "--project", "redo", "--start-from", "pick", "--set", "pick.env.LIMIT=70")
    assert stages(again)["count"]["results"] == {"vehicles": "1"}
    last = there.said("run", "speeding", "--project", "redo", "--start-from", "count")
    assert stages(last)["pick"]["task_id"] == stages(again)["pick"]["task_id"] != stages(first)["pick"]["task_id"]
    assert stages(last)["count"]["results"] == {"vehicles": "1"}
    assert "vehicles=2" in there.winslow("logs", "redo", "count", "--attempt", "1").stdout
    code, what = there.refused("run", "speeding", "--project", "redo", "--start-from", "count", "--set", "pick.cpus=1")
    assert (code, what) == (5, "there are settings for pick, which will not run")


def test_after_a_stop_and_after_a_redo_of_an_early_stage_the_project_goes_on_with_the_rest(there: Installation) -> None:
    stopped = there.run("stop", "--stop-after", "pick")
    assert (stopped["state"], stopped["reason"]) == ("succeeded", "count has not run yet")
    done = there.said("run", "speeding", "--project", "stop")
    assert stages(done)["pick"]["task_id"] == stages(stopped)["pick"]["task_id"]
    redone = there.said("run", "speeding", "--project", "stop", "--start-from", "pick", "--stop-after", "pick")
    assert stages(redone)["count"]["outdated"] == "pick has other outputs now"
    (listed,) = [each for each in there.said("status")["projects"] if each["project"] == "stop"]
    assert (listed["state"], listed["reason"]) == (redone["state"], redone["reason"])
    assert redone["reason"] == "count is out of date"
    last = there.said("run", "speeding", "--project", "stop")
    assert (last["reason"], stages(last)["count"]["outdated"]) == ("", "")
    assert stages(last)["pick"]["task_id"] == stages(redone)["pick"]["task_id"]


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


def test_another_file_as_an_input_needs_a_redo_from_the_first_stage(there: Installation) -> None:
    there.run("replaced")
    (there.place / "other.csv").write_text("1,90\n")
    given = ("run", "speeding", "--project", "replaced", "--input", "speeds=other.csv")
    assert there.refused(*given) == (5, "the project has a different file as speeds")
    assert there.refused(*given, "--start-from", "count")[0] == 5
    redone = there.said(*given, "--start-from", "pick")
    assert stages(redone)["count"]["results"] == {"vehicles": "1"}
    assert [(each["version"], Path(each["original_path"]).name) for each in redone["inputs"]] == [(2, "other.csv")]


def test_a_project_keeps_its_version_of_the_pipeline_until_it_is_told_otherwise(there: Installation) -> None:
    there.run("pinned")
    pipeline = there.place / "pipeline_configs" / "speeding.yaml"
    before = pipeline.read_text()
    pipeline.write_text(SPEEDING.format(limit="70"))
    try:
        assert there.said("status", "pinned")["pipeline_changes"] == ['pipeline: env.LIMIT "50" -> "70"']
        again = ("run", "speeding", "--project", "pinned", "--start-from", "pick")
        kept = there.said(*again)
        assert stages(kept)["count"]["results"] == {"vehicles": "2"}
        fresh = there.said("run", "speeding", "--project", "fresh", "--input", "speeds=speeds.csv")
        assert stages(fresh)["count"]["results"] == {"vehicles": "1"}
        current = there.said(*again, "--pipeline-version", "current")
        assert stages(current)["count"]["results"] == {"vehicles": "1"}
        assert current["pipeline_changes"] == []
        pipeline.write_text("name: speeding\nstages: nothing\n")
        assert "has errors" in there.said("status", "pinned")["pipeline_changes"][0]
        assert there.said(*again)["state"] == "succeeded"
    finally:
        pipeline.write_text(before)


@pytest.mark.usefixtures("first")
def test_a_project_runs_through_another_pipeline_where_it_has_what_that_needs(there: Installation) -> None:
    code, what = there.refused("run", "waiting", "--project", "first")
    assert (code, "GATE" in what) == (3, True)
    assert there.said("status", "first")["pipeline"] == "speeding", "what was refused changes nothing"


def test_stages_of_every_pipeline_that_a_project_ran_through_are_found(there: Installation, tmp_path: Path) -> None:
    there.run("both")
    there.said("run", "slowest", "--project", "both")
    status = there.said("status", "both")
    assert (status["pipeline"], list(stages(status))) == ("slowest", ["sort", "count"])
    (other,) = status["other_pipelines"]
    assert (other["pipeline"], other["problem"], list(stages(other))) == ("speeding", "", ["pick", "count"])
    assert "also ran speeding" in there.winslow("status", "both").stdout

    assert "picked" in there.winslow("logs", "both", "pick").stdout
    assert "slowest=1,48" in there.winslow("logs", "both", "count").stdout, "its own pipeline goes first"
    assert "vehicles=2" in there.winslow("logs", "both", "count", "--pipeline", "speeding").stdout
    assert "vehicles=2" in there.winslow("logs", "both", "count", "--pipeline", "speeding", "--errors").stdout
    assert there.refused("logs", "both", "count", "--attempt", "1", "--pipeline", "slowest")[0] == 4
    files = there.said("files", "both")["files"]
    assert [(each["pipeline"], each["stage"]) for each in files] == [("slowest", "sort"), ("speeding", "pick")]
    (copied,) = there.said("files", "both", "--pipeline", "speeding", "--get", str(tmp_path))["files"]
    assert Path(copied["local_path"]) == tmp_path / "pick" / "fast.csv"
    table = there.said("compare", "both", "count", "--pipeline", "speeding")
    assert [row["results"] for row in table["rows"]] == [{"vehicles": "2"}]

    code, what = there.refused("logs", "both", "pock")
    assert (code, "slowest, speeding" in what) == (4, True)
    assert there.refused("logs", "both", "pick", "--pipeline", "slowest")[0] == 4
    assert there.refused("logs", "both", "pick", "--pipeline", "waiting")[0] == 4

    redone = there.said("redo", "both", "pick", "--env", "LIMIT=70")
    assert (redone["pipeline"], stages(redone)["count"]["results"]) == ("speeding", {"vehicles": "1"})
    assert [each["pipeline"] for each in redone["other_pipelines"]] == ["slowest"]
    there.said("replace", "both", "sort", "sorted.csv", "speeds.csv")
    resumed = there.said("resume", "both", "--pipeline", "slowest")
    assert (resumed["pipeline"], stages(resumed)["count"]["attempts"]) == ("slowest", 2)


def test_a_project_keeps_its_version_of_each_pipeline(there: Installation) -> None:
    there.said("run", "slowest", "--project", "kept", "--input", "speeds=speeds.csv")
    there.run("kept")
    pipeline = there.place / "pipeline_configs" / "slowest.yaml"
    pipeline.write_text(SLOWEST.replace("echo sorted", "echo sorted anew"))
    try:
        there.said("redo", "kept", "sort")
        assert "sorted anew" not in there.winslow("logs", "kept", "sort").stdout
    finally:
        pipeline.write_text(SLOWEST)


def test_a_project_without_its_input_says_what_to_run_it_with(there: Installation) -> None:
    created = there.winslow("create", "speeding", "--project", "bare").stderr
    assert "run speeding --project bare --input speeds=PATH" in created
    assert there.said("status", "bare")["missing_inputs"] == ["speeds"]
    page = there.winslow("status", "bare").stdout
    assert ("--input speeds=PATH" in page, "next:" in page) == (True, False)


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
    dagit = DagsterClient(f"http://127.0.0.1:{there.port}", installation_id(Settings.read(there.settings)))
    run_id = dagit.launch(dagit.job("speeding"), {"project": "first", "start_from": "count"}, {})
    while not dagit.run(run_id).ended:
        assert there.winslow("status", "first").returncode == 0
    status = there.said("status", "first")
    assert (status["run_id"], status["state"]) == (run_id, "succeeded")


def await_log(there: Installation, project: str, text: str) -> None:
    """Until the stage has begun, and printed the text."""
    while text not in there.winslow("logs", project, "wait").stdout:
        pass


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


def test_the_demo_runs_on_your_own_film_and_says_where_the_trajectories_lie(there: Installation) -> None:
    (there.place / "pipeline_configs" / "traffic_analysis.yaml").write_text(DEMO)
    (there.place / "film.mp4").write_bytes(b"\0\0\0\x08ftyp\0\0\0\x08moov")
    (there.place / "points.json").write_text("[1, 2]")
    given = ("--video", "film.mp4", "--points", "points.json")
    said = there.said("demo", *given)
    assert set(said) == {"project", "run_id", "state", "files"}
    assert (said["project"], said["state"]) == ("demo", "succeeded")
    ran = there.winslow("demo", *given)
    assert ran.returncode == 0
    assert Path(ran.stdout.strip().splitlines()[0].strip()).name == "trajectories.csv"
    assert "project demo-2" in ran.stderr
    assert "winslow up" in ran.stderr
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
