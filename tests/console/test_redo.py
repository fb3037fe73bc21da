"""Running stages again over HTTP: parameters, plans, redo and sweeps of real shell stages."""

from __future__ import annotations

import contextlib
import http.client
import urllib.parse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from installation import until
from project_server import Server, running

from winslow_dagster.client import WinslowClient
from winslow_dagster.client.project import ProjectClient
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict

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
    assert found.later == {"count": ("count",), "report": ("count", "report")}
    count, report = found.following
    assert (count.stage, count.attempt, report.stage) == ("count", 1, "report")
    assert [(each.name, each.default, each.last) for each in count.variables] == [
        ("LIMIT", "5", "5"),
        ("PLACE", "ulm", "ulm"),
    ]
    assert {each.name for each in count.settings} == {"args", "image", "cpus", "memory", "timeout", "gpu"}


def test_a_plan_says_what_a_redo_does_and_starts_nothing(server: Server, project: ProjectClient, tuned: str) -> None:
    before = server.winslow.project(tuned).runs()
    plan = project.plan("detect", env={"THRESHOLD": "0.2"})
    assert (plan.stages, plan.kept, plan.outdated) == (("detect", "count", "report"), ("look",), ())
    # Its GPU is optional.
    assert (plan.gpus, plan.optional_gpus) == (0, 1)
    assert plan.estimated_s is not None
    assert plan.text.startswith("3 stages run again, about ")
    assert plan.text.endswith(", one GPU if there is one; look is kept.")
    more = project.plan("detect", settings={"report": {"gpu": 2}})
    assert (more.gpus, more.optional_gpus) == (2, 1)
    assert ", 2 GPUs; look is kept." in more.text
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


def test_a_sweep_is_listed_with_its_runs_and_what_a_pick_would_do(server: Server, client: WinslowClient) -> None:
    server.winslow.run("tuned", "listed").wait()
    project = client.project("listed")
    assert project.sweeps() == ()
    with pytest.raises(NotFound, match="there was no sweep yet"):
        project.sweep_runs()
    for run in project.sweep("detect", {"THRESHOLD": ["0.7", "0.8"]}, settings={"detect": {"env": {"PLACE": "x"}}}):
        run.ended()
    found = project.sweep_runs()
    assert (found.total, found.ended, found.succeeded, found.picked) == (2, 2, 2, None)
    assert found.variables == ("THRESHOLD",)
    assert [(each.values, each.results["score"]) for each in found.runs] == [
        ({"PLACE": "x", "THRESHOLD": "0.7"}, "0.7"),
        ({"PLACE": "x", "THRESHOLD": "0.8"}, "0.8"),
    ]
    assert found.goes_out_of_date == ("count", "report")
    number = found.runs[1].number
    assert number is not None
    project.pick("detect", number)
    picked = project.sweep_runs(found.sweep)
    assert (picked.picked, picked.in_use, picked.goes_out_of_date) == (found.runs[1].task_id, found.runs[1].task_id, ())
    assert [each.picked for each in project.sweeps()] == [found.runs[1].task_id]
    with pytest.raises(NotFound, match="there is no sweep nonsense"):
        project.sweep_runs("nonsense")


def test_the_lineage_says_which_outputs_were_made_from_which(server: Server, client: WinslowClient) -> None:
    server.winslow.run("tuned", "traced").wait()
    server.winslow.project("traced").redo("detect", env={"THRESHOLD": "0.9"}, only=True).wait()
    found = client.project("traced").lineage()
    assert found == server.winslow.project("traced").lineage()
    names = {each.task_id: f"{each.stage} {each.number}" for each in found.outputs}
    made = {names[each.task_id]: [names[source] for source in each.made_from] for each in found.outputs}
    assert made == {
        "look 1": [],
        "detect 1": ["look 1"],
        "count 1": ["detect 1"],
        "report 1": ["count 1"],
        "detect 2": ["look 1"],
    }
    state = {names[each.task_id]: (each.current, each.outdated) for each in found.outputs}
    assert state["detect 1"] == (False, "")
    assert state["detect 2"] == (True, "")
    assert state["count 1"] == (True, "detect has other outputs now")
    assert state["report 1"] == (True, "count is out of date")


