"""The pages Machines and Queue, their REST routes and commands, on a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from accessibility import serious
from every_state import person, photograph, under_way
from installation import until
from project_server import Server, running

from winslow_dagster.client import WinslowClient
from winslow_dagster.errors import Forbidden, NotFound, ProjectConflict
from winslow_dagster.projects.domain.actor import Actor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "<b>new</b> disks"
RECORD_TEXTS = """
window.drawn = []
const fillText = CanvasRenderingContext2D.prototype.fillText
CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
    drawn.push(text)
    fillText.call(this, text, ...at)
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("machines")) as server:
        yield server


@pytest.fixture
def node(server: Server) -> Iterator[str]:
    """The name of the machine, which takes stages again after the test."""
    (node,) = server.winslow.machines.list()
    yield node.name
    if server.winslow.machines.list()[0].drain is not None:
        server.winslow.machines.undrain(node.name)


def api(server: Server, path: str, method: str = "GET", body: object = None) -> object:
    answer = server.send(f"/api/v1{path}", method, body, **server.place.authorization)
    assert answer.status < 300, answer.text
    return answer.data if answer.body else None


def waiting(server: Server) -> list[str]:
    return [run.project or "" for run in server.winslow.queue.view().waiting]


def test_the_queue_says_why_runs_wait_and_people_change_its_order(server: Server, node: str) -> None:
    winslow = server.winslow
    winslow.machines.drain(node, HOSTILE)
    runs = {name: winslow.run("quick", name) for name in ("first", "second", "third")}
    until(lambda: waiting(server) == ["first", "second", "third"], "all three wait")
    view = winslow.queue.view()
    assert view.stopped.startswith(f"no machine takes stages: {node} was drained by anna")
    assert all(run.reason == view.stopped for run in view.waiting)

    assert winslow.queue.move_to_front("third") == 1
    api(server, "/queue/first/hold", "POST", {"reason": "wait for Ben"})
    winslow.queue.set_priority("second", -1)
    assert waiting(server) == ["third", "first", "second"]

    found = api(server, "/queue")
    assert isinstance(found, dict)
    held = next(run for run in found["waiting"] if run["project"] == "first")
    assert held["held"]["reason"] == "wait for Ben"
    assert winslow.status("third").reason == "waiting in the queue: every machine is drained"
    page = server.send("/queue", **server.place.authorization).text
    assert "wait for Ben" in page
    assert "Nothing starts" in page
    machines = server.send("/machines", **server.place.authorization).text
    assert "takes no new stage" in machines
    assert HOSTILE not in machines

    winslow.machines.undrain(node)
    for name in ("third", "second"):
        assert runs[name].ended().state == "succeeded"
    until(lambda: waiting(server) == ["first"], "only the held run waits")
    assert winslow.status("first").reason.endswith("wait for Ben; it starts once somebody releases it in the queue")
    (held_run,) = winslow.queue.view().waiting
    assert held_run.reason.startswith("held by ")
    assert held_run.expected is None

    winslow.queue.release("first")
    assert runs["first"].ended().state == "succeeded"
    with pytest.raises(ProjectConflict, match="no run of it waits in the queue"):
        winslow.queue.hold("first")
    actions = [entry.action for entry in winslow.audit()]
    assert [each for each in actions if each.startswith(("queue_", "drain_", "undrain_"))] == [
        "queue_release",
        "undrain_node",
        "queue_priority",
        "queue_hold",
        "queue_front",
        "drain_node",
    ]


def test_only_who_may_act_on_a_project_moves_it_and_only_administrators_drain(server: Server, node: str) -> None:
    winslow = server.winslow
    winslow.machines.drain(node)
    run = winslow.run("quick", "grouped")
    winslow.accounts.add("dora", role="operator")
    winslow.accounts.add("emil", role="operator")
    winslow.accounts.set_groups("emil", ["tracking"])
    winslow.project("grouped").give("dora", group="tracking")
    until(lambda: "grouped" in waiting(server), "it waits")
    stranger = winslow.acting_as(Actor("franz", "console", role="operator"))
    for act in (
        lambda: stranger.queue.move_to_front("grouped"),
        lambda: stranger.queue.set_priority("grouped", 3),
        lambda: stranger.queue.hold("grouped"),
        lambda: stranger.queue.release("grouped"),
    ):
        with pytest.raises(Forbidden, match="group tracking"):
            act()
    for act in (lambda: stranger.machines.drain(node), lambda: stranger.machines.undrain(node)):
        with pytest.raises(Forbidden, match="needs the role admin"):
            act()

    winslow.acting_as(Actor("emil", "console", role="operator")).queue.set_priority("grouped", 3)

    assert winslow.queue.view().waiting[0].priority == 3
    winslow.machines.undrain(node)
    assert run.ended().state == "succeeded"


