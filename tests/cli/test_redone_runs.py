"""Whole runs from the command line that go over earlier ones: redone, on another file, pipeline, or version of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from whole_installation import SLOWEST, SPEEDING, Installation, stages

pytestmark = pytest.mark.slow


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


def test_a_redo_and_a_sweep_are_planned_before_they_start(there: Installation) -> None:
    there.run("planned")
    plan = there.said("redo", "planned", "pick", "--env", "LIMIT=70", "--plan")
    assert (plan["stages"], plan["kept"], plan["busy"]) == (["pick", "count"], [], "")
    assert there.winslow("redo", "planned", "count", "--plan").stdout.startswith("count runs again, about ")
    values = "LIMIT=40..60 step 10, 65"
    swept = there.said("sweep", "planned", "pick", "--env", values, "--max-concurrent", "2", "--plan")
    assert (swept["runs"], swept["max_concurrent"], swept["stages"]) == (4, 2, ["pick"])
    code, what = there.refused("sweep", "planned", "pick", "--env", "LIMIT=0.1..0.5", "--plan")
    assert (code, what) == (6, "the range 0.1..0.5 has no step")
    assert len(there.said("status", "planned")["stages"]) == 2
    (only,) = {each["run_id"] for each in there.said("history", "planned")["attempts"]}
    assert only == there.said("status", "planned")["run_id"]


def test_sweeps_and_the_lineage_of_outputs_are_listed(there: Installation) -> None:
    there.run("listed")
    assert there.said("sweeps", "listed") == {"sweeps": []}
    assert "no sweeps yet" in there.winslow("sweeps", "listed").stdout
    there.said("sweep", "listed", "pick", "--env", "LIMIT=40, 70")
    (sweep,) = there.said("sweeps", "listed")["sweeps"]
    assert (sweep["stage"], sweep["total"], sweep["succeeded"], sweep["picked"]) == ("pick", 2, 2, None)
    assert "2 of 2 succeeded" in there.winslow("sweeps", "listed").stdout
    runs = there.said("sweeps", "listed", "latest")["runs"]
    assert [run["values"] for run in runs] == [{"LIMIT": "40"}, {"LIMIT": "70"}]
    assert {run["number"] for run in runs} == {2, 3}, "they began at once"
    there.said("pick", "listed", "pick", "3")
    shown = there.winslow("sweeps", "listed", sweep["sweep"])
    assert ("LIMIT" in shown.stdout, "pick has the outputs of attempt 3" in shown.stderr) == (True, True)

    outputs = {(each["stage"], each["number"]): each for each in there.said("lineage", "listed")["outputs"]}
    assert set(outputs) == {("pick", 1), ("count", 1), ("pick", 2), ("pick", 3)}
    assert outputs["count", 1]["made_from"] == [outputs["pick", 1]["task_id"]]
    assert (outputs["pick", 3]["current"], outputs["pick", 1]["current"]) == (True, False)
    (line,) = there.winslow("lineage", "listed", "--stage", "count").stdout.splitlines()[1:]
    assert ("pick 1" in line, "out of date: pick has other outputs now" in line) == (True, True)
