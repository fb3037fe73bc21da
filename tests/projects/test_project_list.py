"""Pages of projects: what the database selects, sorts and counts is what the rules of the state say."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.dagster_api.client import DagsterRun, EventPage, RunEvent
from winslow_dagster.projects.dagster_api.run_completion import ended_runs, reconcile_runs
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.holds import Hold, Holds
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.database.schema import metadata
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import RunOutcome, RunRecord
from winslow_dagster.projects.domain.views import ProjectPage, ProjectQuery, ProjectState, ProjectSummary
from winslow_dagster.projects.status.project_list import count_states, find_projects, list_projects
from winslow_dagster.projects.status.state import RunSnapshot, project_state
from winslow_dagster.stages.task.model import StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STATES: tuple[ProjectState, ...] = get_args(ProjectState)
OUTCOMES: tuple[RunOutcome, ...] = get_args(RunOutcome)
MANIFEST = Manifest(address="a", files=(FileEntry(path="a.csv", size_bytes=3, blake3="c"),))
WORLDS = 3
PROJECTS = 25


def pipeline(name: str, _digest: str) -> Pipeline:
    """Every version of each pipeline: two stages, one after the other."""
    one = Stage(name="one", command=("true",))
    return Pipeline(name=name, stages=(one, Stage(name="two", command=("true",), after=("one",))))


class Dagster:
    """The web server's word on the runs that the tables know as open."""

    def __init__(self, statuses: dict[str, Any]) -> None:
        self.statuses = statuses

    def runs_by_id(self, run_ids: Any) -> dict[str, DagsterRun]:
        return {run_id: self.run(run_id) for run_id in run_ids if run_id in self.statuses}

    def run(self, run_id: str) -> DagsterRun:
        ended = self.statuses[run_id] in {"SUCCESS", "FAILURE", "CANCELED"}
        return DagsterRun(
            run_id=run_id,
            job="p",
            status=self.statuses[run_id],
            project=None,
            created_at=BEGIN,
            started_at=None,
            ended_at=BEGIN + timedelta(days=2) if ended else None,
        )

    def events(self, run_id: str, cursor: str | None = None) -> EventPage:
        event = RunEvent(at=BEGIN, kind="RUN_FAILURE", stage=None, level="ERROR", message=f"{run_id} broke")
        return EventPage(events=(event,), cursor=cursor or "", has_more=False)


class World:
    """Projects in all states, drawn at random."""

    def __init__(self, records: ProjectRecords, seed: int, projects: int = PROJECTS) -> None:
        self.records = records
        self.draw = random.Random(seed)
        self.statuses: dict[str, Any] = {}
        self.dagster = Dagster(self.statuses)
        for number in range(projects):
            self.project(f"p{number:03}")

    def project(self, name: str) -> None:
        draw = self.draw
        self.records.create_project(
            name, pipeline=draw.choice("pq"), pipeline_digest="d", env={}, created_by=draw.choice(["anna", "ben"])
        )
        Annotations(self.records.database).set_tags(
            name, draw.sample(["ulm", "Köln", "50%", "a_b"], draw.randint(0, 3))
        )
        Annotations(self.records.database).set_notes(name, draw.choice(["", "Crossroads in ULM", "ÖSTLICH, \\ and %"]))
        for _ in range(draw.choice([0, 1, 1, 1, 2])):
            sweep = f"sweep-{name}-{draw.random()}" if draw.random() < 0.3 else None
            for _ in range(draw.randint(1, 3) if sweep else 1):
                self.run(name, sweep)

    def run(self, name: str, sweep: str | None) -> None:
        draw, records = self.draw, self.records
        run_id = f"run-{name}-{draw.random()}"
        launched_at = BEGIN + timedelta(minutes=draw.randint(0, 999))
        pipeline = records.project(name).pipeline
        run = RunRecord(
            run_id, name, pipeline, "d", launched_at, "anna", start_from="one" if sweep else None, sweep=sweep
        )
        records.record_run(run)
        task = StageTask(
            task_id=f"{run_id}.one.1",
            project=name,
            pipeline=pipeline,
            stage="one",
            run_id=run_id,
            output_address="o",
            log_address="l",
            store_url="file:///store",
            log_rules=LogRules(),
        )
        records.attempt_started(task)
        held_at = launched_at + timedelta(seconds=10)
        for stage in draw.sample(["one", "two"], draw.randint(0, 2)):
            cause = draw.choice(["input", "input", "paused"])
            Holds(records.database).hold(Hold(run_id, stage, name, cause, "which side?", held_at))
            for _ in range(draw.randint(0, 2)):
                given_at = held_at + timedelta(seconds=draw.choice([-5, 0, 5]))
                accepted = draw.random() < 0.8
                answer = Answer(name, draw.choice("pq"), stage, MANIFEST, "anna", accepted=accepted, given_at=given_at)
                Answers(records.database).add(answer)
        if draw.random() < 0.2:
            Holds(records.database).pick(Pick(name, pipeline, "one", task.task_id, held_at, "anna"))
        if draw.random() < 0.2:
            Holds(records.database).pause(name, run_id, "ben")
        if draw.random() < 0.6:
            records.record_run_end(run_id, draw.choice(OUTCOMES), "because", launched_at + timedelta(minutes=1))
        elif draw.random() < 0.9:
            self.statuses[run_id] = draw.choice(
                ["QUEUED", "STARTING", "STARTED", "CANCELING", "SUCCESS", "FAILURE", "CANCELED"]
            )

    def find(self, **query: Any) -> ProjectPage:
        return find_projects(self.records, lambda: self.dagster, pipeline, ProjectQuery(**query))  # type: ignore[arg-type, return-value]

    def list(self) -> tuple[ProjectSummary, ...]:
        return list_projects(self.records, lambda: self.dagster, pipeline)  # type: ignore[arg-type, return-value]

    def state(self, name: str) -> ProjectState:
        """The state by the rules in `state.py`, from what the records classes return."""
        records = self.records
        open_runs = records.open_runs()
        ended = ended_runs(records, open_runs, lambda run_id: self.dagster.runs_by_id([run_id]).get(run_id), str)
        runs = [ended.get(run.run_id, run) for run in records.runs(name)]
        latest = next((run for run in runs if run.run_id == records.project(name).latest_run), None)
        if latest is None:
            return project_state(RunSnapshot(()))[0]
        sweep = tuple(run for run in reversed(runs) if run.sweep == latest.sweep) if latest.sweep else (latest,)
        answers = [each for each in Answers(records.database).of_project(name) if each.accepted]
        pause = Holds(records.database).pause_of(latest.run_id)
        running = [each for each in records.attempts(name) if each.run_id == latest.run_id and each.outcome is None]
        snapshot = RunSnapshot(
            sweep,
            self.statuses,
            pause="somebody" if pause and latest.ended_at is None else "",
            answered=all(
                any(
                    answer.stage == hold.stage and answer.pipeline == latest.pipeline and answer.given_at > hold.held_at
                    for answer in answers
                )
                for hold in Holds(records.database).holds([latest.run_id])
                if hold.cause == "input"
            ),
            picked=any(
                pick.task_id == f"{run.run_id}.one.1" for pick in Holds(records.database).picks(name) for run in sweep
            ),
        )
        return project_state(snapshot, [each.stage for each in running])[0]


