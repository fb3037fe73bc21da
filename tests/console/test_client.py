"""The Python API over HTTP against the one beside the server: the same script, equal values, the same errors."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate
from installation import Installation, free_port
from project_pipelines import pipelines
from project_server import Server, running

from winslow_dagster.client import WinslowClient
from winslow_dagster.client.problems import error_of
from winslow_dagster.errors import (
    AmountMalformed,
    AnswerRejected,
    FilterInvalid,
    Forbidden,
    InputRejected,
    NotFound,
    NotLoggedIn,
    PipelineInvalid,
    ProjectConflict,
    ServiceUnavailable,
    SettingsInvalid,
    StageFailed,
    StoreError,
    TemplateMalformed,
    TooManyTries,
    WinslowError,
)
from winslow_dagster.pipelines import Problem
from winslow_dagster.projects.domain.actor import Role
from winslow_dagster.projects.domain.audit import AuditQuery
from winslow_dagster.projects.domain.ingest import IngestQuery
from winslow_dagster.projects.domain.project_filter import parse_filter
from winslow_dagster.projects.domain.views import Counters, ProjectQuery
from winslow_dagster.stages.log.search import LogQuery

BROKEN = "name: broken\ncommand: [sh]\nstages: [{name: only, colour: red}]\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("client")) as server:
        (server.place.folder / "pipelines" / "broken.yaml").write_text(BROKEN)
        yield server


def token_of(server: Server, name: str, role: Role) -> str:
    accounts = server.winslow.accounts
    if name not in {each.name for each in accounts.people()}:
        accounts.add(name, role=role)
    return accounts.create_token(name, "tests").key


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[WinslowClient]:
    with WinslowClient(server.place.services.address, token_of(server, "bruno", "admin")) as client:
        yield client


def script(front: Any, name: str) -> list[Any]:
    """What a person does with an installation. Returns what it says, without what differs from run to run."""
    said: list[Any] = []
    created = front.create("quick", name, env={"SCORE": "7"}, tags=["b", "a"], notes="first <b>try</b>")
    said += [created.name, created.tags(), created.notes(), created.status().state]
    run = front.run("quick", name, reason="to see")
    status = run.wait(lambda now: said.append(now.project) if now.project != name else None)
    said += [run.project, status.state, status.reason, status.stage("only").results, run.has_ended()]
    project = front.project(name)
    (file,) = project.files("only")
    with project.open_file(file) as reader:
        said += [file.path, file.size_bytes, file.blake3, reader.read()]
    again = project.redo("only", env={"SCORE": "8"}, reason="more")
    said += [again.wait().stage("only").results, [line.settings for line in project.history()]]
    project.pick("only", 1)
    project.note("done")
    todo = project.add_todo("look")
    project.finish_todo(todo.number)
    said += [project.notes(), project.tag(["c"]), [(each.text, each.done_by is None) for each in project.todos()]]
    said += [[(each.project, each.done, each.text) for each in front.act_on([name], "tag", ["d"])], project.tags()]
    return said


def test_the_same_script_says_the_same(server: Server, client: WinslowClient) -> None:
    beside = script(server.winslow, "beside")
    over_http = script(client, "over_http")
    assert [each.replace("over_http", "beside") if isinstance(each, str) else each for each in over_http[:-2]] == (
        beside[:-2]
    )
    assert over_http[-1] == beside[-1] == ("c", "d")
    assert "8" in str(beside)


def test_views_are_equal(server: Server, client: WinslowClient) -> None:
    winslow = server.winslow
    winslow.run("quick", "views", tags=["seen"]).wait()
    winslow.project("views").redo("only", env={"SCORE": "2"}).wait()
    query = ProjectQuery.model_validate(
        {**parse_filter("tag:seen views").model_dump(), "sort": "changed_at", "descending": True, "limit": 7}
    )
    views: list[Callable[[Any], Any]] = [
        lambda front: front.projects(),
        lambda front: front.find_projects(query),
        lambda front: front.find_projects(ProjectQuery(limit=1, offset=1, group="pipeline")),
        lambda front: front.progress_of(["views", "unknown"]),
        lambda front: front.filter_words(),
        lambda front: front.needs(),
        lambda front: front.status("views"),
        lambda front: front.audit("views"),
        lambda front: front.audit(who="anna", limit=3),
        lambda front: front.find_audit_entries(AuditQuery(action="run", limit=1)),
        lambda front: front.versions(),
        lambda front: front.pipeline_files.files(),
        lambda front: front.pipeline_files.file("steps"),
        lambda front: front.pipeline_files.file("broken"),
        lambda front: front.pipeline_files.source("quick"),
        lambda front: front.pipeline_files.versions("quick"),
        lambda front: front.project("views").status(),
        lambda front: front.project("views").history(),
        lambda front: front.project("views").history("only"),
        lambda front: front.project("views").history_page(limit=1, offset=1),
        lambda front: front.project("views").details("only", 1),
        lambda front: front.project("views").settings("only"),
        lambda front: front.project("views").files(),
        lambda front: front.ingest.folders(),
        lambda front: front.ingest.find(IngestQuery()),
        lambda front: front.project("views").files("only", 1),
        lambda front: front.project("views").questions(),
        lambda front: front.project("views").todos(),
        lambda front: front.project("views").audit(),
    ]
    for number, view in enumerate(views):
        assert view(client) == view(winslow), number
    counters = client.counters()
    assert Counters(**{name: getattr(counters, name) for name in Counters.model_fields}) == winslow.counters()
    assert (client.me().name, client.me().role, client.me().proof) == ("bruno", "admin", "token")


def test_logs_are_equal(server: Server, client: WinslowClient) -> None:
    winslow = server.winslow
    with pytest.raises(StageFailed):
        winslow.run("failing", "logs").wait()
    here, there = winslow.project("logs").log("bad"), client.project("logs").log("bad")
    assert there.window(1, 500) == here.window(1, 500)
    assert there.density() == here.density()
    at = here.reader.lines()
    first = next(iter(at))
    for query in (LogQuery("error"), LogQuery("^ERR", regex=True), LogQuery(level="error"), LogQuery(stream="stdout")):
        found = there.search(query)
        assert found == here.search(query)
        assert found.lines
        assert there.search_back(query, 500) == here.search_back(query, 500)
        assert there.count(query) == here.count(query)
    assert there.search(LogQuery("error"), limit=1).next_line == here.search(LogQuery("error"), limit=1).next_line
    later = LogQuery(since_ns=first.at_ns + 3_600_000_000_000)
    assert there.search(later) == here.search(later)
    assert there.search(later).lines == ()
    assert b"".join(there.text()) == b"".join(here.text())
    with pytest.raises(PipelineInvalid) as malformed:
        there.search(LogQuery("(", regex=True))
    assert malformed.value.problem() == error_from(lambda: here.search(LogQuery("(", regex=True))).problem()


def test_ranges_of_a_file_are_read_from_any_position(server: Server, client: WinslowClient) -> None:
    server.open_gate()
    server.winslow.run("steps", "ranges", stop_after="make").wait()
    here, there = server.winslow.project("ranges"), client.project("ranges")
    files = there.files("make")
    assert files == here.files("make")
    for file in files:
        with here.open_file(file) as mine, there.open_file(file) as theirs:
            assert theirs.read() == mine.read()
    (data,) = (file for file in files if file.path == "data.bin")
    with there.open_file(data) as reader:
        reader.seek(-3, 2)
        assert reader.read() == bytes((253, 254, 255))
        reader.seek(5)
        assert reader.read(2) == bytes((5, 6))


def test_a_file_that_is_no_current_output_is_read_by_its_attempt(server: Server, client: WinslowClient) -> None:
    server.winslow.run("quick", "replaced").wait()
    project = client.project("replaced")
    (old,) = project.files()
    project.redo("only", env={"SCORE": "9"}).wait()
    with project.open_file(old) as reader, pytest.raises(StoreError, match="the file is another one now"):
        reader.read()
    with project.open_file(old, 1) as reader:
        assert reader.read() == b"1\n"


def test_questions_are_answered_and_projects_paused_resumed_and_cancelled(
    server: Server, client: WinslowClient
) -> None:
    assert client.run("asking", "asked").wait().state == "awaiting_input"
    asked = client.project("asked")
    assert asked.questions() == server.winslow.project("asked").questions()
    wrong = {"side": "west", "count": 12}
    assert error_from(lambda: asked.answer("choose", wrong)).problem() == (
        error_from(lambda: server.winslow.project("asked").answer("choose", wrong)).problem()
    )
    run = asked.answer("choose", {"side": "north", "count": 2})
    assert run is not None
    assert run.wait().state == "succeeded"
    question = asked.question("choose")
    assert question == server.winslow.project("asked").question("choose")
    assert question.previous is not None
    assert question.outdated == ("choose",)
    run = asked.answer("choose", {"side": "south"}, replaces=question.previous.version)
    assert run is not None
    assert run.wait().state == "succeeded"

    server.shut_gate()
    # A check of its first stage fails.
    assert client.run("steps", "gated").wait().state == "paused"
    project = client.project("gated")
    resumed = project.resume(reason="the check is wrong")
    project.pause("gate")
    assert project.status().state == "pausing"
    server.open_gate()
    assert resumed.wait().state == "paused"
    assert project.resume(reason="go on").wait().state == "succeeded"

    server.shut_gate()
    redone = project.redo("gate")
    assert not redone.has_ended()
    project.run(redone.run_id).cancel()
    assert redone.ended().state == "cancelled"
    with pytest.raises(StageFailed, match="cancel"):
        redone.wait()
    server.open_gate()


def error_from(act: Callable[[], Any]) -> WinslowError:
    with pytest.raises(WinslowError) as raised:
        act()
    return raised.value


def test_errors_are_the_same(server: Server, client: WinslowClient) -> None:
    server.winslow.create("quick", "taken")
    wrong: list[tuple[type[WinslowError], Callable[[Any], Any]]] = [
        (NotFound, lambda front: front.project("nowhere")),
        (NotFound, lambda front: front.project("taken").files("nothing")),
        (NotFound, lambda front: front.project("taken").settings("only", 3)),
        (NotFound, lambda front: front.project("taken").run("0")),
        (NotFound, lambda front: front.run("nothing", "new")),
        (ProjectConflict, lambda front: front.create("quick", "taken")),
        (ProjectConflict, lambda front: front.project("taken").pause()),
        (PipelineInvalid, lambda front: front.run("broken", "new")),
        (InputRejected, lambda front: front.run("quick", "../new")),
        (InputRejected, lambda front: front.project("taken").tag(["a,b"])),
        (InputRejected, lambda front: front.project("taken").add_todo("")),
    ]
    for kind, act in wrong:
        here, there = error_from(lambda act=act: act(server.winslow)), error_from(lambda act=act: act(client))
        assert type(there) is type(here)
        assert isinstance(there, kind)
        assert vars(there) == vars(here)
        assert (str(there), there.action, there.exit_code) == (str(here), here.action, here.exit_code)


@pytest.mark.parametrize(
    "error",
    [
        AmountMalformed("12 parsecs", expected="a size", suggestion="12 GiB"),
        AnswerRejected((("side", "is missing"), ("count", "is too large"))),
        FilterInvalid("no value", position=3, length=4, expected="a value", remedy="Say one"),
        PipelineInvalid("wrong", problems=(Problem("a.yaml", 1, 2, "what", "this", "that"),), where="a.yaml"),
        TemplateMalformed("open", position=7, where="args", expected="}"),
        TooManyTries(12),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_with_more_to_say_says_it_over_http(error: WinslowError) -> None:
    there = error_of(error.problem())
    assert type(there) is type(error)
    assert vars(there) == vars(error)
    assert (str(there), there.problem()) == (str(error), error.problem())


def test_an_error_and_an_action_of_a_newer_server_are_read() -> None:
    problem = {"error": "Eclipse", "what": "dark", "where": "sky", "expected": "light", "remedy": "Wait"}
    there = error_of({**problem, "action": {"name": "wait_for_light", "arguments": {}}, "title": "x"})
    assert type(there) is WinslowError
    assert str(there) == "sky: dark; expected light. Wait"


def test_a_token_does_what_its_role_may(server: Server) -> None:
    address = server.place.services.address
    server.winslow.create("quick", "roles")
    with WinslowClient(address, token_of(server, "vera", "viewer")) as viewer:
        assert viewer.me().role == "viewer"
        assert viewer.status("roles").state == "idle"
        refused = error_from(lambda: viewer.project("roles").note("mine"))
        assert isinstance(refused, Forbidden)
        assert "vera is a viewer, and this needs the role operator" in str(refused)
    with WinslowClient(address, token_of(server, "otto", "operator")) as operator:
        operator.project("roles").note("mine")
        assert operator.project("roles").audit()[0].who == "otto"


def test_the_token_may_be_in_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    token = token_of(server, "vera", "viewer")
    monkeypatch.setenv("WINSLOW_TOKEN", token)
    with WinslowClient(f"{server.place.services.address}/") as client:
        assert client.me().name == "vera"
        assert token not in repr(client)
    monkeypatch.delenv("WINSLOW_TOKEN")
    with WinslowClient(server.place.services.address) as client, pytest.raises(NotLoggedIn):
        client.me()
    with WinslowClient(server.place.services.address, "wrong") as client, pytest.raises(NotLoggedIn):
        client.projects()


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with WinslowClient(address, "x") as client, pytest.raises(ServiceUnavailable) as away:
        client.projects()
    assert away.value.where == address
    assert "does not answer" in away.value.what


class Other(BaseHTTPRequestHandler):
    """Something else that speaks HTTP."""

    def do_GET(self) -> None:
        ok = self.path == "/api/v1/me"
        self.send_response(200 if ok else 502)
        self.end_headers()
        self.wfile.write(b"<h1>Hello</h1>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_another_server_is_not_mistaken_for_ours() -> None:
    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            with WinslowClient(f"http://127.0.0.1:{other.server_port}", "x") as client:
                with pytest.raises(ServiceUnavailable, match="the answer is 502 Bad Gateway"):
                    client.versions()
                with pytest.raises(ServiceUnavailable, match="the answer cannot be understood"):
                    client.me()
        finally:
            other.shutdown()
            thread.join()


@pytest.mark.parametrize("address", ["winslow.example", "ftp://winslow.example", ""])
def test_what_is_no_address_is_an_error(address: str) -> None:
    with pytest.raises(SettingsInvalid, match="is not an address"):
        WinslowClient(address)


def test_a_certificate_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"none\.pem: the certificate cannot be read"):
        WinslowClient("https://localhost", certificate=tmp_path / "none.pem")
    (tmp_path / "text.pem").write_text("no certificate\n")
    with pytest.raises(SettingsInvalid, match=r"text\.pem: the certificate cannot be read"):
        WinslowClient("https://localhost", certificate=tmp_path / "text.pem")


def test_a_server_with_its_own_certificate_is_believed_by_that_certificate(tmp_path: Path) -> None:
    pem, key = certificate(tmp_path, "localhost")
    other, _ = certificate(tmp_path, "127.0.0.1")
    place = Installation(tmp_path, None, pipelines(tmp_path))
    place.use(WINSLOW_TLS_CERTIFICATE=str(pem), WINSLOW_TLS_KEY=str(key))
    place.up()
    try:
        (proof,) = place.authorization.values()
        address, proof = f"https://localhost:{place.port}", proof.removeprefix("Bearer ")
        with WinslowClient(address, proof, certificate=pem) as client:
            assert client.me().proof == "service"
        for trusted in (other, None):
            with WinslowClient(address, proof, certificate=trusted) as client, pytest.raises(ServiceUnavailable) as no:
                client.me()
            assert "certificate verify failed" in no.value.what
    finally:
        place.down()


def test_the_example_of_the_page_runs(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
    pipeline = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0]
    example = re.findall(r"^<!-- example -->\n```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0]
    (server.place.folder / "pipelines" / "speeding.yaml").write_text(pipeline)
    (tmp_path / "speeds.csv").write_text("1,48\n2,63\n3,71\n")
    server.winslow.pool.add(tmp_path / "speeds.csv", "monday")
    monkeypatch.setenv("WINSLOW_TOKEN", token_of(server, "otto", "operator"))
    here = f'"{server.place.services.address}"'
    exec(example.replace('"https://winslow.example", certificate="winslow.pem"', here), {})
    said = capsys.readouterr().out
    assert "operator" in said
    assert "{'vehicles': '2'}" in said
    assert "2,63" in said
    assert "WINSLOW_RESULT: vehicles=2" in said


FILED = """
name: filed
command: [sh, -c]
stages:
  - name: read
    args: ['cat "$NOTES" > "$WINSLOW_OUTPUT_DIR/notes.txt"; echo "$SIDE" >> "$WINSLOW_OUTPUT_DIR/notes.txt"']
    needs_input:
      form:
        - {kind: file, name: notes, suffixes: [.txt]}
        - {kind: text, name: side}
