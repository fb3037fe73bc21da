"""Whatever two people do with two projects in whatever order, however stages end and workers die: what must hold does.

`make test` tries some sequences, `make chaos` a thousand; WINSLOW_SEQUENCES says how many.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulated_dagster import End, SimulatedDagster, content_key
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects import tables
from winslow_dagster.projects.actions import Actions
from winslow_dagster.projects.audit import Actor
from winslow_dagster.projects.handles import ProjectHandle
from winslow_dagster.projects.lineage import ANSWER
from winslow_dagster.projects.results import OVER, ProjectStatus
from winslow_dagster.projects.runs import Run
from winslow_dagster.projects.values import Attempt
from winslow_dagster.settings import Settings
from winslow_dagster.storage.manifest import Manifest

SEQUENCES = int(os.environ.get("WINSLOW_SEQUENCES", "40"))
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
CONFIRMED = ("join", "fine", "right")
"""This stage's field confirms the outputs of that one."""
WHO = st.integers(0, 1)
PROJECTS = st.sampled_from(["p", "p", "p", "q"])
STAGES = st.sampled_from(["root", "left", "right", "join", "last"])
ENDS: st.SearchStrategy[End] = st.sampled_from(
    ["succeeded", "succeeded", "succeeded", "succeeded", "failed", "lost", "await_input", "check"]
)
LEVELS = st.sampled_from(["1", "2", "3"])
REFUSALS = (ProjectConflict, NotFound, InputRejected)
Told = dict[str, dict[str, str]]
"""Stage -> the variables that a run was told for it alone."""


class Nobody:
    """There are no services: the simulated Dagster stands in for what they run."""

    address = "http://127.0.0.1:9"

    def running(self) -> bool:
        return True

    def for_a_while(self) -> Any:
        raise AssertionError("nothing is to be started")


class Person(Actions):
    """An installation in the hands of one person."""

    simulated: SimulatedDagster

    def __init__(self, place: Settings, who: str) -> None:
        super().__init__(place, Nobody(), Actor(who, "test"))

    def use(self, simulated: SimulatedDagster) -> None:
        self.simulated = simulated
        self.__dict__["engine"] = simulated.engine

    def dagit(self) -> Any:
        return self.simulated

    def _dagit_if_there(self) -> Any:
        return self.simulated