def names(page: ProjectPage) -> list[str]:
    return [each.project for each in page.projects]


@pytest.mark.parametrize("seed", range(WORLDS))
def test_the_database_selects_by_state_what_the_rules_say(records: ProjectRecords, seed: int) -> None:
    world = World(records, seed)
    states = {project.name: world.state(project.name) for project in records.projects()}
    assert {each.project: each.state for each in world.list()} == states
    for state in STATES:
        page = world.find(states=[state])
        assert names(page) == sorted(name for name in states if states[name] == state)
        assert page.total == len(page.projects)
    some = STATES[:5]
    assert names(world.find(states=some)) == sorted(name for name in states if states[name] in some)
    reconcile_runs(records, world.dagster)  # type: ignore[arg-type]
    assert {each.project: each.state for each in world.list()} == states
    for state in STATES:
        assert names(world.find(states=[state])) == sorted(name for name in states if states[name] == state)


def test_the_worlds_have_projects_in_every_state(records: ProjectRecords) -> None:
    world = World(records, 0, projects=100)
    assert {each.state for each in world.list()} == set(STATES)
    without_services = find_projects(records, lambda: None, pipeline, ProjectQuery(states=("interrupted",)))
    assert {each.state for each in without_services.projects} == {"interrupted"}


def test_a_page_is_a_part_of_the_list_and_knows_how_many_there_are(records: ProjectRecords) -> None:
    world = World(records, 1, projects=23)
    everything = world.list()
    assert world.find(limit=1000) == ProjectPage(projects=everything, total=23)
    pages = [world.find(limit=5, offset=offset) for offset in range(0, 30, 5)]
    assert [len(page.projects) for page in pages] == [5, 5, 5, 5, 3, 0]
    assert {page.total for page in pages} == {23}
    assert tuple(each for page in pages for each in page.projects) == everything


KEYS: dict[str, Callable[[ProjectSummary], Any]] = {
    "name": lambda each: each.project,
    "changed_at": lambda each: each.changed_at,
    "state": lambda each: STATES.index(each.state),
    "pipeline": lambda each: each.pipeline,
    "owner": lambda each: each.owner,
}


def test_pages_are_sorted_and_equal_ones_by_name(records: ProjectRecords) -> None:
    world = World(records, 2)
    for sort, key in KEYS.items():
        for descending in (False, True):
            page = world.find(sort=sort, descending=descending, limit=1000)
            assert list(page.projects) == sorted(world.list(), key=key, reverse=descending)


def test_projects_are_sorted_by_when_they_were_created(records: ProjectRecords) -> None:
    world = World(records, 3)
    assert names(world.find(sort="created_at", descending=True)) == [f"p{n:03}" for n in reversed(range(PROJECTS))]


