"""Whatever two people do with a project in whatever order, and however its stages end, what must hold does.

`make test` tries a few sequences, `make test-all` a hundred more, and `make chaos` a thousand (WINSLOW_SEQUENCES).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from simulated_dagster import End, SimulatedDagster

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.projects.commands.context import Context, Resources
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.views import OVER
from winslow_dagster.projects.installation import Installation
from winslow_dagster.settings import Settings

FEW = 5
MANY = int(os.environ.get("WINSLOW_SEQUENCES", "100"))
STEPS = 25
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
MAIN = """
name: main
command: [sh, -c]
defaults: {{retries: {{count: 1, when: [lost], wait: 0.1}}}}
stages:
  - {{name: root, args: ['true {version}'], env: {{LEVEL: "0"}}}}
  - name: left
    after: [root]
    args: ['true']
    needs_input: {{when: once, form: [{{kind: choice, name: side, options: [north, south]}}]}}
  - {{name: right, after: [root], args: ['true']}}
  - name: join
    after: [left, right]
    args: ['true']
    needs_input: {{when: always, form: [{{kind: confirm, name: fine, stage: right}}]}}
  - {{name: last, args: ['true']}}
"""
OTHER = """
name: other
command: [sh, -c]
stages: [{name: alone, args: ['true']}]
"""
STAGES = st.sampled_from(["root", "left", "right", "join", "last"])
ENDS: st.SearchStrategy[End] = st.sampled_from(
    ["succeeded", "succeeded", "succeeded", "succeeded", "failed", "lost", "awaiting_input", "check"]
)
LEVELS = st.sampled_from(["1", "2", "3"])
REFUSALS = (ProjectConflict, NotFound, InputRejected)


class Nobody:
    """There are no services: the simulated Dagster stands in for what they run."""

    address = "http://127.0.0.1:9"

    def running(self) -> bool:
        return True

    def for_a_while(self) -> Any:
        raise AssertionError("nothing is to be started")

    def dagster(self, _installation_id: str) -> DagsterClient:
        raise AssertionError("there is no web server")


class SimulatedResources(Resources):
    """An installation's resources, with the simulated Dagster in the place of the web server."""

    simulated: SimulatedDagster | None = None

    def dagster(self) -> Any:
        return self.simulated

    def dagster_if_running(self) -> Any:
        return self.simulated


class Person(Installation):
    """An installation in the hands of one person."""

    def __init__(self, place: Settings, who: str) -> None:
        self.resources = SimulatedResources(place, Nobody(), engine=InMemoryEngine())
        self.context = Context(place, self.resources, Actor(who, "test"))


