"""How far projects have come, when they are expected to end, and what they wait for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from winslow_dagster.engines.engine import TaskState
from winslow_dagster.pipelines.model.pipeline import NeedsInput, Pipeline, Stage
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.database.holds import Hold, Holds
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunOutcome, RunRecord
from winslow_dagster.projects.domain.views import ProjectSummary, StageMark
from winslow_dagster.projects.status.estimate import expected_end, fraction_done, seconds_left, typical_durations
from winslow_dagster.projects.status.needs import project_needs
from winslow_dagster.projects.status.project_progress import progress_of
from winslow_dagster.stages.task.model import LogSummary, Outcome, StageResult, StageStatus, StageTask, SubjectProgress
from winslow_dagster.storage.manifest import FileEntry, Manifest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FRAMES = SubjectProgress(subject="frames", current=30, total=120)


def pipeline(*, asks: bool = False) -> Pipeline:
    """Cut, then detect and count side by side, then export."""
    question = NeedsInput(message="go on?") if asks else None
    return Pipeline(
        name="p",
        stages=(
            Stage(name="cut", command=("true",)),
            Stage(name="detect", command=("true",), after=("cut",)),
            Stage(name="count", command=("true",), after=("cut",)),
            Stage(name="export", command=("true",), after=("detect", "count"), needs_input=question),
        ),
    )


class World:
    """Projects whose stages ran with these durations, and an engine that knows what runs."""

    def __init__(self, records: ProjectRecords) -> None:
        self.records = records
        self.tasks: dict[str, TaskState] = {}
        self.pipeline = pipeline()

    def project(self, name: str, **run: Any) -> str:
        self.records.create_project(name, pipeline="p", pipeline_digest="d", env={}, created_by="anna")
        return self.run(name, **run)

    def run(self, name: str, number: int = 1, **run: Any) -> str:
        run_id = f"run-{name}-{number}"
        self.records.record_run(RunRecord(run_id, name, "p", "d", NOW + timedelta(hours=number), "anna", **run))
        return run_id

    def attempt(
        self,
        run_id: str,
        stage: str,
        duration_s: float | None = None,
        outcome: Outcome = "succeeded",
        at: datetime = NOW,
    ) -> None:
        """One that began then and ended after so long, or one that is open."""
        task_id = f"{run_id}.{stage}.1"
        task = StageTask(
            task_id=task_id,
            project=run_id.split("-")[1],
            pipeline="p",
            stage=stage,
            run_id=run_id,
            output_address=f"o-{task_id}",
            log_address="l",
            store_url="file:///store",
            log_rules=LogRules(),
        )
        self.records.attempt_started(task)
        if duration_s is None:
            return
        outputs = Manifest(address=f"o-{task_id}", files=(FileEntry(path="a.csv", size_bytes=3, blake3="c"),))
        self.records.attempt_ended(
            task_id,
            StageResult(
                task_id=task_id,
                outcome=outcome,
                message="broke",
                started_at=at,
                ended_at=at + timedelta(seconds=duration_s),
                node="here",
                outputs=outputs if outcome == "succeeded" else None,
            ),
        )

    def runs_now(self, run_id: str, stage: str, *progress: SubjectProgress, for_s: float = 0) -> None:
        """The stage's open attempt is running, and has been for so long."""
        self.attempt(run_id, stage)
        status = StageStatus(
            task_id=f"{run_id}.{stage}.1",
            updated_at=datetime.now(UTC),
            phase="running",
            node="here",
            started_at=datetime.now(UTC) - timedelta(seconds=for_s),
            log=LogSummary(progress=progress),
        )
        self.tasks[f"{run_id}.{stage}.1"] = TaskState(known=True, runner_alive=True, status=status)

    def progress(self, name: str) -> Any:
        def state(task_id: str) -> TaskState:
            return self.tasks.get(task_id, TaskState(known=True))

        return progress_of(self.records, lambda _name, _digest: self.pipeline, state, [name, "unknown"]).get(name)

    def end_in_s(self, name: str) -> float | None:
        end = self.progress(name).expected_end
        return None if end is None else (end - datetime.now(UTC)).total_seconds()

    def history(self) -> None:
        """An earlier project, whose stages took 10, 100, 50 and 5 seconds."""
        run_id = self.project("earlier")
        for stage, duration_s in (("cut", 10), ("detect", 100), ("count", 50), ("export", 5)):
            self.attempt(run_id, stage, duration_s)
        self.records.record_run_end(run_id, "succeeded", "", NOW + timedelta(minutes=3))


@pytest.fixture
def world(records: ProjectRecords) -> World:
    return World(records)


def test_the_longest_way_through_the_stages_counts() -> None:
    typical = {"detect": 100.0, "count": 50.0, "export": 5.0}
    end = expected_end(pipeline(), {"cut": 20.0}, {"detect", "count", "export"}, typical, NOW)
    assert end == NOW + timedelta(seconds=125)
    end = expected_end(pipeline(), {"detect": 10.0, "count": 30.0}, {"export"}, typical, NOW)
    assert end == NOW + timedelta(seconds=35)


def test_one_stage_of_which_nothing_is_known_makes_the_end_unknown() -> None:
    assert expected_end(pipeline(), {"cut": None}, set(), {}, NOW) is None
    assert expected_end(pipeline(), {"cut": 1.0}, {"detect"}, {}, NOW) is None
    assert expected_end(pipeline(), {}, set(), {"detect": 1.0}, NOW) is None


