"""Running stages again over HTTP: parameters, plans, redo and sweeps of real shell stages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from installation import until
from project_server import Server, running

from winslow_dagster.client import WinslowClient
from winslow_dagster.client.project import ProjectClient
from winslow_dagster.errors import InputRejected, ProjectConflict

pytestmark = pytest.mark.slow

SECRET = "hunter2-is-no-password"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("redo")) as started:
        started.winslow.secrets.set("KEY", SECRET)
        yield started


@pytest.fixture(scope="module")
def tuned(server: Server) -> str:
    """A project in which every stage has run once, and `detect` with a threshold of its own."""
    server.winslow.run("tuned", "tuned-one", settings={"detect": {"env": {"THRESHOLD": "0.3"}}}).wait()
    return "tuned-one"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[WinslowClient]:
    server.winslow.accounts.add("otto", role="operator")
    key = server.winslow.accounts.create_token("otto", "tests").key
    with WinslowClient(server.place.services.address, key) as opened:
        yield opened


@pytest.fixture
def project(client: WinslowClient, tuned: str) -> ProjectClient:
    return client.project(tuned)


def test_every_parameter_has_its_default_and_what_it_was_and_no_secret_is_shown(
    server: Server, project: ProjectClient, tuned: str
) -> None:
    found = project.parameters("detect")
    variables = {each.name: each for each in found.variables}
    threshold = variables["THRESHOLD"]
    assert (threshold.default, threshold.last, threshold.last_origin) == ("0.4", "0.3", "settings")
    assert (threshold.kind, threshold.description) == ("number", "least score of a vehicle; lower values find more")
    assert variables["DETECTOR"].choices == ("fused", "network", "motion")
    assert variables["MAX_LOST_SECONDS"].unit == "s"
    assert variables["PLACE"].origin == "pipeline"
    key = variables["KEY"]
    assert key.secret
    assert (key.default, key.last) == ("(secret KEY)", None)
    assert SECRET not in server.api(f"{tuned}/stages/detect/parameters").text
    limits = {each.name: each.default for each in found.settings}
    assert limits["gpu"] == "1"
    assert limits["args"].startswith("'echo ")
    assert found == server.winslow.project(tuned).parameters("detect")
    assert found.later == ("count", "report")


def test_a_plan_says_what_a_redo_does_and_starts_nothing(server: Server, project: ProjectClient, tuned: str) -> None:
    before = server.winslow.project(tuned).runs()
    plan = project.plan("detect", env={"THRESHOLD": "0.2"})
    assert (plan.stages, plan.kept, plan.outdated) == (("detect", "count", "report"), ("look",), ())
    assert plan.gpus == 1
    assert plan.estimated_s is not None
    assert plan.text.startswith("3 stages run again, about ")
    assert plan.text.endswith(", one GPU; look is kept.")
    alone = project.plan("detect", only=True)
    assert (alone.stages, alone.outdated) == (("detect",), ("count", "report"))
    assert project.plan("report", use={"detect": 1}).stages == ("report",)
    swept = project.plan("detect", values={"THRESHOLD": ["0.1", "0.2"], "DETECTOR": ["network", "motion"]})
    assert (swept.runs, swept.stages) == (4, ("detect",))
    assert server.winslow.project(tuned).runs() == before


def test_a_plan_raises_what_the_redo_would(project: ProjectClient) -> None:
    with pytest.raises(InputRejected, match="is not an image name"):
        project.plan("detect", settings={"detect": {"image": ".."}})
    with pytest.raises(ProjectConflict, match="settings for look, which will not run"):
        project.plan("detect", settings={"look": {"cpus": 2}})
    with pytest.raises(InputRejected, match="cannot be the limit"):
        project.plan("detect", values={"THRESHOLD": ["1"]}, max_concurrent=9)
    # The value of a secret is stored by a run, not by a plan.
    assert project.plan("detect", env={"KEY": "another"}).stages[0] == "detect"


def test_a_plan_names_the_run_that_is_in_progress(server: Server, client: WinslowClient) -> None:
    server.shut_gate()
    server.winslow.run("steps", "busy").ended()
    run = server.winslow.project("busy").resume()
    plan = client.project("busy").plan("make")
    assert plan.busy.startswith("a run is in progress, started by anna")
    server.open_gate()
    run.ended()
    assert client.project("busy").plan("make").busy == ""


def test_a_sweep_over_http_runs_every_combination_at_most_so_many_at_once(
    server: Server, client: WinslowClient
) -> None:
    server.winslow.run("tuned", "swept").wait()
    project = client.project("swept")
    runs = project.sweep(
        "detect",
        {"THRESHOLD": ["0.1", "0.2"], "DETECTOR": ["network", "motion"]},
        settings={"detect": {"env": {"MAX_LOST_SECONDS": "3"}}},
        max_concurrent=1,
        reason="the best threshold",
    )
    assert len(runs) == 4
    until(lambda: all(run.has_ended() for run in runs), "all combinations have ended")
    assert project.status().state == "awaiting_input"
    records = [each for each in server.winslow.project("swept").runs() if each.sweep]
    assert {each.reason for each in records} == {"the best threshold"}
    used = {each.settings["stages"]["detect"]["env"]["MAX_LOST_SECONDS"] for each in records}
    assert used == {"3"}
    # Dagster had at most one of them under way: they do not overlap.
    times = sorted(
        (each.started_at, each.ended_at)
        for each in server.winslow.project("swept").attempts()
        if each.stage == "detect" and each.run_id in {run.run_id for run in runs}
    )
    assert len(times) == 4
    assert all(ended is not None and ended <= started for (_, ended), (started, _) in pairwise(times))
    project.pick("detect", 2)
    assert project.status().state == "paused"
