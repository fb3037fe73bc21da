"""Kill -9 or kill -STOP at random moments, and nothing is lost.

A round strikes processes of several kinds while projects of nine stages with a branch run, and then asks: did each
project end as it should, did every stage run exactly once unless it was killed itself, is no container and no process
left, and is every byte of every output the one it should be? The summary counts what was hit.

`make test-all` strikes each kind once in each of two installations; `make chaos KILLS=n` strikes n times, in four.
WINSLOW_CHAOS_SEED repeats the choices of a run.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import pytest
from installation import Installation, until
from nine_stages import AFTER, pipeline_yaml
from strikes import ALL, FEW, Strike
from tally import Record

from winslow_dagster import Winslow
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.storage.factory import open_store

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("WINSLOW_CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
KILLS = int(os.environ.get("WINSLOW_CHAOS_KILLS", "0"))
"""Strikes in all; 0: the few of `make test-all`."""
STRIKES_A_ROUND = 7
INSTALLATIONS = ("docker on production", "process on embedded", "docker on embedded", "process on production")
TRIED = INSTALLATIONS if KILLS else INSTALLATIONS[:2]
ROUNDS = ceil((KILLS / len(TRIED) or len(FEW)) / STRIKES_A_ROUND)
MARKS = {
    "docker on production": [pytest.mark.docker, pytest.mark.postgres, pytest.mark.s3],
    "docker on embedded": [pytest.mark.docker],
    "process on production": [pytest.mark.postgres, pytest.mark.s3],
}
LONGEST_PAUSE_S = 3.0


def expected_text(stage: str, project: str) -> str:
    return f"{stage} of {project}\n" + "".join(expected_text(upstream, project) for upstream in AFTER[stage])


def expected_lines(stage: str) -> str:
    return "".join(f"{stage} line {number}\n" for number in range(2000))


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=MARKS.get(name, [])) for name in TRIED],
)
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    mode, _, backend = request.param.partition(" on ")
    image = request.getfixturevalue("test_image") if mode == "docker" else None
    folder, pipelines = tmp_path_factory.mktemp("chaos"), {"chaos": pipeline_yaml("chaos", image)}
    if backend == "production":
        endpoint, store_url = request.getfixturevalue("s3_server").endpoint, request.getfixturevalue("s3_store_url")
        database = request.getfixturevalue("postgres_server").new_database(folder.name)
        made = Installation(folder, image, pipelines, database_url=database)
        made.use(WINSLOW_STORE_URL=f"{store_url}/{folder.name}", WINSLOW_S3_ENDPOINT=endpoint)
    else:
        made = Installation(folder, image, pipelines)
    made.up()
    yield made
    made.down()


@dataclass
class Round:
    """Projects, one after the other, for the strikes to hit. `ended` are the tasks whose attempts strikes may end."""

    installation: Installation
    name: str
    winslow: Winslow
    record: Record
    projects: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)

    def run_a_project(self) -> None:
        until(self.installation.services.running, "the services answer again")
        self.projects.append(f"{self.name}-{len(self.projects)}")
        self.winslow.run("chaos", project=self.projects[-1])

    def is_over(self) -> bool:
        try:
            state = self.winslow.status(self.projects[-1]).state
        except ServiceUnavailable:
            return False
        return state in {"succeeded", "failed", "cancelled"}

    def strike(self, strike: Strike, chance: random.Random) -> None:
        """Strike until something is hit."""
        while True:
            if self.is_over():
                self.run_a_project()
            time.sleep(chance.uniform(0, LONGEST_PAUSE_S))  # the random moment itself
            hit = strike.at(self.installation)
            supervisor = self.installation.supervisor
            assert supervisor is not None
            if strike.action == "kill" and "services' supervisor" in hit:
                supervisor.wait()
                self.installation.up()
            if hit:
                break
        for kind, processes in hit.items():
            self.record("tally", (f"chaos: hit by {strike.action}", kind, len(processes)))
            if strike.action == "kill":
                self.ended |= {task_id for task_id in processes.values() if task_id is not None}


def dealt(deck: list[Strike], chance: random.Random, number: int) -> list[Strike]:
    """The strikes of a round: the deck is dealt to the end before it is shuffled again, so that no kind is left out."""
    strikes: list[Strike] = []
    while len(strikes) < (number + 1) * STRIKES_A_ROUND:
        strikes += chance.sample(deck, len(deck))
    return strikes[number * STRIKES_A_ROUND :][:STRIKES_A_ROUND]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_projects_survive_strikes_at_random_moments(
    installation: Installation, number: int, record_property: Record
) -> None:
    seed = f"{SEED}/{installation.folder.name}"
    chance = random.Random(f"{seed}/{number}")
    deck = [strike for strike in (ALL if KILLS else FEW) if strike.applies_to(installation)]
    strikes = dealt(deck, random.Random(seed), number) if KILLS else deck[number::ROUNDS]
    print(f"WINSLOW_CHAOS_SEED={SEED}: {strikes}")  # noqa: T201  # pytest shows it if the test fails
    with Winslow(installation.settings) as winslow:
        this = Round(installation, f"round-{number}", winslow, record_property)
        this.run_a_project()
        for strike in strikes:
            this.strike(strike, chance)
        until(this.is_over, "the last run ends")
        for project in this.projects:
            status = winslow.project(project).status()
            assert status.state == "succeeded", [(view.stage, view.state, view.reason) for view in status.stages]
            assert_outputs_are_right(installation, project)
            assert_ran_once(installation, project, this)
    assert_nothing_is_left(installation)


def assert_outputs_are_right(installation: Installation, project: str) -> None:
    with Winslow(installation.settings) as winslow:
        outputs = winslow.project(project).outputs()
    store = open_store(installation.settings.store_url, installation.settings.s3_endpoint)
    assert set(outputs) == set(AFTER)
    for stage, manifest in outputs.items():
        found = {file.path: store.read_range(manifest, file, 0, file.size_bytes).decode() for file in manifest.files}
        assert found == {f"{stage}.txt": expected_text(stage, project), "lines.log": expected_lines(stage)}


def assert_ran_once(installation: Installation, project: str, this: Round) -> None:
    records = ProjectRecords.open(installation.settings.database_url)
    attempts = records.attempts(project)
    results = {attempt.task_id: records.result(attempt.task_id) for attempt in attempts}
    records.close()
    needed = sum(attempt.task_id not in this.ended for attempt in attempts)
    this.record("tally", ("chaos: attempts", "in all", len(attempts)))
    this.record("tally", ("chaos: attempts", "ended by a strike", len(attempts) - needed))
    for stage in AFTER:
        tried = [attempt for attempt in attempts if attempt.stage == stage]
        (good,) = [attempt for attempt in tried if attempt.outcome == "succeeded"]
        others = {attempt.task_id for attempt in tried if attempt is not good}
        assert others <= this.ended, f"attempts of {stage} that no strike ended failed: {tried}"
        result = results[good.task_id]
        assert result is not None
        # `started`, a warning to the log rules, is printed once an execution: a second one would show in the count.
        assert result.log.warning_count == 1, f"{stage} was executed {result.log.warning_count} times"


def assert_nothing_is_left(installation: Installation) -> None:
    until(lambda: installation.stage_runner() == [] and installation.stage() == [], "runners and stages are gone")
    until(lambda: installation.run_worker() == [], "the run worker is gone")
    if installation.image:
        containers = subprocess.run(
            ["docker", "ps", "-aq", "--filter", f"label=winslow.home={installation.settings.node.tasks_dir}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert containers == []


def test_after_all_of_it_no_process_is_left(installation: Installation) -> None:
    installation.down()
    until(lambda: installation.processes() == [], f"no process is left of {Path(installation.folder).name}")
