"""The page of a project and its REST routes, on real services with real stages."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from installation import until
from project_server import Server, running

from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.domain.run_request import RunRequest
from winslow_dagster.projects.planning.stage_tasks import StageInRun, stage_task
from winslow_dagster.stages.task.model import LogSummary, StageResult

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>.txt"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("project")) as started:
        yield started


@pytest.fixture(scope="module")
def made(server: Server) -> str:
    """A project whose first stage has run, and stopped it by a check."""
    run = server.winslow.run("steps", "made", reason="a <u>look</u>", tags=["ulm"])
    assert run.wait().state == "paused"
    return "made"


@pytest.fixture(scope="module")
def broken(server: Server) -> str:
    """A project whose second stage has failed."""
    assert server.winslow.run("failing", "broken").ended().state == "failed"
    return "broken"


def file_of(project: str, path: str, query: str = "") -> str:
    return f"{project}/files/make/{urllib.parse.quote(path)}{query}"


# files


def test_a_file_is_served_whole_and_in_ranges(server: Server, made: str) -> None:
    whole = server.api(file_of(made, "data.bin"))
    assert (whole.status, whole.body) == (200, bytes(range(256)) * 4096)
    assert whole.headers["Accept-Ranges"] == "bytes"
    size = len(whole.body)
    for asked, begin, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        (f"bytes={size - 3}-", size - 3, size),
        ("bytes=-5", size - 5, size),
        (f"bytes=-{size * 2}", 0, size),
        (f"bytes=100000-{size * 2}", 100_000, size),
    ):
        part = server.api(file_of(made, "data.bin"), Range=asked)
        assert (part.status, part.body) == (206, whole.body[begin:end]), asked
        assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{size}"
        assert part.headers["Content-Length"] == str(end - begin)


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,4-5", "bytes=x-", "lines=1-2", "bytes=-", ""])
def test_what_is_no_single_range_gets_the_whole_file(server: Server, made: str, asked: str) -> None:
    answer = server.api(file_of(made, "data.bin"), Range=asked)
    assert (answer.status, len(answer.body)) == (200, 256 * 4096)


def test_a_range_behind_the_end_is_refused(server: Server, made: str) -> None:
    answer = server.api(file_of(made, "picture.png"), Range="bytes=1000000-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */70")


def test_a_browser_that_has_the_file_is_told_so_and_one_with_another_gets_all_of_it(server: Server, made: str) -> None:
    tag = server.api(file_of(made, "data.bin")).headers["ETag"]
    assert server.api(file_of(made, "data.bin"), If_None_Match=tag).status == 304
    changed = server.api(file_of(made, "data.bin"), Range="bytes=0-9", If_Range='"another"')
    assert (changed.status, len(changed.body)) == (200, 256 * 4096)
    same = server.api(file_of(made, "data.bin"), Range="bytes=0-9", If_Range=tag)
    assert (same.status, len(same.body)) == (206, 10)


def test_the_head_of_a_file_has_its_size_and_no_content(server: Server, made: str) -> None:
    answer = server.api(file_of(made, "data.bin"), "HEAD")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", str(256 * 4096))


@pytest.mark.parametrize(
    ("path", "media_type", "shown"),
    [
        ("picture.png", "image/png", "inline"),
        ("deep/er/drawing.svg", "image/svg+xml", "inline"),
        ("report.html", "text/html; charset=utf-8", "inline"),
        ("tracks.csv", "text/plain; charset=utf-8", "inline"),
        (HOSTILE, "text/plain; charset=utf-8", "inline"),
        ("data.bin", "application/octet-stream", "attachment"),
    ],
)
def test_a_file_has_the_type_of_its_name_and_a_policy_that_keeps_it_alone(
    server: Server, made: str, path: str, media_type: str, shown: str
) -> None:
    answer = server.api(file_of(made, path))
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policies = answer.headers.get_all("Content-Security-Policy")
    assert any(policy.startswith("sandbox") and "default-src 'none'" in policy for policy in policies)
    assert not any("allow-same-origin" in policy or "connect-src" in policy for policy in policies)
    assert ("allow-scripts" in policies[0]) == path.endswith(".html")
    assert answer.headers["Content-Disposition"].startswith(f'{shown}; filename="')
    saved = server.api(file_of(made, path, "?download=1"))
    assert saved.headers["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    "path",
    ["none.txt", "../make.py", "..%2f..%2fmake.py", "%2e%2e/make.py", "picture.png/", "deep", "picture.png%00", "%ff"],
)
def test_only_files_of_the_outputs_are_served(server: Server, made: str, path: str) -> None:
    answer = server.api(f"{made}/files/make/{path}")
    assert answer.status == 404
    assert answer.data["error"] == "NotFound"


def test_files_of_an_earlier_attempt_stay_reachable(server: Server, made: str) -> None:
    answer = server.api(file_of(made, "picture.png", "?attempt=1"))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
    assert server.api(file_of(made, "picture.png", "?attempt=7")).status == 404


# pages

TABS = ("result", "log", "settings", "files", "attempts", "checks")


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_has_an_address_and_escapes_what_stages_wrote(server: Server, made: str, tab: str) -> None:
    server.winslow.project(made).note("<script>alert('a note')</script>")
    server.winslow.project(made).add_todo('"><svg onload=alert(2)>')
    answer = server.send(f"/projects/{made}/stages/make/{tab}")
    assert answer.status == 200
    assert f'id="tab-{tab}"' in answer.text
    for hostile in ("<script>alert", "<svg onload", "<img src=x", "<em>every", "<i>speed", "<u>look"):
        assert hostile not in answer.text, hostile
    assert "&lt;script&gt;alert(&#39;a note&#39;)" in answer.text


def test_a_page_without_a_stage_shows_the_one_that_failed_with_its_first_error(server: Server, broken: str) -> None:
    text = server.send(f"/projects/{broken}").text
    assert '<h2 id="panel-title">bad</h2>' in text
    assert "ERROR &lt;script&gt;document.title=1&lt;/script&gt; no such camera" in text
    assert f"/projects/{broken}/stages/bad/log?line=" in text
    assert "ERROR <script>" not in text


def has_column(page: str, name: str) -> bool:
    """Whether a table of the page has this column, by which it can be sorted."""
    return re.search(rf'<th scope="col"[^>]*>\s*<a [^>]*>\s*{name}\b', page) is not None


@pytest.mark.parametrize(
    "path",
    [
        "/projects/none",
        "/projects/%3Cscript%3E",
        "/projects/made/stages/none",
        "/projects/made/stages/make/none",
        "/projects/made/stages/make/result?attempt=99",
        "/projects/made/stages/make/result?attempt=%3Cb%3E",
        "/projects/made/stages/make/result?pipeline=none",
        "/projects/made/questions/make",
    ],
)
def test_what_does_not_exist_is_a_page_that_says_so(server: Server, made: str, path: str) -> None:
    answer = server.send(path.replace("/made", f"/{made}"))
    assert answer.status in {404, 409, 422}
    assert '<section class="problem">' in answer.text
    assert "<b>" not in answer.text
    assert "<script>" not in answer.text


def test_settings_say_where_each_variable_comes_from(server: Server, made: str) -> None:
    settings = server.api(f"{made}/stages/make").data["settings"]
    found = {each["name"]: each for each in settings["variables"]}
    assert (found["LABEL"]["value"], found["LABEL"]["template"]) == ("ulm-2", "${PLACE}-${LEVEL}")
    assert (found["LEVEL"]["origin"], found["LEVEL"]["overrides"]) == ("stage", [["pipeline", "1"]])
    assert found["PLACE"]["origin"] == "pipeline"
    # A stage that has not run would run with these.
    waiting = server.api(f"{made}/stages/gate").data
    assert (waiting["attempt"], waiting["settings"]["task_id"]) == (None, None)
    assert {each["name"] for each in waiting["settings"]["variables"]} == {"GATE", "LEVEL", "PLACE"}


def test_a_secret_is_masked_wherever_settings_are_shown(server: Server) -> None:
    server.winslow.secrets.set("TOKEN", "the-hidden-value")
    server.winslow.run("quick", "secretive", env={"TOKEN": {"secret": "TOKEN"}}).wait()
    data = server.api("secretive/stages/only")
    token = next(each for each in data.data["settings"]["variables"] if each["name"] == "TOKEN")
    assert (token["secret"], token["value"], token["template"]) == (True, "", "(secret TOKEN)")
    page = server.send("/projects/secretive/stages/only/settings")
    assert "(secret TOKEN)" in page.text
    assert "the-hidden-value" not in page.text + data.text


def test_checks_are_shown_with_what_they_found(server: Server, made: str) -> None:
    text = server.send(f"/projects/{made}/stages/make/checks").text
    assert "vehicles is 42, above 40" in text
    assert 'data-passed="true"' in text
    assert 'data-passed="false"' in text


def test_a_csv_file_is_a_table_of_its_first_rows(server: Server, made: str) -> None:
    text = server.send(f"/projects/{made}/stages/make/files?file=tracks.csv").text
    assert "<th>speed &lt;b&gt;</th>" in text
    assert "<td>199</td>" in text
    assert "<td>200</td>" not in text
    assert "These are the first 200 rows" in text


def test_part_of_a_page_is_answered_without_the_frame(server: Server, made: str) -> None:
    part = server.send(f"/projects/{made}/stages/make/result?part=1").text
    assert 'id="project"' in part
    assert "<html" not in part


# acts


def test_notes_todos_and_tags_over_rest(server: Server) -> None:
    server.winslow.create("quick", "noted")
    assert server.api("noted/notes", "PUT", {"notes": "one\ntwo"}).data == {"notes": "one\ntwo"}
    assert server.api("noted/notes").data == {"notes": "one\ntwo"}
    todo = server.api("noted/todos", "POST", {"text": "look"})
    assert todo.status == 201
    assert server.api(f"noted/todos/{todo.data['number']}", "PATCH", {"done": True}).status == 204
    assert server.api("noted/todos").data[0]["done_by"]
    assert server.api("noted/tags", "PUT", {"tags": ["b", "a", "a"]}).data == {"tags": ["a", "b"]}
    actions = {entry["action"] for entry in server.api("noted/audit").data}
    assert actions >= {"note", "todo", "tag", "create"}
    assert {entry["via"] for entry in server.api("noted/audit").data} >= {"console"}


def test_buttons_answer_with_a_message_and_errors_with_theirs(server: Server) -> None:
    server.winslow.create("quick", "pressed")
    added = server.send("/projects/pressed/tags/add", "POST", form={"tag": " new "})
    assert (added.status, json.loads(added.headers["HX-Trigger"])["winslow:message"]["tone"]) == (204, "good")
    assert server.winslow.project("pressed").tags() == ("new",)
    server.send("/projects/pressed/tags/remove", "POST", form={"tag": "new"})
    assert server.winslow.project("pressed").tags() == ()
    refused = server.send("/projects/pressed/pause", "POST", form={})
    message = json.loads(refused.headers["HX-Trigger"])["winslow:message"]
    assert (refused.status, message["tone"]) == (409, "bad")
    assert "there is no run to pause" in message["text"]


def test_an_answer_over_rest_lets_the_project_continue(server: Server) -> None:
    server.winslow.run("asking", "asked").wait()
    (question,) = server.api("asked/questions").data
    assert question["message"] == "Which <b>side</b>?"
    wrong = server.api("asked/answer", "POST", {"stage": "choose", "values": {"side": "up"}})
    assert (wrong.status, wrong.data["error"]) == (422, "AnswerRejected")
    right = server.api("asked/answer", "POST", {"stage": "choose", "values": {"side": "north", "count": 4}})
    assert right.data["run_id"]
    until(lambda: server.state("asked") == "succeeded", "the answered project is done")
    (file,) = server.api("asked/files").data
    assert server.api("asked/files/choose/side.txt").text == "north 4\n"
    assert file["path"] == "side.txt"


def test_a_redo_over_rest_takes_the_settings_of_python_and_refuses_unknown_ones(server: Server) -> None:
    server.winslow.run("quick", "again").wait()
    refused = server.api("again/redo", "POST", {"stage": "only", "colour": "red"})
    assert (refused.status, "colour" in refused.text) == (422, True)
    outside = server.api("again/redo", "POST", {"stage": "only", "inputs": {"video": "/etc/passwd"}})
    assert outside.status == 422
    run = server.api("again/redo", "POST", {"stage": "only", "env": {"SCORE": "7"}, "reason": "higher"})
    assert run.status == 200
    until(lambda: server.state("again") == "succeeded", "the redo is done")
    page = server.api("again/stages/only/attempts?limit=1").data
    assert (page["total"], page["lines"][0]["number"]) == (2, 2)
    assert page["lines"][0]["settings"] == {"env": {"SCORE": "7"}}
    table = server.send("/projects/again/stages/only/attempts").text
    assert "<code>env.SCORE=7</code>" in table
    assert "higher" in table
    assert has_column(table, "score")
    assert "winslow compare again only" in table
    first = server.send("/projects/again/stages/only/result?attempt=1").text
    assert "(not the latest)" in first


def test_an_earlier_attempt_is_picked_and_pinned(server: Server) -> None:
    server.winslow.run("quick", "picked").wait()
    server.winslow.project("picked").redo("only", env={"SCORE": "2"}).wait()
    assert server.api("picked/files/only/score.txt").text == "2\n"
    assert server.api("picked/pick", "POST", {"stage": "only", "attempt": 1}).status == 204
    assert server.api("picked/files/only/score.txt").text == "1\n"
    assert server.send("/projects/picked/pin", "POST", form={"stage": "only", "attempt": "2"}).status == 204
    assert len(server.api("picked/pins").data) == 1
    assert 'title="">pinned' in server.send("/projects/picked/stages/only/attempts").text
    assert server.api("picked/unpin", "POST", {"stage": "only", "attempt": 2}).status == 204
    assert server.api("picked/pins").data == []


def test_many_attempts_are_shown_page_by_page_with_the_columns_that_are_chosen(server: Server) -> None:
    server.winslow.create("quick", "long")
    with contextlib.closing(ProjectRecords.open(server.place.settings.database_url)) as records:
        for number in range(120):
            record_attempt(server, records, number)
    first = server.send("/projects/long/stages/only/attempts").text
    assert first.count("<tr data-row") == 50
    assert "Page 1 of 3, 120 attempts" in first
    assert has_column(first, "four")
    assert not has_column(first, "five")
    last = server.send("/projects/long/stages/only/attempts?page=3&column=five").text
    assert last.count("<tr data-row") == 20
    assert has_column(last, "five")
    assert not has_column(last, "four")
    for page in ("0", "-1", "x", "9999999999", "%00"):
        assert server.send(f"/projects/long/stages/only/attempts?page={page}").status == 200
    assert server.send("/projects/long/stages/only/attempts?page=4").text.count("<tr data-row") == 0
    assert "Page 3 of 3" in server.send("/projects/long/history?page=3").text
    assert len(server.api("long/history?limit=7&offset=115").data["lines"]) == 5


def record_attempt(server: Server, records: ProjectRecords, number: int) -> None:
    """Record that the only stage of the project `long` has run."""
    project, at = records.project("long"), datetime.now(UTC)
    run = RunRecord(f"run{number}", "long", "quick", project.pipeline_digest, at, "anna")
    records.record_run(run)
    pipeline = server.winslow.project("long").pipeline()
    part = StageInRun(
        pipeline=pipeline,
        digest=project.pipeline_digest,
        stage=pipeline.stages[0],
        project=project,
        request=RunRequest(project="long"),
        run_id=run.run_id,
        attempt=1,
    )
    task = stage_task(server.place.settings, part, {})
    records.attempt_started(task)
    results = dict.fromkeys(("one", "two", "three", "four", "five"), str(number))
    records.attempt_ended(
        task.task_id,
        StageResult(
            task_id=task.task_id,
            outcome="succeeded",
            message="",
            started_at=at,
            ended_at=at,
            node="here",
            log=LogSummary(results=results),
        ),
    )
    records.record_run_end(run.run_id, "succeeded", "", at)


def test_a_pipeline_that_the_project_ran_before_is_shown_beside_its_own(server: Server) -> None:
    server.winslow.run("quick", "two").wait()
    server.winslow.run("asking", "two").wait()
    text = server.send("/projects/two").text
    assert "the project&#39;s pipeline" in text or "the project's pipeline" in text
    assert "/projects/two/stages/only/result?pipeline=quick" in text
    other = server.send("/projects/two/stages/only/result?pipeline=quick")
    assert (other.status, "of quick" in other.text) == (200, True)


@pytest.mark.parametrize(
    "path", ["", "/stages/make", "/attempts", "/history", "/audit", "/files", "/notes", "/todos", "/tags"]
)
def test_every_view_has_a_route(server: Server, made: str, path: str) -> None:
    answer = server.api(f"{made}{path}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert server.api(f"none{path}").status == 404


def test_the_routes_are_described_with_the_values_of_the_front_door(server: Server) -> None:
    schema = server.send("/api/v1/openapi.json").data
    shown = schema["paths"]["/api/v1/projects/{project}"]["get"]
    assert shown["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/ProjectStatus")
    operations = [each.get("operationId") for path in schema["paths"].values() for each in path.values()]
    assert len(operations) == len(set(operations))


# what the store has lost


def test_files_that_the_store_has_lost_hide_nothing_else_of_the_project(server: Server) -> None:
    run = server.winslow.run("quick", "lost-files")
    assert run.wait().state == "succeeded"
    (file,) = server.winslow.project("lost-files").files("only")
    assert file.local_path is not None
    tree = file.local_path.parent
    hidden = tree.rename(tree.with_name("hidden"))
    try:
        for tab in ("result", "files"):
            page = server.send(f"/projects/lost-files/stages/only/{tab}")
            assert page.status == 200
            assert "files cannot be read" in page.text
            assert "winslow redo lost-files only" in page.text
    finally:
        hidden.rename(tree)