def test_projects_are_found_by_pipeline_and_by_all_of_some_tags(records: ProjectRecords) -> None:
    world = World(records, 4)
    projects = records.projects()
    assert names(world.find(pipelines=["q"])) == [each.name for each in projects if each.pipeline == "q"]
    for tags in (["ulm"], ["Köln"], ["50%", "ulm"], ["a_b"], ["ul"], ["ulm", "nothing"]):
        assert names(world.find(tags=tags)) == [each.name for each in projects if set(tags) <= set(each.tags)]
    both = world.find(pipelines=["p"], tags=["ulm"], states=["idle"])
    assert names(both) == [
        each.name
        for each in projects
        if each.pipeline == "p" and "ulm" in each.tags and world.state(each.name) == "idle"
    ]


def test_what_a_filter_excludes_is_left_out(records: ProjectRecords) -> None:
    world = World(records, 6)
    everything = world.list()
    cases: dict[str, tuple[list[str], Callable[[ProjectSummary], bool]]] = {
        "not_states": (["idle", "failed"], lambda each: each.state not in {"idle", "failed"}),
        "not_pipelines": (["p"], lambda each: each.pipeline != "p"),
        "owners": (["ben", "nobody"], lambda each: each.owner == "ben"),
        "not_owners": (["ben"], lambda each: each.owner != "ben"),
        "not_tags": (["ulm", "50%"], lambda each: not {"ulm", "50%"} & set(each.tags)),
        "texts": (["p0", "köln"], lambda each: "Köln" in each.tags),
        "not_texts": (["p01", "köln"], lambda each: "p01" not in each.project and "Köln" not in each.tags),
    }
    for field, (values, kept) in cases.items():
        found = names(world.find(**{field: values}))
        assert found == [each.project for each in everything if kept(each)]
        assert 0 < len(found) < PROJECTS
    all_states = world.find(not_states=STATES)
    assert (all_states.projects, all_states.total) == ((), 0)


def test_groups_come_one_after_the_other_and_are_counted_over_all_pages(records: ProjectRecords) -> None:
    world = World(records, 7)
    everything = world.list()
    of: dict[str, Callable[[ProjectSummary], str]] = {
        "pipeline": lambda each: each.pipeline,
        "owner": lambda each: each.owner,
        "state": lambda each: each.state,
        "tag": lambda each: each.tags[0] if each.tags else "",
    }
    for group, value in of.items():
        pages = [world.find(group=group, sort="changed_at", limit=10, offset=offset) for offset in (0, 10, 20)]
        assert all(page.groups == Counter(map(value, everything)) and page.total == PROJECTS for page in pages)
        found = [each for page in pages for each in page.projects]
        assert len({each.project for each in found}) == PROJECTS
        groups = [value for value, _ in itertools.groupby(map(value, found))]
        assert len(groups) == len(set(groups))
        assert "" not in groups[:-1]
        for _, members in itertools.groupby(found, value):
            moments = [each.changed_at for each in members]
            assert moments == sorted(moments)
    assert world.find().groups == {}


def test_states_are_counted(records: ProjectRecords) -> None:
    world = World(records, 8)
    counted = count_states(records, lambda: world.dagster)  # type: ignore[arg-type, return-value]
    assert counted == Counter(each.state for each in world.list())


def test_a_text_is_looked_for_in_names_notes_and_tags(records: ProjectRecords) -> None:
    world = World(records, 5)
    projects = records.projects()
    for text in ("ulm", "CROSS", "p00", "\\ and", "%", "_", "a_B", "in ul", "köln", "nothing"):
        assert names(world.find(texts=(text,))) == [
            each.name
            for each in projects
            if any(text.lower() in part.lower() for part in (each.name, each.notes, *each.tags))
        ]


def test_sqlite_knows_the_case_of_all_letters(tmp_path: Any) -> None:
    records = ProjectRecords.open(f"sqlite:///{tmp_path / 'a.db'}")
    records.create_project("a", pipeline="p", pipeline_digest="d", env={}, created_by="anna")
    Annotations(records.database).set_notes("a", "ÖSTLICH")
    found = find_projects(records, lambda: None, pipeline, ProjectQuery(texts=("östlich",)))
    assert names(found) == ["a"]
    records.close()


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"sort": "age"}, {"states": ["odd"]}])
def test_a_query_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProjectQuery(**wrong)


def contents(records: ProjectRecords) -> dict[str, list[Any]]:
    with records.database.reading() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for table in metadata.sorted_tables
        }


def test_listing_writes_nothing_though_runs_have_ended(records: ProjectRecords) -> None:
    world = World(records, 6)
    before = contents(records)
    listed, page = world.list(), world.find(states=["failed"])
    assert listed
    assert page.projects
    assert contents(records) == before
    assert reconcile_runs(records, world.dagster)  # type: ignore[arg-type]
    assert contents(records) != before