def test_an_expected_start_comes_from_earlier_durations(server: Server, node: str) -> None:
    winslow = server.winslow
    winslow.run("quick", "known-before").ended()
    winslow.machines.drain(node)
    winslow.run("quick", "expected-one")
    until(lambda: "expected-one" in waiting(server), "it waits")
    assert winslow.queue.view().waiting[0].expected is None  # nothing starts at all
    winslow.queue.hold("expected-one")
    winslow.machines.undrain(node)
    winslow.run("quick", "expected-two").ended()
    winslow.queue.release("expected-one")
    assert winslow.run("quick", "expected-three").ended().state == "succeeded"


def test_the_machine_is_sampled_and_a_stage_too(server: Server) -> None:
    server.shut_gate()
    under_way(server, "measured")
    usage = "/projects/measured/stages/gate/usage"
    until(lambda: len(api(server, usage)["at"]) >= 2, "it is measured while it runs")  # type: ignore[index]
    server.open_gate()
    until(lambda: server.state("measured") == "succeeded", "it has ended")

    found = api(server, usage)
    assert isinstance(found, dict)
    assert len(found["at"]) == len(found["series"]["cpus"]) == len(found["series"]["memory_used_bytes"]) >= 2
    assert max(each or 0 for each in found["series"]["memory_used_bytes"]) > 0
    until(lambda: bool(api(server, "/nodes/history?span=1h")[0]["at"]), "the machine is sampled")  # type: ignore[index]
    (history,) = api(server, "/nodes/history?span=1h&points=100")  # type: ignore[misc]
    assert 0 <= history["series"]["cpu_percent"][-1] <= 100
    assert api(server, "/nodes/gpu-holds") == []


def test_a_program_on_another_machine_does_the_same(server: Server, node: str) -> None:
    server.winslow.accounts.add("programs", role="admin")
    key = server.winslow.accounts.create_token("programs", "tests").key
    with WinslowClient(server.place.services.address, key) as client:
        client.machines.drain(node, "from afar")
        (found,) = client.machines.list()
        assert (found["name"], found["drain"]["reason"]) == (node, "from afar")
        assert client.machines.usage()[0]["name"] == node
        assert client.machines.history("24h", points=50)[0]["node"] == node
        assert client.machines.gpu_holds("7d") == ()
        run = server.winslow.run("quick", "from-afar")
        until(lambda: waiting(server) == ["from-afar"], "it waits")
        assert client.queue.move_to_front("from-afar") == 0
        client.queue.set_priority("from-afar", 4)
        client.queue.hold("from-afar", "not yet")
        (shown,) = client.queue.view().waiting
        assert (shown.priority, shown.held and shown.held.reason) == (4, "not yet")
        client.queue.release("from-afar")
        client.machines.undrain(node)
        assert run.ended().state == "succeeded"
        assert client.project("from-afar").usage("only")["node"] == node
        with pytest.raises(ProjectConflict, match="no run of it waits"):
            client.queue.hold("from-afar")
        with pytest.raises(ProjectConflict, match="the node is not drained"):
            client.machines.undrain(node)
        with pytest.raises(NotFound, match="there is no node 'nowhere'"):
            client.machines.drain("nowhere")


