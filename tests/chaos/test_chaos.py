"""Kill -9 at a random moment, and nothing is lost.

Each round runs a project of nine stages with a branch, kills one of its victims at a random moment, and then asks: did
the project end as it should, did every finished stage run exactly once, is no container and no process left, and is
every byte of every output the one it should be?

`make test` runs one round a victim; `make chaos KILLS=n` as many as asked for. WINSLOW_CHAOS_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from installation import Installation, kill, until
from nine_stages import AFTER, pipeline_yaml

from winslow_dagster import Winslow
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.storage.factory import open_store

SEED = int(os.environ.get("WINSLOW_CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
VICTIMS = ("run worker", "daemon", "code server", "web server", "stage runner", "stage", "everything at once")
KILLS = int(os.environ.get("WINSLOW_CHAOS_KILLS", str(len(VICTIMS))))
UNDISTURBED_S = 12.0
"""About what a run of the nine stages takes; the moment of the kill is drawn from it."""


def expected_text(stage: str, project: str) -> str:
    return f"{stage} of {project}\n" + "".join(expected_text(upstream, project) for upstream in AFTER[stage])


def expected_lines(stage: str) -> str:
    return "".join(f"{stage} line {number}\n" for number in range(2000))


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    image = request.getfixturevalue("test_image") if request.param == "docker" else None
    made = Installation(tmp_path_factory.mktemp("chaos"), image, {"chaos": pipeline_yaml("chaos", image)})
    made.up()
    yield made
    made.down()


def victims_now(installation: Installation, victim: str) -> list[int]:
    return {
        "run worker": installation.run_worker,
        "daemon": lambda: installation.service("daemon"),
        "code server": lambda: installation.service("code-server"),
        "web server": lambda: installation.service("web-server"),
        "stage runner": installation.stage_runner,
        "stage": installation.stage,
        "everything at once": installation.everything,
    }[victim]()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("round_number", range(KILLS))
def test_a_project_survives_a_kill_at_a_random_moment(
    installation: Installation, round_number: int, record_property: Callable[[str, object], None]
) -> None:
    victim = VICTIMS[round_number % len(VICTIMS)]
    chance = random.Random(f"{SEED}/{round_number}")
    project = f"round-{round_number}"
    winslow = Winslow(installation.settings)
    winslow.run("chaos", project=project)
    time.sleep(chance.uniform(0, UNDISTURBED_S))  # the random moment itself
    disturbed = set(map(stage_of, installation.task_ids())) if "stage" in victim or "everything" in victim else set()
    record_property("killed", f"{kill(victims_now(installation, victim))} of {victim}, seed {SEED}")
    if victim == "everything at once":
        assert installation.supervisor is not None
        installation.supervisor.wait()
        installation.up()
    until(installation.services.running, "the services answer again")
    until(lambda: winslow.project(project).status().state in {"succeeded", "failed", "cancelled"}, "the run ends", 200)

    status = winslow.project(project).status()
    assert status.state == "succeeded", [(view.stage, view.state, view.reason) for view in status.stages]
    assert_outputs_are_right(installation, project)
    assert_ran_once(installation, project, disturbed)
    assert_nothing_is_left(installation)


def stage_of(task_id: str) -> str:
    return task_id.split(".")[1]


def assert_outputs_are_right(installation: Installation, project: str) -> None:
    with Winslow(installation.settings) as winslow:
        outputs = winslow.project(project).outputs()
    store = open_store(installation.settings.store_url)
    assert set(outputs) == set(AFTER)
    for stage, manifest in outputs.items():
        found = {file.path: store.read_range(manifest, file, 0, file.size_bytes).decode() for file in manifest.files}
        assert found == {f"{stage}.txt": expected_text(stage, project), "lines.log": expected_lines(stage)}


def assert_ran_once(installation: Installation, project: str, disturbed: set[str]) -> None:
    records = ProjectRecords.open(installation.settings.database_url)
    attempts = records.attempts(project)
    results = {attempt.task_id: records.result(attempt.task_id) for attempt in attempts}
    records.close()
    for stage in AFTER:
        ended = [attempt for attempt in attempts if attempt.stage == stage]
        assert [attempt.outcome for attempt in ended].count("succeeded") == 1
        assert len(ended) == 1 or stage in disturbed, f"{stage} was attempted {len(ended)} times"
        (good,) = [attempt for attempt in ended if attempt.outcome == "succeeded"]
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