def test_what_a_stage_reports_comes_before_what_it_usually_takes() -> None:
    slow, fast = FRAMES.model_copy(update={"remaining_s": 90.0}), FRAMES.model_copy(update={"remaining_s": 3.0})
    assert seconds_left([fast, slow], 10, 20) == 90
    assert seconds_left([FRAMES], 10, 25) == 15
    assert seconds_left([FRAMES], 30, 25) is None
    assert seconds_left([], 1, None) is None


def test_the_slowest_subject_says_how_far_a_stage_is() -> None:
    vehicles = SubjectProgress(subject="vehicles", current=7)
    done = SubjectProgress(subject="export", current=130, total=120)
    assert fraction_done([FRAMES, vehicles, done]) == 0.25
    assert fraction_done([done]) == 1
    assert fraction_done([vehicles]) is None


def test_the_typical_duration_is_the_median_of_the_latest_successes(world: World) -> None:
    for number, duration_s in enumerate([1000, *[10] * 10, *[30] * 10], 1):
        run_id = world.project(f"a{number}")
        world.attempt(run_id, "cut", duration_s, at=NOW + timedelta(days=number))
    failed = world.project("b")
    world.attempt(failed, "cut", 9999, "failed", NOW + timedelta(days=99))
    typical = typical_durations(world.records.database, "p", ["cut", "detect"])
    assert typical == {"cut": 20}
    assert typical_durations(world.records.database, "q", ["cut"]) == {}


def test_a_running_project_has_marks_a_fraction_and_an_end(world: World) -> None:
    world.history()
    run_id = world.project("ulm")
    world.attempt(run_id, "cut", 11)
    world.runs_now(run_id, "detect", FRAMES, for_s=40)
    world.attempt(run_id, "count")
    progress = world.progress("ulm")
    assert progress.stages == (
        StageMark("cut", "succeeded"),
        StageMark("detect", "running", fraction=0.25),
        StageMark("count", "waiting"),
        StageMark("export", "waiting"),
    )
    assert progress.fraction == pytest.approx(1.25 / 4)
    assert progress.outputs_version
    # Nobody knows when `count`, which waits for a place, will start.
    assert progress.expected_end is None


def test_the_end_comes_from_the_running_and_the_following_stages(world: World) -> None:
    world.history()
    run_id = world.project("ulm")
    assert world.progress("ulm").expected_end is None
    world.attempt(run_id, "cut", 11)
    world.attempt(run_id, "count", 49)
    world.runs_now(run_id, "detect", FRAMES, for_s=40)
    assert world.end_in_s("ulm") == pytest.approx(60 + 5, abs=5)


def test_a_run_ends_where_it_asks_pauses_or_stops(world: World) -> None:
    world.history()
    world.pipeline = pipeline(asks=True)
    run_id = world.project("ulm")
    world.runs_now(run_id, "cut", for_s=0)
    assert world.end_in_s("ulm") == pytest.approx(110, abs=5)
    Holds(world.records.database).pause("ulm", run_id, "ben", "detect")
    world.pipeline = pipeline()
    assert world.end_in_s("ulm") == pytest.approx(110, abs=5)
    Holds(world.records.database).pause("ulm", run_id, "ben")
    assert world.end_in_s("ulm") == pytest.approx(10, abs=5)
    part = world.project("part", stop_after="count")
    world.runs_now(part, "cut", for_s=0)
    assert world.end_in_s("part") == pytest.approx(60, abs=5)


def test_a_redo_counts_only_the_stages_that_run_again(world: World) -> None:
    world.history()
    again = world.run("earlier", 2, start_from="count")
    world.runs_now(again, "count", for_s=0)
    assert world.end_in_s("earlier") == pytest.approx(50 + 5, abs=5)
    assert [mark.outdated for mark in world.progress("earlier").stages] == [False, False, False, True]


def test_a_project_that_never_ran_or_cannot_be_read_has_no_end(world: World) -> None:
    world.records.create_project("new", pipeline="p", pipeline_digest="d", env={}, created_by="anna")
    progress = world.progress("new")
    assert {mark.state for mark in progress.stages} == {"pending"}
    assert (progress.fraction, progress.expected_end, progress.outputs_version) == (0, None, "")
    assert world.progress("unknown") is None


def summary(world: World, name: str, state: Any, reason: str = "because") -> ProjectSummary:
    latest = world.records.project(name).latest_run
    return ProjectSummary(name, "p", state, reason, (), latest, NOW, "anna")


def ended(world: World, name: str, outcome: RunOutcome, **run: Any) -> str:
    run_id = world.project(name, **run)
    world.records.record_run_end(run_id, outcome, "because", NOW)
    return run_id


def test_what_waits_for_a_person_says_what_they_can_do(world: World) -> None:
    asked = ended(world, "asks", "awaiting_input")
    ended(world, "fails", "failed")
    both = ended(world, "both", "failed")
    ended(world, "sweeps", "succeeded", sweep="s", start_from="detect")
    for run_id, stage in ((asked, "detect"), (asked, "count"), (both, "count")):
        name = run_id.split("-")[1]
        Holds(world.records.database).hold(Hold(run_id, stage, name, "input", f"which {stage}?", NOW))
    needs = project_needs(
        world.records.database,
        [
            summary(world, "asks", "awaiting_input"),
            summary(world, "fails", "failed"),
            summary(world, "both", "failed"),
            summary(world, "sweeps", "awaiting_input"),
            summary(world, "fails", "interrupted", "no record"),
        ],
    )
    assert [(each.kind, each.stage, each.reason, each.action and each.action.name) for each in needs] == [
        ("question", "count", "count: which count?; detect: which detect?", "answer_question"),
        ("failed", None, "because", "resume_project"),
        ("failed", "count", "because", "answer_question"),
        ("pick", "detect", "because", "compare_attempts"),
        ("interrupted", None, "no record", "diagnose"),
    ]