@pytest.mark.chromium
@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_the_pages_show_curves_and_take_orders(server: Server, browser: Browser) -> None:
    with person(browser, server, trusting=True) as context:
        page = context.new_page()
        server.shut_gate()
        under_way(server, "drawn")
        page.goto("/projects/drawn/stages/gate/result")
        page.locator("usage-chart[data-points] canvas").first.wait_for()
        photograph(page, "stage-usage")
        server.open_gate()
        page.goto("/machines")
        page.locator("usage-chart[data-points] canvas").first.wait_for()
        photograph(page, "machines")
        page.get_by_text("Drain…").click()
        page.get_by_label("Reason").fill("new disks")
        photograph(page, "machines-draining")
        with page.expect_navigation():
            page.get_by_role("button", name="Drain ").click()
        page.get_by_text("takes no new stage. What runs there goes on.").wait_for()
        server.winslow.run("quick", "shown-one")
        server.winslow.run("quick", "shown-two")
        page.goto("/queue")
        page.locator(".waiting-run").nth(1).wait_for()
        assert serious(page) == []
        photograph(page, "queue-waiting")
        page.locator(".waiting-run").nth(1).get_by_role("button", name="To the front").click()
        page.locator(".waiting-run").first.get_by_role("link", name="shown-two").wait_for()
        page.locator(".waiting-run").first.get_by_text("Hold…").click()
        assert serious(page) == []
        photograph(page, "queue-holding")
        page.locator(".waiting-run").first.get_by_role("button", name="Hold shown-two").click()
        page.locator(".waiting-run").first.get_by_text("Held by").wait_for()
        page.locator(".waiting-run").first.get_by_role("button", name="Release").click()
        page.goto("/machines")
        with page.expect_navigation():
            page.get_by_role("button", name="Take stages again").click()
        page.get_by_text("takes stages again.").wait_for()
        page.goto("/projects/drawn/stages/gate/result")
        page.get_by_text("What it used of its machine").click()
        page.locator("usage-chart[data-points] canvas").first.wait_for()


@pytest.mark.chromium
@pytest.mark.slow
@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("span", ["1h", "7d"])
def test_times_beside_the_curves_say_the_hour_however_short_the_curves_are(
    server: Server, browser: Browser, span: str
) -> None:
    with person(browser, server, trusting=True) as context:
        page = context.new_page()
        page.add_init_script(RECORD_TEXTS)
        page.goto(f"/machines?span={span}")
        page.locator("usage-chart[data-points] canvas").first.wait_for()
        page.wait_for_function("drawn.length > 0")
        times = [text for text in page.evaluate("drawn") if re.search(r":|^[A-Z][a-z]{2}", text)]
        photograph(page, f"machines-{span}")
    assert times
    assert [text for text in times if not re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?\s[AP]M", text)] == []


def test_the_commands_print_what_the_pages_show(
    server: Server, node: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from winslow_dagster.cli.main import main

    for name, value in server.place.environment.items():
        if name.startswith("WINSLOW_"):
            monkeypatch.setenv(name, value)

    def winslow(*arguments: str) -> dict[str, object]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"])
        assert ended.value.code == 0
        answer: dict[str, object] = json.loads(capsys.readouterr().out)
        return answer

    assert winslow("nodes", "drain", node, "--reason", "disks") == {"node": node, "drained": True}
    (listed,) = winslow("nodes", "list")["nodes"]  # type: ignore[misc]
    assert listed["drain"]["reason"] == "disks"
    run = server.winslow.run("quick", "by-command")
    until(lambda: "by-command" in waiting(server), "it waits")
    assert winslow("queue", "front", "by-command") == {"project": "by-command", "priority": 0}
    assert winslow("queue", "priority", "by-command", "7") == {"project": "by-command", "priority": 7}
    assert winslow("queue", "hold", "by-command") == {"project": "by-command", "held": True}
    (shown,) = winslow("queue", "list")["waiting"]  # type: ignore[misc]
    assert (shown["priority"], shown["held"]["reason"]) == (7, "")
    for group in ("queue", "nodes"):
        with pytest.raises(SystemExit, match="0"):
            main([group, "list"])
    printed = capsys.readouterr().out
    assert "held by" in printed
    assert "drained by" in printed
    assert winslow("queue", "release", "by-command") == {"project": "by-command", "held": False}
    assert winslow("nodes", "resume", node) == {"node": node, "drained": False}
    assert run.ended().state == "succeeded"