"""


def test_an_answer_is_given_with_a_file(server: Server, client: WinslowClient, tmp_path: Path) -> None:
    (server.place.folder / "pipelines" / "filed.yaml").write_text(FILED)
    server.winslow.create("filed", "filed-one")
    project = client.project("filed-one")
    notes = tmp_path / "a <b> file.txt"
    notes.write_text("what was seen\n")
    with pytest.raises(InputRejected, match="No such file"):
        project.answer("read", {"side": "north"}, {"notes": tmp_path / "none.txt"})
    with pytest.raises(AnswerRejected, match="notes"):
        project.answer("read", {"side": "north"}, {"notes": Path(__file__)})
    with pytest.raises(AnswerRejected, match="nothing"):
        project.answer("read", {"side": "north"}, {"notes": notes, "nothing": notes})
    run = project.answer("read", {"side": "north"}, {"notes": notes}, resume=True)
    assert run is not None
    assert run.wait().state == "succeeded"
    (file,) = project.files("read")
    with project.open_file(file) as content:
        assert content.read() == b"what was seen\nnorth\n"
    wrong = server.send(
        "/api/v1/projects/filed-one/questions/read/answer", "POST", form={"values": "[1", "resume": "maybe"}
    )
    assert (wrong.status, "values is not JSON" in wrong.data["detail"]) == (422, True)
