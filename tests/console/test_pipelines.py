"""Pipelines in the console: valid and broken files, their versions, and the form of a new project."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from installation import Installation, until

from winslow_dagster import Winslow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

MEASURE = """\
name: measure
description: Measures <b>points</b>.
command: [sh, -c]
inputs:
  points:
    kind: json
    suffixes: [.json]
    description: Some points.
env:
  TOKEN: {{secret: true}}
  LIMIT: "{limit}" # how many points are kept
stages:
  - name: keep
    description: Keeps some points.
    args:
      - cp "$WINSLOW_RESOURCE_POINTS" "$WINSLOW_OUTPUT_DIR/points.json"; echo "limit $LIMIT unit $UNIT";
        wc -c < "$WINSLOW_SECRETS_DIR/TOKEN"
    env:
      # The unit of lengths.
      UNIT: m
  - name: report
    after: [keep]
    args: ['true']
"""
BROKEN = """\
name: broken
stages:
  - name: one
    comand: [sh]
    args: ['<img src=x onerror=alert(1)>']
    image: a:1
"""
PIPELINES = {"measure": MEASURE.format(limit=5), "broken": BROKEN}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("pipelines"), None, PIPELINES)
    (made.folder / "pipelines" / "other.yml").write_text("name: other\n")
    made.up()
    yield made
    made.down()


@pytest.fixture
def page(browser: Browser, there: Installation) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
        context.add_cookies([cookie(there)])
        context.set_default_timeout(60_000)
        yield context.new_page()


def cookie(there: Installation) -> Any:
    """What a browser needs to be logged in."""
    return there.cookie().of(address(there, "/"))


def get(there: Installation, path: str, **query: str) -> tuple[int, str]:
    found = f"{address(there, path)}?{urlencode(query)}"
    return send(urllib.request.Request(found, headers=there.authorization))


def post(there: Installation, path: str, body: Any) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"} | there.authorization
    status, text = send(urllib.request.Request(address(there, path), json.dumps(body).encode(), headers))
    return status, json.loads(text)


def send(request: urllib.request.Request) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def keep_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def address(there: Installation, path: str) -> str:
    return f"http://127.0.0.1:{there.port}{path}"


# Pipelines


def test_a_broken_file_is_listed_with_its_errors_beside_the_others(there: Installation, page: Page) -> None:
    page.goto(address(there, "/pipelines"))
    page.get_by_text("Measures <b>points</b>.").wait_for()
    page.get_by_text("Line 4: a stage has no field `comand`").wait_for()
    page.get_by_text("pipeline files end in .yaml, not in .yml").wait_for()
    keep_picture(page, "pipelines")
    page.get_by_role("link", name="broken").click()
    wrong = page.locator("#line-4")
    assert "comand: [sh]" in wrong.inner_text()
    assert "did you mean command?" in wrong.inner_text()
    assert "<img src=x onerror=alert(1)>" in page.locator("#line-5").inner_text()
    keep_picture(page, "pipeline-broken")


def test_a_pipeline_shows_its_stages_with_descriptions_and_what_comments_say_of_variables(
    there: Installation, page: Page
) -> None:
    page.goto(address(there, "/pipelines/measure"))
    text = page.locator("main").inner_text()
    for expected in ("Keeps some points.", "how many points are kept", "The unit of lengths.", "Some points."):
        assert expected in text
    page.locator('.graph a[href="#stage-report"]').click()
    assert page.url.endswith("#stage-report")
    keep_picture(page, "pipeline")


def test_a_name_that_no_file_has_is_not_found(there: Installation) -> None:
    for path in ("/pipelines/measur", "/api/v1/pipelines/measur", "/api/v1/pipelines/..%2fx/source"):
        assert get(there, path)[0] == 404
    assert "Did you mean measure?" in get(there, "/api/v1/pipelines/measur")[1]


def test_versions_are_kept_with_their_projects_and_what_changed_between_them(there: Installation, page: Page) -> None:
    file = there.folder / "pipelines" / "measure.yaml"
    with Winslow(there.settings) as winslow:
        winslow.create("measure", "earlier")
        file.write_text(MEASURE.format(limit=9))
        winslow.create("measure", "later")
    try:
        new, old = json.loads(get(there, "/api/v1/pipelines/measure/versions")[1])
        assert ("earlier" in old["projects"], "later" in new["projects"], new["current"]) == (True, True, True)
        changed = json.loads(get(there, "/api/v1/pipelines/measure/changes", old=old["digest"][:8])[1])
        assert changed["changes"] == ['pipeline: env.LIMIT "5" -> "9"']
        page.goto(address(there, "/pipelines/measure?show=versions"))
        page.get_by_role("link", name="since the one before").click()
        page.get_by_text('pipeline: env.LIMIT "5" -> "9"').wait_for()
        keep_picture(page, "pipeline-versions")
    finally:
        file.write_text(PIPELINES["measure"])


# New projects


def test_a_project_is_created_and_started_from_the_form(there: Installation, page: Page, tmp_path: Path) -> None:
    points = tmp_path / "points.json"
    points.write_text('{"points": [1, 2]}')
    page.goto(address(there, "/new-project?pipeline=measure"))
    page.get_by_label("Name", exact=True).fill("from the form")
    page.get_by_text("is not a valid project name").wait_for()
    page.get_by_label("Name", exact=True).fill("from-form")
    page.get_by_text("is not a valid project name").wait_for(state="hidden")
    page.locator("[name='input.points']").fill(str(tmp_path / "missing.json"))
    page.get_by_text("No such file").wait_for()
    page.locator("[name='input.points']").fill("")
    page.locator("[name='upload.points']").set_input_files(points)
    page.get_by_text("No such file").wait_for(state="hidden")
    page.locator("[name='env.TOKEN']").fill("a-hidden-value")
    page.locator("[name='env.LIMIT']").fill("7")
    page.locator("[name=tags]").fill("ulm, drone")
    page.locator("[name=notes]").fill("<i>a note</i>")
    command = page.locator("[data-command]")
    until(lambda: "--tag drone" in command.inner_text(), "the command has the last tag")
    assert command.inner_text() == (
        "winslow run measure --project from-form --input points=points.json --env 'TOKEN=********' --env LIMIT=7 "
        "--tag ulm --tag drone"
    )
    keep_picture(page, "new-project")
    page.get_by_role("button", name="Create and start").click()
    page.wait_for_url("**/projects/from-form")
    with Winslow(there.settings) as winslow:
        handle = winslow.project("from-form")
        until(lambda: handle.status().state in {"succeeded", "failed"}, "the run has ended")
        assert handle.status().state == "succeeded"
        lines = [line.text for line in handle.logs("keep").lines(streams=("stdout",))]
        assert lines == ["limit 7 unit m", str(len("a-hidden-value"))]
        assert (handle.tags(), handle.notes()) == (("drone", "ulm"), "<i>a note</i>")
        assert winslow.projects()
        (entry,) = [each for each in winslow.audit("from-form") if each.action == "create"]
        assert entry.via == "console"
        assert "a-hidden-value" not in str(winslow.audit())


def test_a_form_with_faults_creates_nothing_and_shows_each_at_its_field(there: Installation, page: Page) -> None:
    page.goto(address(there, "/new-project?pipeline=measure"))
    page.get_by_label("Name", exact=True).fill("faulty")
    page.get_by_role("button", name="Create and start").click()
    page.get_by_text("The pipeline needs this input to run").wait_for()
    assert page.locator("[name='input.points']").get_attribute("aria-invalid") == "true"
    assert page.url.endswith("pipeline=measure")
    with Winslow(there.settings) as winslow:
        assert "faulty" not in [each.project for each in winslow.projects()]
    page.locator("[name=tags]").fill("x" * 64)
    page.get_by_role("button", name="Create only").click()
    page.get_by_text("is not a valid tag").wait_for()
    page.locator("[name=tags]").fill("fine")
    page.get_by_role("button", name="Create only").click()
    page.wait_for_url("**/projects/faulty")
    with Winslow(there.settings) as winslow:
        assert winslow.project("faulty").runs() == ()


def test_a_form_that_is_too_large_is_refused_before_it_is_read(there: Installation) -> None:
    request = urllib.request.Request(address(there, "/new-project"), b"x", there.authorization)
    request.add_header("Content-Length", str(200 * 2**20))
    request.add_header("Content-Type", "multipart/form-data; boundary=x")
    status, text = send(request)
    assert (status, "too large" in text) == (422, True)


def test_programs_check_create_and_run_with_the_same_names(there: Installation) -> None:
    faults = post(there, "/api/v1/projects/check", {"pipeline": "measur", "project": "bad name"})[1]
    assert [fault["field"] for fault in faults] == ["project", "pipeline"]
    assert post(there, "/api/v1/projects", {"pipeline": "measure", "project": "by-rest"}) == (
        201,
        {"project": "by-rest"},
    )
    status, problem = post(there, "/api/v1/projects", {"pipeline": "measure", "project": "by-rest"})
    assert (status, problem["error"]) == (409, "ProjectConflict")
    status, problem = post(there, "/api/v1/runs", {"pipeline": "measure", "project": "by-rest"})
    assert (status, problem["error"], "points" in problem["what"]) == (422, "InputRejected", True)
    status, problem = post(there, "/api/v1/projects", {"pipeline": "measure", "projct": "x"})
    assert (status, {fault["field"] for fault in problem["faults"]}) == (422, {"project", "projct"})


def test_the_form_is_usable_on_a_phone_and_in_the_dark(there: Installation, browser: Browser) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", is_mobile=True) as context:
        context.add_cookies([cookie(there)])
        page = context.new_page()
        for path in ("/new-project?pipeline=measure", "/pipelines", "/pipelines/measure", "/pipelines/broken"):
            page.goto(address(there, path))
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            keep_picture(page, f"phone-dark-{path.strip('/').replace('/', '-').partition('?')[0]}")