class Sequences(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sequences-", dir=IN_MEMORY))
        pipelines = self.folder / "pipelines"
        pipelines.mkdir()
        self.main = pipelines / "main.yaml"
        self.main.write_text(MAIN.format(version=1))
        (pipelines / "other.yaml").write_text(OTHER)
        place = Settings.read({"WINSLOW_HOME": str(self.folder / "home"), "WINSLOW_PIPELINES_DIR": str(pipelines)})
        self.people = [Person(place, "anna"), Person(place, "ben")]
        self.dagster = SimulatedDagster(place, self.people[0].context.records, self.people[0].context.store)
        for person in self.people:
            person.resources.simulated = self.dagster
        self.seen: dict[str, Attempt] = {}
        self.done = 0

    # What people do. What is refused changes nothing.

    def act(self, name: str, what: Callable[[], object]) -> None:
        before = self.facts()
        try:
            what()
        except REFUSALS as refusal:
            event(f"{name} refused")
            same = self.facts() == before
            assert same, f"what is refused changes nothing: {refusal}"  # noqa: PT017  # it is about the facts
        else:
            event(f"{name} done")
            self.done += 1

    def facts(self) -> object:
        records = self.people[0].context.records
        projects = records.projects()
        runs = [records.runs(project.name) for project in projects]
        asked = [[(run.run_id, run.settings) for run in each] for each in runs]
        return projects and (projects[0].pipeline, projects[0].pipeline_digest, projects[0].latest_run, asked)

    def handle(self, who: int = 0) -> ProjectHandle:
        return self.people[who].project("p")

    @initialize(level=LEVELS)
    def begin(self, level: str) -> None:
        self.act("begin", lambda: self.people[0].run("main", "p", settings={"root": {"env": {"LEVEL": level}}}))

    @rule(who=st.integers(0, 1), start=st.none() | STAGES, stop=st.none() | STAGES, current=st.booleans())
    def run(self, *, who: int, start: str | None, stop: str | None, current: bool) -> None:
        version: Any = "current" if current else "pinned"
        self.act(
            "run",
            lambda: self.people[who].run("main", "p", start_from=start, stop_after=stop, pipeline_version=version),
        )

    @rule(who=st.integers(0, 1), what=st.sampled_from(["another pipeline", "another file", "cancel"]))
    def seldom(self, who: int, what: str) -> None:
        if what == "another pipeline":
            self.act(what, lambda: self.people[who].run("other", "p"))
        elif what == "another file":
            self.main.write_text(MAIN.format(version=2 + self.main.read_text().count("true 2")))
        else:
            self.act(what, lambda: self.handle(who).cancel())

    @rule(who=st.integers(0, 1), after=st.none() | STAGES)
    def pause(self, who: int, after: str | None) -> None:
        self.act("pause", lambda: self.handle(who).pause(after))

    @rule(who=st.integers(0, 1))
    def resume(self, who: int) -> None:
        self.act("resume", lambda: self.handle(who).resume())

    @rule(who=st.integers(0, 1), stage=STAGES, level=LEVELS, only=st.booleans(), reuse=st.booleans())
    def redo(self, *, who: int, stage: str, level: str, only: bool, reuse: bool) -> None:
        self.act("redo", lambda: self.handle(who).redo(stage, env={"LEVEL": level}, only=only, reuse=reuse))

    @rule(who=st.integers(0, 1), stage=STAGES, other=STAGES, number=st.integers(1, 4))
    def redo_on_a_chosen_attempt(self, who: int, stage: str, other: str, number: int) -> None:
        self.act("redo_on_a_chosen_attempt", lambda: self.handle(who).redo(stage, use={other: number}))

    @rule(who=st.integers(0, 1), stage=STAGES)
    def sweep(self, who: int, stage: str) -> None:
        self.act("sweep", lambda: self.handle(who).sweep(stage, {"LEVEL": ["7", "8"]}))

    @rule(who=st.integers(0, 1), stage=STAGES, number=st.integers(1, 6))
    def pick(self, who: int, stage: str, number: int) -> None:
        self.act("pick", lambda: self.handle(who).pick(stage, number))

    @rule(who=st.integers(0, 1), stage=STAGES, number=st.integers(0, 99))
    def replace(self, who: int, stage: str, number: int) -> None:
        file = self.folder / "mine.json"
        file.write_text(json.dumps({"by hand": number}))
        self.act("replace", lambda: self.handle(who).replace(stage, "out.json", file))

    @rule(who=st.integers(0, 1), kind=st.sampled_from(["right", "wrong", "reject"]), go_on=st.booleans())
    def answer(self, *, who: int, kind: str, go_on: bool) -> None:
        questions = self.handle(who).questions()
        if not questions:
            self.act("answer", lambda: self.handle(who).answer("left", {"side": "north"}, resume=go_on))
            return
        question = questions[-1]
        values = {"nonsense": 1} if kind == "wrong" else reply(question.form, accept=kind == "right")
        before = self.done
        self.act(
            "answer",
            lambda: self.handle(who).answer(question.stage, values, pipeline=question.pipeline, resume=go_on),
        )
        if kind == "wrong":
            assert self.done == before, "a wrong answer is refused"
        elif self.handle(who).status().run_id is not None:
            # Answering goes on by a resume, or a redo of what was rejected: that is noted, too.
            self.done = len(self.handle().audit())

    # What happens by itself.

    @precondition(lambda self: self.dagster.open())
    @rule(data=st.data(), times=st.integers(1, 6))
    def happen(self, data: Any, times: int) -> None:
        for _ in range(times):
            if not (open_runs := self.dagster.open()):
                return
            run = data.draw(st.sampled_from(open_runs))
            self.dagster.step(run, data.draw(st.integers(0, 5)), data.draw(ENDS))

    @precondition(lambda self: self.dagster.open())
    @rule(stages=st.integers(1, 9))
    def go_well(self, stages: int) -> None:
        for _ in range(2 * stages + 2):
            if open_runs := self.dagster.open():
                self.dagster.step(open_runs[-1], 0, "succeeded")

    @precondition(lambda self: self.dagster.open())
    @rule()
    def go_well_to_the_end(self) -> None:
        while open_runs := self.dagster.open():
            self.dagster.step(open_runs[0], 0, "succeeded")

    @rule(who=st.integers(0, 1))
    def answer_all_and_go_to_the_end(self, who: int) -> None:
        while open_runs := self.dagster.open():
            self.dagster.step(open_runs[0], 1, "succeeded")
        for question in self.handle(who).questions():
            given = reply(question.form, accept=True)
            self.act(
                "answer",
                lambda question=question, given=given: self.handle(who).answer(
                    question.stage, given, pipeline=question.pipeline
                ),
            )
            self.done = len(self.handle().audit())
        self.go_well_to_the_end()

    @precondition(lambda self: self.dagster.open())
    @rule(data=st.data())
    def crash(self, data: Any) -> None:
        self.dagster.crash(data.draw(st.sampled_from(self.dagster.open())))

    # What must hold.

    @invariant()
    def the_list_and_the_project_s_own_page_agree(self) -> None:
        if not self.people[0].context.records.projects():
            return
        status = self.people[1].status("p")
        (summary,) = self.people[0].projects()
        assert summary.state == status.state, (summary, status.state, status.reason)
        if status.state in OVER:
            assert summary.reason == status.reason
            assert self.dagster.open() == []
            assert [each for each in self.handle().attempts() if each.outcome is None] == []
        if "answer" in status.actions:
            assert status.questions
        runs = self.people[0].context.records.open_runs("p")
        assert sum(run.sweep is None for run in runs) <= 1
        assert not (any(run.sweep for run in runs) and any(run.sweep is None for run in runs))

    @invariant()
    def what_fits_was_made_of_what_is_there_now(self) -> None:
        if (
            not self.people[0].context.records.projects()
            or self.people[0].context.records.project("p").pipeline != "main"
        ):
            return
        handle = self.handle()
        outputs = handle.outputs()
        contents = {stage: self.dagster.content(manifest) for stage, manifest in outputs.items()}
        after = {"left": ("root",), "right": ("root",), "join": ("left", "right"), "last": ("join",)}
        for view in handle.status().stages:
            made = contents.get(view.stage)
            if made is None or view.outdated or "by hand" in made or view.state in {"running", "waiting"}:
                continue
            for upstream in after.get(view.stage, ()):
                if upstream in contents:
                    assert made["inputs"][upstream] == contents[upstream], (view.stage, upstream)

    @invariant()
    def what_has_ended_never_changes(self) -> None:
        if not self.people[0].context.records.projects():
            return
        successes = set()
        for attempt in self.handle().attempts():
            if attempt.outcome is not None:
                assert self.seen.setdefault(attempt.task_id, attempt) == attempt
            if attempt.outcome == "succeeded":
                assert (attempt.run_id, attempt.stage) not in successes
                successes.add((attempt.run_id, attempt.stage))

    @invariant()
    def every_deed_is_on_record_and_no_refusal(self) -> None:
        assert len(self.people[0].audit()) == self.done

    def teardown(self) -> None:
        try:
            self.goes_to_its_end()
        finally:
            for person in self.people:
                person.close()
            shutil.rmtree(self.folder)

    def goes_to_its_end(self) -> None:
        """Wherever it stands, answering what is asked and resuming brings it to its end."""
        if not self.people[0].context.records.projects():
            return
        handle = self.handle()
        for _ in range(40):
            while open_runs := self.dagster.open():
                self.dagster.step(open_runs[0], 0, "succeeded")
            status = handle.status()
            left = [view.stage for view in status.stages if view.outdated or view.in_use is None]
            if not left:
                assert status.state in {"succeeded", "paused", "failed", "cancelled", "awaiting_input"}
                return
            if status.questions:
                question = status.questions[0]
                handle.answer(question.stage, reply(question.form, accept=True), resume=False)
            else:
                handle.resume()
        raise AssertionError(f"it does not come to its end: {handle.status()}")


def reply(form: tuple[dict[str, Any], ...], *, accept: bool) -> dict[str, Any]:
    """An answer to any question of the pipeline."""
    redo = {} if accept else {"env": {"LEVEL": "9"}}
    kinds = {"choice": "north", "text": "go on", "confirm": {"accepted": accept, **redo}}
    return {field["name"]: kinds[field["kind"]] for field in form}


PROFILE = settings(
    stateful_step_count=STEPS,
    # The same ones in every `make test`, so that what fails there is what was changed; others in each `make chaos`.
    derandomize="WINSLOW_SEQUENCES" not in os.environ,
    # Shrinking takes minutes, since each try goes to its end; the blob that is printed repeats the sequence.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_what_must_hold_holds_in_a_few_sequences() -> None:
    run_state_machine_as_test(Sequences, settings=settings(PROFILE, max_examples=FEW))


@pytest.mark.slow
@pytest.mark.timeout(18 * MANY)
def test_what_must_hold_holds_in_many_sequences() -> None:
    run_state_machine_as_test(Sequences, settings=settings(PROFILE, max_examples=MANY))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sequences]:
    """A project that has gone to its end, which it does again afterwards."""
    monkeypatch.setitem(globals(), "event", lambda _text: None)  # it counts for Hypothesis, which does not run here
    begun = Sequences()
    try:
        begun.begin(level="1")
        for _ in ("left", "join"):
            begun.answer_all_and_go_to_the_end(who=0)
        yield begun
    finally:
        begun.teardown()


def test_a_question_is_settled_when_its_stage_gets_outputs_by_hand(steps: Sequences) -> None:
    steps.redo(who=0, stage="left", level="2", only=False, reuse=False)
    steps.dagster.step(steps.dagster.open()[0], 0, "succeeded")
    while open_runs := steps.dagster.open():
        steps.dagster.step(open_runs[0], 0, "awaiting_input")
    assert steps.handle().status().state == "awaiting_input"
    steps.replace(who=0, stage="left", number=1)
    status = steps.handle().status()
    assert (status.state, status.reason) == ("paused", "its question was settled; ready to resume")
    steps.the_list_and_the_project_s_own_page_agree()


def test_an_attempt_that_failed_cannot_be_chosen_for_a_run(steps: Sequences) -> None:
    steps.redo(who=0, stage="root", level="2", only=True, reuse=False)
    while open_runs := steps.dagster.open():
        steps.dagster.step(open_runs[0], 0, "failed")
    failed = steps.handle().attempt("root", 2)
    assert failed.outcome == "failed"
    with pytest.raises(ProjectConflict, match="cannot be used for stage root of pipeline main: its outcome is failed"):
        steps.handle().redo("last", use={"root": 2})
    with pytest.raises(ProjectConflict, match="its outcome is failed"):
        steps.handle().plan("last", use={"root": failed.task_id})
