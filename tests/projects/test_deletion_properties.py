"""Whatever people run, reuse, delete, restore and remove, in whatever order: nothing of a live project is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from house import built
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.installation import Installation
from winslow_dagster.projects.retention.purge import Purge
from winslow_dagster.services import Services

NAMES = ("ulm-07", "ulm-08", "bonn")
PROJECTS = st.sampled_from(NAMES)


class Projects(RuleBasedStateMachine):
    """Three projects that share outputs and a file of the pool."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._building = built(folder, f"sqlite:///{folder / 'test.db'}")
        self.house = next(self._building)
        self.front = Installation(
            self.house.settings,
            Services(self.house.settings),
            Actor("anna"),
            records=self.house.records,
            store=self.house.store,
        )
        self.purge = Purge(self.house.records, self.house.cleanup, lambda _project: None)
        film = folder / "film.mp4"
        film.write_bytes(b"film")
        self.film = self.front.pool.add(film, name="film").manifest
        for name in NAMES:
            self.create(name)
        self.runs = 0

    def create(self, name: str) -> None:
        records = self.house.records
        if name not in records.names():
            records.create_project(
                name, pipeline="traffic", pipeline_digest=self.house.digest, env={}, created_by="anna"
            )
        records.add_input(name, "film", self.film, original_path="pool:film", added_by="anna")

    def live(self) -> list[str]:
        return [each.name for each in self.house.records.projects()]

    def deleted(self) -> list[str]:
        return [each.project for each in Deletions(self.house.records.database).all()]

    @rule(project=PROJECTS, succeeds=st.booleans())
    def run(self, project: str, *, succeeds: bool) -> None:
        if project in self.live():
            self.runs += 1
            self.house.run(self.runs, succeeds=succeeds, project=project)

    @rule(project=PROJECTS, of=PROJECTS)
    def reuse(self, project: str, of: str) -> None:
        if {project, of} <= set(self.live()):
            usable = [each for each in self.house.records.attempts(of) if each.usable and each.outcome == "succeeded"]
            if usable:
                self.runs += 1
                self.house.reuse(self.runs, usable[-1].task_id, project)

    @rule(project=PROJECTS)
    def delete(self, project: str) -> None:
        if project in self.live():
            self.front.project(project).delete()

    @rule(project=PROJECTS)
    def restore(self, project: str) -> None:
        deletion = Deletions(self.house.records.database)
        if project in self.deleted() and deletion.of(project).purged_at is None:  # type: ignore[union-attr]
            self.front.project(project).restore()

    @rule(project=PROJECTS)
    def remove_for_good(self, project: str) -> None:
        if project in self.deleted() and self.purge.begin(project):
            self.purge.carry_out(project)

    @rule()
    def prune(self) -> None:
        self.house.cleanup.carry_out(self.house.cleanup.plan())

    @precondition(lambda self: len(self.house.records.names()) < len(NAMES))
    @rule()
    def create_again(self) -> None:
        for name in set(NAMES) - self.house.records.names():
            self.create(name)

    @invariant()
    def everything_that_is_there_can_be_read(self) -> None:
        for project in self.live():
            assert self.house.readable(project)
            film = self.house.records.project(project).inputs["film"]
            assert self.house.store.read_range(film, film.files[0], 0, 4) == b"film"

    def teardown(self) -> None:
        # Whatever was left over by then goes once nobody uses it.
        for project in self.live():
            self.front.project(project).delete()
        for project in self.deleted():
            assert self.purge.begin(project)
        for _ in NAMES:
            for project in self.deleted():
                self.purge.carry_out(project)
        assert self.house.records.names() == frozenset()
        assert self.house.trees() == [self.film.address]
        next(self._building, None)
        self._folder.cleanup()


TestProjects = Projects.TestCase
TestProjects.settings = settings(max_examples=8, stateful_step_count=16, deadline=None)
TestProjects.pytestmark = [pytest.mark.slow]
