"""The contract of the project records, on every kind of database."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime, timedelta

import pytest

from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.database.holds import Holds
from winslow_dagster.projects.database.lineage_queries import lineage_of, outputs_in_use
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.stages.task.model import LogSummary, StageResult, StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest

DIGEST = "d" * 64
BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROCESSES = 4


@pytest.fixture
def ulm(records: ProjectRecords) -> ProjectRecords:
    create(records)
    return records


def create(records: ProjectRecords, name: str = "ulm-07") -> None:
    records.create_project(
        name, pipeline="traffic_analysis", pipeline_digest=DIGEST, env={"SCALE": "0.5"}, created_by="anna"
    )


def manifest(content: str) -> Manifest:
    return Manifest(
        address=f"projects/ulm-07/{content}", files=(FileEntry(path="a.csv", size_bytes=3, blake3=content),)
    )


def task(stage: str = "detect", attempt: int = 1, run_id: str = "run1", project: str = "ulm-07") -> StageTask:
    return StageTask(
        task_id=f"{run_id}.{stage}.{attempt}",
        project=project,
        pipeline="traffic_analysis",
        stage=stage,
        attempt=attempt,
        run_id=run_id,
        output_address="o",
        log_address="l",
        store_url="file:///store",
        log_rules=LogRules(),
    )


def result(of: StageTask, outcome: str = "succeeded", minute: int = 1, content: str = "c") -> StageResult:
    return StageResult.model_validate(
        {
            "task_id": of.task_id,
            "outcome": outcome,
            "message": "done",
            "exit_code": 0,
            "started_at": BEGIN,
            "ended_at": BEGIN + timedelta(minutes=minute),
            "node": "here",
            "mode": "process",
            "outputs": manifest(content) if outcome == "succeeded" else None,
            "log": LogSummary(lines=3, results={"vehicles": "12"}),
        }
    )


def finish(records: ProjectRecords, of: StageTask, **ending: object) -> StageResult:
    records.attempt_started(of)
    ended = result(of, **ending)  # type: ignore[arg-type]
    records.attempt_ended(of.task_id, ended)
    return ended


def test_a_created_project_is_found_as_it_was_given(ulm: ProjectRecords) -> None:
    project = ulm.project("ulm-07")
    assert (project.pipeline, project.pipeline_digest, project.env) == ("traffic_analysis", DIGEST, {"SCALE": "0.5"})
    assert project.created_at.tzinfo is UTC
    assert ulm.projects() == (project,)


def test_projects_are_listed_by_name(ulm: ProjectRecords) -> None:
    create(ulm, "augsburg")
    assert [project.name for project in ulm.projects()] == ["augsburg", "ulm-07"]


def test_a_name_is_given_once(ulm: ProjectRecords) -> None:
    with pytest.raises(ProjectConflict, match="the project 'ulm-07' already exists"):
        create(ulm)


@pytest.mark.parametrize(
    "name", ["", ".hidden", "-x", "a/b", "a b", "a..b", "ä", "a\n", "x" * 64, "ulm.files", "ulm.manifest.json"]
)
def test_a_name_that_cannot_be_a_directory_and_a_label_is_refused(records: ProjectRecords, name: str) -> None:
    with pytest.raises(InputRejected, match="is not a valid project name"):
        create(records, name)


@pytest.mark.parametrize("name", ["a", "Ulm-07", "2026.03.01_north", "x" * 63])
def test_a_plain_name_is_taken(records: ProjectRecords, name: str) -> None:
    create(records, name)
    assert records.project(name).name == name


def test_an_unknown_project_is_said_to_be_unknown_by_every_call(records: ProjectRecords) -> None:
    for call in (
        lambda: records.project("nowhere"),
        lambda: records.inputs("nowhere"),
        lambda: records.runs("nowhere"),
        lambda: records.attempts("nowhere"),
        lambda: lineage_of(records, "nowhere", PIPELINE),
        lambda: records.pin_pipeline("nowhere", "p", DIGEST),
        lambda: records.add_input("nowhere", "video", manifest("1"), original_path="/a", added_by="anna"),
        lambda: records.attempt_started(task(project="nowhere")),
        lambda: records.record_run(RunRecord("r", "nowhere", "p", DIGEST, BEGIN, "anna")),
    ):
        with pytest.raises(NotFound, match="there is no project 'nowhere'"):
            call()


def test_the_latest_version_of_an_input_is_in_use(ulm: ProjectRecords) -> None:
    ulm.add_input("ulm-07", "video", manifest("1"), original_path="/a.mp4", added_by="anna")
    second = ulm.add_input("ulm-07", "video", manifest("2"), original_path="/b.mp4", added_by="ben")
    assert second.version == 2
    assert ulm.inputs("ulm-07") == (second,)
    assert ulm.project("ulm-07").inputs == {"video": manifest("2")}
    assert ulm.projects()[0].inputs == {"video": manifest("2")}


def test_the_content_in_use_adds_no_version(ulm: ProjectRecords) -> None:
    first = ulm.add_input("ulm-07", "video", manifest("1"), original_path="/a.mp4", added_by="anna")
    assert ulm.add_input("ulm-07", "video", manifest("1"), original_path="/c.mp4", added_by="ben") == first


def test_a_project_can_move_to_another_version_of_its_pipeline(ulm: ProjectRecords) -> None:
    ulm.pin_pipeline("ulm-07", "traffic_analysis", "e" * 64)
    assert ulm.project("ulm-07").pipeline_digest == "e" * 64


def test_a_run_is_kept_once_and_its_last_description_stands(ulm: ProjectRecords) -> None:
    first = RunRecord("run1", "ulm-07", "traffic_analysis", DIGEST, BEGIN, "anna", start_from="detect")
    ulm.record_run(first)
    ulm.record_run(first)
    assert ulm.runs("ulm-07") == (first,)


def test_runs_are_listed_with_the_latest_first(ulm: ProjectRecords) -> None:
    for minute, run_id in enumerate(("run1", "run2")):
        ulm.record_run(RunRecord(run_id, "ulm-07", "p", DIGEST, BEGIN + timedelta(minutes=minute), "anna"))
    assert [run.run_id for run in ulm.runs("ulm-07")] == ["run2", "run1"]


def test_a_run_started_in_dagit_is_noted_by_its_first_attempt(ulm: ProjectRecords) -> None:
    ulm.attempt_started(task())
    assert [(run.run_id, run.requested_by) for run in ulm.runs("ulm-07")] == [("run1", "dagit")]


def test_who_asked_for_a_run_is_kept_though_its_first_attempt_was_faster(ulm: ProjectRecords) -> None:
    ulm.attempt_started(task())
    ulm.record_run(RunRecord("run1", "ulm-07", "traffic_analysis", DIGEST, BEGIN, "anna"))
    ulm.attempt_started(task("track"))
    assert [run.requested_by for run in ulm.runs("ulm-07")] == ["anna"]


def test_the_first_word_about_an_end_is_news(ulm: ProjectRecords) -> None:
    ulm.attempt_started(task())
    assert ulm.attempt_ended(task().task_id, result(task())) is True


def test_an_attempt_is_open_until_it_ends(ulm: ProjectRecords) -> None:
    ulm.attempt_started(task())
    (attempt,) = ulm.attempts("ulm-07")
    assert (attempt.stage, attempt.outcome, attempt.ended_at) == ("detect", None, None)
    assert attempt.pipeline_digest == DIGEST
    assert ulm.result(task().task_id) is None


def test_the_end_of_an_attempt_is_kept_whole(ulm: ProjectRecords) -> None:
    ended = finish(ulm, task())
    assert ulm.result(ended.task_id) == ended
    (attempt,) = ulm.attempts("ulm-07")
    assert (attempt.outcome, attempt.ended_at, attempt.node) == ("succeeded", ended.ended_at, "here")


def test_start_and_end_said_again_change_nothing(ulm: ProjectRecords) -> None:
    ended = finish(ulm, task())
    before = ulm.attempts("ulm-07")
    ulm.attempt_started(task())
    assert ulm.attempt_ended(ended.task_id, ended) is False
    assert ulm.attempts("ulm-07") == before


def test_an_attempt_cannot_end_twice_in_different_ways(ulm: ProjectRecords) -> None:
    finish(ulm, task())
    with pytest.raises(ProjectConflict, match="already ended in another way"):
        ulm.attempt_ended(task().task_id, result(task(), outcome="failed"))


def test_an_attempt_that_never_started_cannot_end(ulm: ProjectRecords) -> None:
    with pytest.raises(NotFound, match="never started"):
        ulm.attempt_ended(task().task_id, result(task()))


def test_a_stage_succeeds_once_in_a_run(ulm: ProjectRecords) -> None:
    finish(ulm, task(attempt=1))
    ulm.attempt_started(task(attempt=2))
    with pytest.raises(ProjectConflict, match="already succeeded in this run"):
        ulm.attempt_ended(task(attempt=2).task_id, result(task(attempt=2)))
    assert ulm.result(task(attempt=2).task_id) is None


def test_a_stage_may_fail_often_before_it_succeeds(ulm: ProjectRecords) -> None:
    finish(ulm, task(attempt=1), outcome="failed")
    finish(ulm, task(attempt=2), outcome="lost")
    finish(ulm, task(attempt=3))
    assert [attempt.outcome for attempt in ulm.attempts("ulm-07")] == ["failed", "lost", "succeeded"]


PIPELINE = Pipeline(name="traffic_analysis", stages=(Stage(name="detect"), Stage(name="track", after=("detect",))))


def in_use(records: ProjectRecords) -> dict[str, Manifest]:
    return outputs_in_use(records, lineage_of(records, "ulm-07", PIPELINE))


def test_the_outputs_in_use_are_those_of_the_attempt_that_succeeded_last(ulm: ProjectRecords) -> None:
    finish(ulm, task(run_id="run1"), minute=1, content="old")
    finish(ulm, task(run_id="run2"), minute=2, content="new")
    finish(ulm, task(run_id="run3"), minute=3, outcome="failed")
    finish(ulm, task("track", run_id="run1"), minute=2, content="tracks")
    assert in_use(ulm) == {"detect": manifest("new"), "track": manifest("tracks")}


def test_the_outputs_of_a_sweep_are_in_use_once_they_were_picked(ulm: ProjectRecords) -> None:
    run = RunRecord("run2", "ulm-07", "traffic_analysis", DIGEST, BEGIN, "anna", sweep="s")
    finish(ulm, task(run_id="run1"), minute=1, content="old")
    ulm.record_run(run)
    finish(ulm, task(run_id="run2"), minute=2, content="new")
    assert in_use(ulm) == {"detect": manifest("old")}
    now = BEGIN + timedelta(hours=1)
    Holds(ulm.database).pick(Pick("ulm-07", "traffic_analysis", "detect", "run2.detect.1", now, "anna"))
    assert in_use(ulm) == {"detect": manifest("new")}


def test_the_outputs_of_another_pipeline_are_not_taken(ulm: ProjectRecords) -> None:
    finish(ulm, task())
    assert outputs_in_use(ulm, lineage_of(ulm, "ulm-07", PIPELINE.model_copy(update={"name": "other"}))) == {}


def test_how_a_run_ended_is_kept_once_and_announcing_it_later_changes_nothing(ulm: ProjectRecords) -> None:
    run = RunRecord("run1", "ulm-07", "traffic_analysis", DIGEST, BEGIN, "anna")
    ulm.record_run(run)
    assert [each.run_id for each in ulm.open_runs()] == ["run1"]
    assert ulm.record_run_end("run1", "paused", "anna asked", BEGIN + timedelta(hours=1))
    assert not ulm.record_run_end("run1", "failed", "it broke", BEGIN + timedelta(hours=2))
    ulm.record_run(run)
    kept = ulm.run("run1")
    assert kept is not None
    assert (kept.outcome, kept.outcome_reason) == ("paused", "anna asked")
    assert ulm.open_runs() == ()


def test_the_run_launched_last_is_the_project_s_latest(ulm: ProjectRecords) -> None:
    for number, minute in (("run1", 1), ("run3", 3), ("run2", 2)):
        at = BEGIN + timedelta(minutes=minute)
        ulm.record_run(RunRecord(number, "ulm-07", "traffic_analysis", DIGEST, at, "anna"))
    assert ulm.project("ulm-07").latest_run == "run3"


def test_what_a_run_handed_on_is_found_by_run_and_stage(ulm: ProjectRecords) -> None:
    ulm.record_run_output("run1", "detect", manifest("1"))
    ulm.record_run_output("run1", "detect", manifest("1"))
    assert ulm.run_outputs("run1", "detect") == manifest("1")
    assert ulm.run_outputs("run1", "track") is None
    assert ulm.run_outputs("run2", "detect") is None


def test_a_run_hands_on_one_set_of_outputs_of_a_stage(ulm: ProjectRecords) -> None:
    ulm.record_run_output("run1", "detect", manifest("1"))
    with pytest.raises(ProjectConflict, match="passed on other outputs"):
        ulm.record_run_output("run1", "detect", manifest("2"))


def add_versions(database_url: str, writer: int) -> None:
    records = ProjectRecords.open(database_url)
    for number in range(10):
        content = f"{writer}-{number}"
        records.add_input("ulm-07", "video", manifest(content), original_path="/a", added_by=content)
        finish(records, task(run_id=f"run-{content}"))
    records.close()


def race_to_create(database_url: str, outcomes: multiprocessing.Queue[str]) -> None:
    records = ProjectRecords.open(database_url)
    try:
        create(records, "contested")
        outcomes.put("created")
    except ProjectConflict:
        outcomes.put("refused")
    records.close()


def in_processes(target: object, *arguments: tuple[object, ...]) -> None:
    # Spawned, as the services' processes are: nothing of this one's connections is shared.
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=each) for each in arguments]  # type: ignore[arg-type]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_writers_in_several_processes_lose_nothing(database_url: str, ulm: ProjectRecords) -> None:
    in_processes(add_versions, *((database_url, writer) for writer in range(PROCESSES)))
    assert ulm.inputs("ulm-07")[0].version == 10 * PROCESSES
    assert len(ulm.attempts("ulm-07")) == 10 * PROCESSES
    assert {attempt.outcome for attempt in ulm.attempts("ulm-07")} == {"succeeded"}


@pytest.mark.slow
def test_of_several_processes_that_make_the_tables_and_one_project_one_wins(database_url: str) -> None:
    outcomes: multiprocessing.Queue[str] = multiprocessing.get_context("spawn").Queue()
    in_processes(race_to_create, *((database_url, outcomes) for _ in range(PROCESSES)))
    assert sorted(outcomes.get() for _ in range(PROCESSES)) == ["created", *["refused"] * (PROCESSES - 1)]