class Sequences(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sequences-", dir=IN_MEMORY))
        pipelines = self.folder / "pipelines"
        pipelines.mkdir()
        self.main = pipelines / "main.yaml"
        self.main.write_text(MAIN.format(version=1))
        (pipelines / "other.yaml").write_text(OTHER)
        named = {"WINSLOW_HOME": str(self.folder / "home"), "WINSLOW_PIPELINES_DIR": str(pipelines)}
        place = Settings.read(named | self.database())
        self.people = [Person(place, "anna"), Person(place, "ben")]
        self.records = self.people[0].records
        self.dagster = SimulatedDagster(place, self.records, self.people[0].store)
        for person in self.people:
            person.use(self.dagster)
        self.touched = "p"
        self.seen: dict[str, Attempt] = {}
        self.manifests: dict[str, Manifest] = {}
        self.told: dict[str, Told] = {}
        self.layers: dict[str, Mapping[str, str]] = {}
        self.done: list[tuple[str, str | None, str]] = []

    def database(self) -> dict[str, str]:
        """The settings of a fresh database; in the folder, where nothing is set."""
        return {}

    # What people do. What is refused changes nothing.

    def act(self, who: int, project: str, name: str, what: Callable[[ProjectHandle], object]) -> tuple[bool, Any]:
        """Whether it was done, and what it gave."""
        self.touched = project
        before = self.facts()
        try:
            given = what(ProjectHandle(self.people[who], project))
        except REFUSALS as refusal:
            event(f"{name} refused")
            same = self.facts() == before
            assert same, f"what is refused changes nothing: {refusal}"  # noqa: PT017  # it is about the facts
            return False, refusal
        event(f"{name} done")
        self.done.append((self.people[who].actor.who, project, name))
        return True, given

    def launch(self, who: int, project: str, name: str, what: Callable[[ProjectHandle], Run], told: Told) -> bool:
        """Do what gives a run that is told this, and no more."""
        done, run = self.act(who, project, name, what)
        if done:
            # A pause that is withdrawn gives the run that was to pause.
            self.told.setdefault(run.run_id, told)
        return done

    def facts(self) -> object:
        """All rows of all tables, and Dagster's runs."""
        with self.records.database.reading() as connection:
            rows = {
                name: sorted(map(repr, connection.execute(text(f"SELECT * FROM {name}"))))  # noqa: S608  # our tables
                for name in tables.metadata.tables
            }
        return rows, [(run.run_id, run.status) for run in self.dagster.all.values()]

    def there(self) -> list[str]:
        return [project.name for project in self.records.projects()]

    def carried_on(self, project: str) -> Told:
        """What a run goes on with that carries on the last one."""
        if project not in self.there():
            return {}
        found = self.records.project(project)
        last = self.records.run(found.latest_run) if found.latest_run else None
        if last is None or last.outcome not in {"paused", "awaiting_input", "failed"}:
            return {}
        return self.told[last.run_id] if last.pipeline == found.pipeline and last.sweep is None else {}

    @initialize(level=LEVELS)
    def begin(self, level: str) -> None:
        told = {"root": {"LEVEL": level}}
        settings_ = {stage: {"env": env} for stage, env in told.items()}
        self.launch(0, "p", "run", lambda _: self.people[0].run("main", "p", settings=settings_), told)

    @rule(who=WHO, project=PROJECTS, start=st.none() | STAGES, stop=st.none() | STAGES, current=st.booleans())
    def run(self, *, who: int, project: str, start: str | None, stop: str | None, current: bool) -> None:
        version: Any = "current" if current else "pinned"
        self.launch(
            who,
            project,
            "run",
            lambda _: self.people[who].run(
                "main", project, start_from=start, stop_after=stop, pipeline_version=version
            ),
            {},
        )

    @rule(who=WHO, project=PROJECTS, what=st.sampled_from(["another pipeline", "another file", "cancel"]))
    def seldom(self, who: int, project: str, what: str) -> None:
        if what == "another pipeline":
            self.launch(who, project, "run", lambda _: self.people[who].run("other", project), {})
        elif what == "another file":
            self.main.write_text(MAIN.format(version=2 + self.main.read_text().count("true 2")))
        else:
            self.act(who, project, "cancel", ProjectHandle.cancel)

    @rule(who=WHO, project=PROJECTS, after=st.none() | STAGES)
    def pause(self, who: int, project: str, after: str | None) -> None:
        self.act(who, project, "pause", lambda handle: handle.pause(after))

    @rule(who=WHO, project=PROJECTS)
    def resume(self, who: int, project: str) -> bool:
        return self.launch(who, project, "resume", ProjectHandle.resume, self.carried_on(project))

    @rule(
        who=WHO,
        project=PROJECTS,
        stage=STAGES,
        levels=st.dictionaries(STAGES, LEVELS, max_size=2),
        stop=st.none() | st.just("only") | STAGES,
        reuse=st.booleans(),
    )
    def redo(self, *, who: int, project: str, stage: str, levels: dict[str, str], stop: str | None, reuse: bool) -> None:
        told = {name: {"LEVEL": level} for name, level in levels.items()}
        self.launch(
            who,
            project,
            "redo",
            lambda handle: handle.redo(
                stage,
                settings={name: {"env": env} for name, env in told.items()},
                only=stop == "only",
                stop_after=None if stop == "only" else stop,
                reuse=reuse,
            ),
            told,
        )

    @rule(who=WHO, project=PROJECTS, stage=STAGES, other=STAGES, number=st.integers(1, 4), level=LEVELS)
    def redo_on_a_chosen_attempt(self, *, who: int, project: str, stage: str, other: str, number: int, level: str) -> None:
        told = {stage: {"LEVEL": level}}
        self.launch(who, project, "redo", lambda handle: handle.redo(stage, env=told[stage], use={other: number}), told)

    @rule(who=WHO, project=PROJECTS, stage=STAGES)
    def sweep(self, who: int, project: str, stage: str) -> bool:
        done, runs = self.act(who, project, "sweep", lambda handle: handle.sweep(stage, {"LEVEL": ["7", "8"]}))
        if done:
            self.told |= {run.run_id: {stage: {"LEVEL": level}} for run, level in zip(runs, "78", strict=True)}
        return done

    @rule(who=WHO, project=PROJECTS, stage=STAGES, number=st.integers(1, 6))
    def pick(self, who: int, project: str, stage: str, number: int) -> None:
        self.act(who, project, "pick", lambda handle: handle.pick(stage, number))

    @rule(who=WHO, project=PROJECTS, stage=STAGES, number=st.integers(0, 99))
    def replace(self, who: int, project: str, stage: str, number: int) -> None:
        file = self.folder / "mine.json"
        file.write_text(json.dumps({"by hand": number}))
        self.act(who, project, "replace", lambda handle: handle.replace(stage, "out.json", file))

    @rule(who=WHO, project=PROJECTS, kind=st.sampled_from(["right", "wrong", "reject", "unasked"]), go_on=st.booleans())
    def answer(self, *, who: int, project: str, kind: str, go_on: bool) -> None:
        questions = ProjectHandle(self.people[who], project).questions() if project in self.there() else ()
        if not questions or kind == "unasked":
            asked = {question.stage for question in questions}
            if "left" not in asked:
                done, _ = self.act(who, project, "answer", lambda handle: handle.answer("left", {"side": "north"}))
                assert not done, "what is not asked is not answered"
            return
        question = questions[-1]
        values = {"nonsense": 1} if kind == "wrong" else reply(question.form, accept=kind == "right")
        done = self.give(who, project, question.stage, values, go_on=go_on)
        assert done == (kind != "wrong"), "a wrong answer is refused, every other is not"

    def give(self, who: int, project: str, stage: str, values: dict[str, Any], *, go_on: bool) -> bool:
        """Answer; a run that goes on by itself is noted as what it is."""
        told = self.carried_on(project)
        done, run = self.act(who, project, "answer", lambda handle: handle.answer(stage, values, go_on=go_on))
        if done and run is not None:
            rejected = any(isinstance(value, dict) and not value["accepted"] for value in values.values())
            self.done.append((self.people[who].actor.who, project, "redo" if rejected else "resume"))
            again = {CONFIRMED[2]: {"LEVEL": "9"}} if rejected else {}
            self.told[run.run_id] = told | again
        return done

    @rule(who=WHO, project=PROJECTS, data=st.data())
    def do_what_is_offered(self, who: int, project: str, data: Any) -> None:
        if project not in self.there():
            return
        status = ProjectHandle(self.people[who], project).status()
        if status.actions:
            action = data.draw(st.sampled_from(status.actions))
            assert self.offered(who, status, action), (action, status.state, status.reason)

    def offered(self, who: int, status: ProjectStatus, action: str) -> bool:
        """Do one of the next actions that the status lists; whether it could be done."""
        project, first = status.project, status.stages[0].stage
        match action:
            case "run":
                return self.launch(who, project, "run", lambda _: self.people[who].run(status.pipeline, project), {})
            case "resume":
                return self.resume(who, project)
            case "redo":
                return self.launch(who, project, "redo", lambda handle: handle.redo(first), {})
            case "sweep":
                return self.sweep(who, project, first)
            case "answer":
                question = status.questions[0]
                return self.give(who, project, question.stage, reply(question.form, accept=True), go_on=True)
            case "pick":
                runs = [run.run_id for run in self.records.runs_of_sweep(status.sweep or "")]
                swept = self.records.run(runs[0])
                good = next(
                    each
                    for each in self.records.attempts(project)
                    if each.run_id in runs and each.outcome == "succeeded" and swept and each.stage == swept.start_from
                )
                return self.act(who, project, "pick", lambda handle: handle.pick(good.stage, good.task_id))[0]
            case "pause":
                return self.act(who, project, "pause", ProjectHandle.pause)[0]
            case _:
                return self.act(who, project, action, ProjectHandle.cancel)[0]

    # What happens by itself.

    @precondition(lambda self: self.dagster.open())
    @rule(data=st.data(), times=st.integers(1, 6))
    def happen(self, data: Any, times: int) -> None:
        for _ in range(times):
            if not (open_runs := self.dagster.open()):
                return
            run = data.draw(st.sampled_from(open_runs))
            self.touched = run.project or ""
            self.dagster.step(run, data.draw(st.integers(0, 5)), data.draw(ENDS))

    @precondition(lambda self: self.dagster.open())
    @rule(stages=st.integers(1, 9))
    def go_well(self, stages: int) -> None:
        for _ in range(2 * stages + 2):
            if open_runs := self.dagster.open():
                self.touched = open_runs[-1].project or ""
                self.dagster.step(open_runs[-1], 0, "succeeded")

    @rule(who=WHO, project=PROJECTS)
    def answer_all_and_go_to_the_end(self, who: int, project: str) -> None:
        if project not in self.there():
            return
        self.go_well_to_the_end(project)
        for question in ProjectHandle(self.people[who], project).questions():
            self.give(who, project, question.stage, reply(question.form, accept=True), go_on=True)
        self.go_well_to_the_end(project)

    @precondition(lambda self: self.dagster.open())
    @rule(data=st.data(), which=st.integers(0, 5), end=ENDS, words=st.integers(0, 6))
    def crash(self, data: Any, which: int, end: End, words: int) -> None:
        run = data.draw(st.sampled_from(self.dagster.open()))
        self.touched = run.project or ""
        self.dagster.crash(run, which, end, words)

    def go_well_to_the_end(self, project: str) -> None:
        self.touched = project
        while open_runs := self.dagster.open(project):
            self.dagster.step(open_runs[0], 0, "succeeded")

    # What must hold.

    @invariant()
    def what_must_hold(self) -> None:
        if self.touched not in self.there():
            return
        status = self.people[1].status(self.touched)
        attempts = self.records.attempts(self.touched)
        self.the_list_and_the_project_s_own_page_agree(status)
        self.what_is_over_holds_nothing(status, attempts)
        self.what_has_ended_never_changes(attempts)
        self.what_fits_was_made_of_what_is_there_now(status, attempts)
        self.what_was_confirmed_ran_on_what_was_looked_at(attempts)
        self.settings_arrive_where_they_were_said(attempts)
        self.every_deed_is_on_record_and_no_refusal()

    def the_list_and_the_project_s_own_page_agree(self, status: ProjectStatus) -> None:
        (summary,) = (each for each in self.people[0].projects() if each.project == status.project)
        assert summary.state == status.state, (summary, status.state, status.reason)
        assert ("answer" in status.actions) <= bool(status.questions)

    def what_is_over_holds_nothing(self, status: ProjectStatus, attempts: tuple[Attempt, ...]) -> None:
        runs = self.records.open_runs(status.project)
        assert len({run.sweep or run.run_id for run in runs}) <= 1, "one run of a project, or the runs of one sweep"
        if status.state in OVER:
            assert self.dagster.open(status.project) == []
            assert runs == ()
            assert [each for each in attempts if each.outcome is None] == []

    def what_has_ended_never_changes(self, attempts: tuple[Attempt, ...]) -> None:
        successes = set()
        for attempt in attempts:
            if attempt.outcome is not None:
                assert self.seen.setdefault(attempt.task_id, attempt) == attempt
            if attempt.outcome == "succeeded":
                assert (attempt.run_id, attempt.stage) not in successes
                successes.add((attempt.run_id, attempt.stage))

    def what_fits_was_made_of_what_is_there_now(self, status: ProjectStatus, attempts: tuple[Attempt, ...]) -> None:
        in_use = {view.stage: view.in_use for view in status.stages if view.in_use is not None}
        if missing := set(in_use.values()) - self.manifests.keys():
            self.manifests |= self.records.manifests(missing)
        outputs = {stage: self.manifests[task_id] for stage, task_id in in_use.items()}
        last = {attempt.stage: attempt for attempt in attempts}
        by_id = {attempt.task_id: attempt for attempt in attempts}
        pipeline = self.pipeline(status)
        answers = {
            each.stage: each.manifest
            for each in ProjectHandle(self.people[0], status.project).answers()
            if each.pipeline == status.pipeline and each.accepted
        }
        unfit: set[str] = set()
        for view in status.stages:
            made = self.dagster.content(outputs[view.stage]) if view.stage in outputs else None
            if made is None or "by hand" in made or last[view.stage].outcome is None:
                unfit.add(view.stage)
                continue
            stage = pipeline.stage(view.stage)
            now = {up: content_key(outputs[up]) for up in stage.after if up in outputs}
            fits = all(made["inputs"][up] == content for up, content in now.items())
            answer = answers.get(view.stage)
            fits = fits and (answer is None or made["answer"] == content_key(answer))
            if not view.outdated:
                assert fits, (view.stage, made, now)
            elif by_id[in_use[view.stage]] is last[view.stage] and not unfit & set(stage.after):
                assert not fits, (view.stage, view.outdated)
            if view.outdated:
                unfit.add(view.stage)

    def what_was_confirmed_ran_on_what_was_looked_at(self, attempts: tuple[Attempt, ...]) -> None:
        asked, field, looked_at = CONFIRMED
        ran = [each for each in attempts if each.stage == asked and ANSWER in each.inputs]
        answers = {
            each.manifest.address: each
            for each in (ProjectHandle(self.people[0], self.touched).answers() if ran else ())
        }
        for attempt in ran:
            answer = answers[attempt.inputs[ANSWER]]
            assert answer.accepted
            assert answer.values[field]["of"] == attempt.inputs[looked_at]
        assert all(ANSWER in each.inputs for each in attempts if each.stage == asked), "it never ran unconfirmed"

    def settings_arrive_where_they_were_said(self, attempts: tuple[Attempt, ...]) -> None:
        for attempt in attempts:
            if attempt.run_id not in self.told:
                assert attempt.run_id.startswith("hand-")
                continue
            if attempt.task_id not in self.layers:
                task = self.records.task(attempt.task_id)
                assert task is not None
                self.layers[attempt.task_id] = task.env_layers[-1]
            told = self.told[attempt.run_id].get(attempt.stage, {})
            assert self.layers[attempt.task_id] == told, (attempt.stage, self.layers[attempt.task_id], told)

    def every_deed_is_on_record_and_no_refusal(self) -> None:
        noted = [(each.who, each.project, each.action) for each in self.people[0].audit.entries()]
        assert noted[::-1] == self.done

    def pipeline(self, status: ProjectStatus) -> Pipeline:
        return self.people[0].pinned(self.records.project(status.project))

    def teardown(self) -> None:
        try:
            for project in self.there():
                self.goes_to_its_end(project)
        finally:
            for person in self.people:
                person.close()
            shutil.rmtree(self.folder)

    def goes_to_its_end(self, project: str) -> None:
        """Wherever it stands, answering what is asked and resuming brings it to its end."""
        handle = ProjectHandle(self.people[0], project)
        for _ in range(40):
            self.go_well_to_the_end(project)
            status = handle.status()
            if not [view.stage for view in status.stages if view.outdated or view.in_use is None]:
                assert status.state in OVER
                self.what_must_hold()
                return
            if status.questions:
                question = status.questions[0]
                self.give(0, project, question.stage, reply(question.form, accept=True), go_on=False)
            else:
                assert self.resume(0, project), (status.state, status.reason)
        raise AssertionError(f"it does not come to its end: {handle.status()}")


def reply(form: tuple[dict[str, Any], ...], *, accept: bool) -> dict[str, Any]:
    """An answer to any question of the pipeline."""
    kinds = {"choice": "north", "confirm": {"accepted": accept, **({} if accept else {"env": {"LEVEL": "9"}})}}
    return {field["name"]: kinds[field["kind"]] for field in form}


def often(sequences: int) -> settings:
    return settings(
        max_examples=sequences,
        stateful_step_count=STEPS,
        deadline=None,
        # Shrinking takes minutes, since each try goes to its end; the blob that is printed repeats the sequence.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


TestSequences = Sequences.TestCase
TestSequences.settings = often(SEQUENCES)