def test_a_file_is_replaced_by_the_body_of_a_request(server: Server, client: WinslowClient, tmp_path: Path) -> None:
    server.winslow.run("tuned", "edited").wait()
    project = client.project("edited")
    better = tmp_path / "better.txt"
    better.write_bytes(b"0.5 by hand\n")
    task_id = project.replace("detect", "found.txt", better, reason="the first was a shadow")
    details = project.details("detect")
    assert details is not None
    assert (details.line.task_id, details.line.via) == (task_id, "by hand")
    assert details.line.message.endswith("replaced found.txt with better.txt: the first was a shadow")
    (file,) = project.files("detect")
    with project.open_file(file) as content:
        assert content.read() == b"0.5 by hand\n"
    assert project.status().stage("count").outdated == "detect has other outputs now"
    assert [each.who for each in project.audit() if each.action == "replace"] == ["otto"]
    answer = server.send("/api/v1/projects/edited/files/detect/found.txt?resume=true", "PUT", raw=b"0.6 by hand\n")
    assert answer.status == 200, answer.text
    assert answer.data["goes_out_of_date"] == []
    project.resume().wait()
    server.send("/api/v1/projects/edited/files/detect/found.txt?resume=true", "PUT", raw=b"0.7 by hand\n")
    until(lambda: project.status().state == "succeeded" and not project.status().stage("report").outdated, "it ran")
    (made,) = project.files("report")
    with project.open_file(made) as content:
        assert content.read() == b"0.7 by hand\n"
    assert not list((server.place.settings.home / "incoming").iterdir())


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("found.txtt", 404, "has no output file"),
        ("../../x", 404, ""),
        ("found.txt?name=..", 422, "is not a file name"),
        ("found.txt?name=a/b", 422, "is not a file name"),
    ],
)
def test_what_cannot_be_replaced_is_refused(server: Server, tuned: str, path: str, status: int, says: str) -> None:
    before = server.winslow.project(tuned).history("detect")
    answer = server.send(f"/api/v1/projects/{tuned}/files/detect/{path}", "PUT", raw=b"x")
    assert (answer.status, says in answer.text) == (status, True), answer.text
    assert server.winslow.project(tuned).history("detect") == before


def test_a_file_that_is_too_large_is_refused_before_it_is_read(server: Server, tuned: str) -> None:
    address = urllib.parse.urlsplit(server.place.services.address)
    with contextlib.closing(http.client.HTTPConnection(address.netloc)) as connection:
        connection.putrequest("PUT", f"/api/v1/projects/{tuned}/files/detect/found.txt")
        connection.putheader("Content-Length", str(3 << 30))
        connection.putheader("Authorization", server.place.authorization["Authorization"])
        connection.endheaders(b"only the beginning")
        answer = connection.getresponse()
        assert answer.status == 422
        assert "too large" in answer.read().decode()


def test_the_drawer_is_planned_by_its_fields(server: Server, tuned: str) -> None:
    address = f"/projects/{tuned}/stages/report/redo"
    assert server.winslow.project(tuned).status().stage("detect").attempts == 1
    found = server.send(f"{address}/check", "POST", form={"until": "report", "reason": "again"}).data
    assert (found["plan"]["stages"], found["faults"]) == (["report"], [])
    assert found["command"] == f"winslow redo {tuned} report --only --reason again"
    missing = server.send(f"{address}/check", "POST", form={"use.count": "9"}).data
    assert missing["plan"] is None
    assert "count has no attempt 9" in missing["faults"][0]["message"]
    before = server.winslow.project(tuned).runs()
    refused = server.send(address, "POST", form={"set.cpus": "many", "more_env": "x"})
    assert (refused.status, {each["field"] for each in refused.data["faults"]}) == (422, {"set.cpus", "more_env"})
    assert server.winslow.project(tuned).runs() == before
    page = server.send(address).text
    assert "&lt;b&gt;filmed" in page
    assert "<b>filmed" not in page
    assert SECRET not in page


def test_what_was_answered_is_what_a_stage_has_without_more(server: Server, client: WinslowClient) -> None:
    server.winslow.run("asking", "answered").ended()
    project = client.project("answered")
    run = project.answer("choose", {"side": "north"})
    assert run is not None
    run.ended()
    found = {each.name: each for each in project.parameters("choose").variables}
    assert set(found) == {"SIDE", "COUNT"}
    assert (found["SIDE"].default, found["SIDE"].origin, found["SIDE"].set_by_run) == ("north", "answer", False)
