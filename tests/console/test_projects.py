"""The first page and the list of projects, on a real server with real stages, for programs and in a real browser."""

from __future__ import annotations

import functools
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from installation import Installation, until
from log_in import Cookie
from PIL import Image

from winslow_dagster import Winslow
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.ingest import IngestFile
from winslow_dagster.projects.ingest.table import IngestTable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

IDLE = 60
HOSTILE = "<img src=x onerror=alert(1)>"
FILM = """
name: film
command: [sh, -c]
stages:
  - name: cut
    args: ['true > "$WINSLOW_OUTPUT_DIR/cut.txt"']
  - name: detect
    after: [cut]
    progress: [{pattern: 'frames (?P<current>\\d+)/(?P<total>\\d+)', subject: frames}]
    args:
      - |
        for step in 1 2 3 4; do
          echo "frames $step/4"
          while [ -n "$GATE" ] && [ ! -e "$GATE/$step" ]; do sleep 0.1; done
        done
        cp "$PICTURES"/* "$WINSLOW_OUTPUT_DIR"/
  - name: count
    after: [detect]
    args: ['if [ -n "$FIX" ] && [ ! -e "$FIX" ]; then echo "no calibration" >&2; exit 3; fi']
"""
ASKS = """
name: asks
command: [sh, -c]
stages:
  - name: mark
    needs_input: {message: 'Which side is north?', form: [{name: side, kind: text}]}
    args: ['true']
"""
# One red pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)


@dataclass
class World:
    """A server with projects in several states, and the files that let their stages go on."""

    installation: Installation
    winslow: Winslow
    folder: Path

    @functools.cached_property
    def cookie(self) -> Cookie:
        return self.installation.cookie()

    @property
    def own_page(self) -> dict[str, str]:
        """Headers of what a page of this server sends."""
        return {**self.cookie.header, "Origin": self.address}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.installation.port}"

    def get(self, path: str, **parameters: str) -> httpx.Response:
        return httpx.get(f"{self.address}{path}", params=parameters or None, headers=self.cookie.header, timeout=60)

    def post(self, path: str, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.address}{path}", json=body, headers=self.own_page, timeout=120)

    def delete(self, path: str, **parameters: str) -> httpx.Response:
        return httpx.delete(f"{self.address}{path}", params=parameters, headers=self.own_page, timeout=60)

    def state(self, project: str) -> str:
        return self.winslow.status(project).state

    def pictures(self, name: str, **files: bytes) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for file, content in files.items():
            (folder / file.replace("_", ".")).write_bytes(content)
        return folder

    def gate(self, step: int) -> Path:
        (self.folder / "gate").mkdir(exist_ok=True)
        return self.folder / "gate" / str(step)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("projects")
    installation = Installation(folder, None, {"film": FILM, "asks": ASKS})
    installation.up()
    try:
        with Winslow(installation.settings, Actor("anna")) as winslow:
            found = World(installation, winslow, folder)
            fill(found)
            yield found
            # Stages outlive the services.
            for step in range(5):
                found.gate(step).touch()
            until(lambda: winslow.status("runs").over, "its stages have ended")
    finally:
        installation.down()


def fill(world: World) -> None:
    """One project that asks, one that failed, one that has finished, one that runs until it is let on, many others."""
    winslow = world.winslow
    plain = str(world.pictures("plain", map_png=PNG))
    winslow.create("asks", "asks", tags=["ulm"])
    winslow.create("film", "broken", env={"FIX": str(world.folder / "fixed"), "PICTURES": plain}, tags=["ulm"])
    winslow.create("film", "done", env={"PICTURES": plain}, tags=["ulm", "old", HOSTILE])
    gate = world.gate(0).parent
    winslow.create("film", "runs", env={"GATE": str(gate), "PICTURES": plain}, tags=["night & rain"])
    for name in ("asks", "broken", "done", "runs"):
        winslow.run("asks" if name == "asks" else "film", name)
    for number in range(IDLE):
        winslow.create("film", f"idle-{number:02}", tags=["later"])
    until(lambda: world.state("asks") == "awaiting_input", "a question is open")
    until(lambda: world.state("broken") == "failed", "a project has failed")
    until(lambda: world.state("done") == "succeeded", "a project has finished")
    until(lambda: running(world, "runs").get("detect"), "a stage runs and has said how far it is")


def running(world: World, project: str) -> dict[str, bool]:
    """The stages that run, and whether they have said how far they are."""
    return {view.stage: bool(view.progress) for view in world.winslow.status(project).stages if view.state == "running"}


def projects_of(answer: httpx.Response) -> list[str]:
    return [each["project"] for each in answer.json()["projects"]]


# For programs.


def test_the_list_is_filtered_sorted_grouped_and_paged(world: World) -> None:
    found = world.get("/api/v1/projects", filter="tag:ulm -tag:old", sort="name")
    assert projects_of(found) == ["asks", "broken"]
    found = world.get("/api/v1/projects", filter="pipeline:film -state:idle state:succeeded state:failed", sort="-name")
    assert projects_of(found) == ["done", "broken"]
    second = world.get("/api/v1/projects", sort="name", page="2", size="50")
    assert (len(second.json()["projects"]), second.json()["total"]) == (IDLE + 4 - 50, IDLE + 4)
    grouped = world.get("/api/v1/projects", group="pipeline").json()["groups"]
    assert grouped == {"asks": 1, "film": IDLE + 3}
    assert projects_of(world.get("/api/v1/projects", filter='tag:"night & rain"')) == ["runs"]


def test_a_row_says_how_far_each_stage_is(world: World) -> None:
    (row,) = world.get("/api/v1/projects", filter="broken").json()["projects"]
    assert (row["state"], row["created_by"]) == ("failed", "anna")
    assert "no calibration" in row["reason"]
    assert [(each["stage"], each["state"]) for each in row["progress"]["stages"]] == [
        ("cut", "succeeded"),
        ("detect", "succeeded"),
        ("count", "failed"),
    ]
    (row,) = world.get("/api/v1/projects", filter="runs").json()["projects"]
    detect = row["progress"]["stages"][1]
    assert (detect["state"], 0 < detect["fraction"] <= 1) == ("running", True)


def test_a_filter_that_makes_no_sense_is_a_problem_at_its_place(world: World) -> None:
    answer = world.get("/api/v1/projects", filter="ulm state:fialed")
    assert (answer.status_code, answer.json()["position"], answer.json()["length"]) == (400, 5, 12)
    assert world.get("/api/v1/projects", sort="age").status_code == 400
    assert world.get("/api/v1/projects", group="age").status_code == 400
    assert world.get("/api/v1/projects", page="0").status_code == 422


def test_what_waits_for_a_person_has_a_reason_and_an_act(world: World) -> None:
    needs = {each["project"]: each for each in world.get("/api/v1/needs").json()["needs"] if each["project"]}
    assert (needs["asks"]["kind"], needs["asks"]["stage"]) == ("question", "mark")
    assert "Which side is north?" in needs["asks"]["reason"]
    assert needs["broken"]["action"] == {"name": "resume_project", "arguments": {"project": "broken"}}
    counters = world.get("/api/v1/counters").json()
    assert (counters["running"], counters["failed"]) == (1, 1)
    assert counters["needs_you"] == world.get("/api/v1/needs").json()["total"]
    assert counters["disk_free_bytes"] > 0


def test_many_projects_are_acted_on_and_each_says_what_came_of_it(world: World) -> None:
    answer = world.post("/api/v1/acts", act="tag", projects=["idle-00", "idle-01", "nobody"], tags=["first", "ulm"])
    results = {each["project"]: each for each in answer.json()["results"]}
    assert [each["done"] for each in results.values()] == [True, True, False]
    assert "nobody" in results["nobody"]["text"]
    assert world.winslow.project("idle-00").tags() == ("first", "later", "ulm")
    world.post("/api/v1/acts", act="untag", projects=["idle-00", "idle-01"], tags=["ulm", "first"])
    assert world.winslow.project("idle-00").tags() == ("later",)
    (refused,) = world.post("/api/v1/acts", act="pause", projects=["done"]).json()["results"]
    assert (refused["done"], refused["text"]) == (False, "there is no run to pause")
    assert world.post("/api/v1/acts", act="tag", projects=["done"]).status_code == 422
    assert world.post("/api/v1/acts", act="explode", projects=["done"]).status_code == 422
    assert world.post("/api/v1/acts", act="pause", projects=[f"p{n}" for n in range(201)]).status_code == 422


def test_lists_are_saved_for_oneself_and_shared_with_others(world: World) -> None:
    assert world.post("/api/v1/views", name="Ulm", filter="tag:ulm", sort="name", shared=True).status_code == 200
    assert world.post("/api/v1/views", name="x", filter="colour:red").status_code == 400
    assert world.post("/api/v1/views", name=" ").status_code == 422
    ben = world.winslow.acting_as(Actor("ben"))
    assert [(view.name, view.filter) for view in ben.saved_views()] == [("Ulm", "tag:ulm")]
    ben.save_view(ben.saved_views()[0].model_copy(update={"name": "Mine", "shared": False}))
    assert [view["name"] for view in world.get("/api/v1/views").json()["views"]] == ["Ulm"]
    assert world.delete("/api/v1/views", name="Mine").status_code == 404
    assert world.delete("/api/v1/views", name="Ulm").status_code == 204
    assert [view.name for view in ben.saved_views()] == ["Mine"]
    ben.delete_view("Mine")


def test_the_words_of_a_filter_are_those_in_use(world: World) -> None:
    words = world.get("/api/v1/filter-words").json()
    assert words["tags"][0] == "later"
    assert {"ulm", "old", HOSTILE} <= set(words["tags"])
    assert (words["pipelines"], words["owners"]) == (["film", "asks"], ["anna"])


def test_a_picture_is_served_small_and_kept_by_the_browser(world: World) -> None:
    page = world.get("/projects", filter="done").text
    address = re.search(r'src="(/projects/done/picture\?of=\w+)"', page)
    assert address is not None
    picture = world.get(address[1])
    assert (Image.open(io.BytesIO(picture.content)).size, picture.headers["Content-Type"]) == ((1, 1), "image/png")
    assert "immutable" in picture.headers["Cache-Control"]
    assert world.get("/projects/nobody/picture").status_code == 404


def test_a_large_picture_is_served_small(world: World) -> None:
    content = io.BytesIO()
    Image.effect_noise((2000, 1000), 90).save(content, "PNG")
    world.winslow.create("film", "large", env={"PICTURES": str(world.pictures("large", map_png=content.getvalue()))})
    world.winslow.run("film", "large", stop_after="detect")
    until(lambda: world.state("large") == "succeeded", "the stage has ended")
    picture = world.get("/projects/large/picture")
    assert Image.open(io.BytesIO(picture.content)).size == (192, 96)
    assert len(picture.content) < len(content.getvalue()) / 20


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"map_png": b"<html><script>alert(1)</script>"}, id="another type than its name says"),
        pytest.param({"map_png": PNG[:16] + b"\xff\xff\xff\x00\xff\xff\xff\x00" + PNG[24:]}, id="of too many pixels"),
        pytest.param({"map_svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"}, id="SVG"),
    ],
)
def test_a_file_that_is_no_picture_is_replaced_by_a_drawing(
    world: World, request: pytest.FixtureRequest, files: dict[str, bytes]
) -> None:
    name = re.sub(r"\W", "-", request.node.callspec.id)
    world.winslow.create("film", name, env={"PICTURES": str(world.pictures(name, **files))})
    world.winslow.run("film", name, stop_after="detect")
    until(lambda: world.state(name) == "succeeded", "the stage has ended")
    picture = world.get(f"/projects/{name}/picture")
    assert picture.headers["Content-Type"] == "image/svg+xml"
    assert b"script" not in picture.content


def test_tags_are_escaped_wherever_they_stand(world: World) -> None:
    for path in ("/projects?filter=done", "/projects?group=tag&filter=done", f"/projects?filter={HOSTILE}"):
        page = world.get(path).text
        assert "onerror" in page
        assert HOSTILE not in page


# In a browser.


OpenPage = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser, world: World) -> Iterator[OpenPage]:
    """Opens an address in a browser of its own. The test fails if a page logs an error, or loads what is not there."""
    contexts, faults = [], []

    def opened(path: str, width: int = 1280, height: int = 800, scheme: Any = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        context.add_cookies([world.cookie.of(world.address)])  # type: ignore[list-item]  # a TypedDict of Playwright
        context.set_default_timeout(0)  # a test has a limit of its own
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(f"{world.address}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def rows(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("[data-row] .name > a:first-child").all_inner_texts()]


chromium = pytest.mark.chromium


@chromium
def test_the_filter_line_completes_its_words(open_page: OpenPage) -> None:
    page = open_page("/projects")
    page.keyboard.press("/")
    page.keyboard.type("ta")
    page.get_by_role("option", name="tag:").click()
    page.keyboard.type("nig")
    page.get_by_role("option", name='tag:"night & rain"').wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#filter").input_value() == 'tag:"night & rain" '
    page.keyboard.type("-state:")
    page.get_by_role("option", name="-state:failed").wait_for()
    shot(page, "projects-completion")
    page.keyboard.press("Escape")
    page.keyboard.type("failed")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert rows(page) == ["runs"]
    assert "filter=tag" in page.url
    assert "sort=" not in page.url


@chromium
def test_a_wrong_word_is_marked_where_it_stands(open_page: OpenPage) -> None:
    page = open_page("/projects?filter=ulm+stat:failed")
    assert page.locator("mark").inner_text() == "stat:"
    assert "Did you mean state:?" in page.get_by_role("alert").inner_text()
    assert page.locator("#filter").input_value() == "ulm stat:failed"
    shot(page, "projects-wrong-filter")


@chromium
def test_a_click_on_a_tag_filters_and_with_alt_excludes(open_page: OpenPage) -> None:
    page = open_page("/projects?filter=pipeline:film+-state:idle&sort=name&group=state")
    page.locator("#project-broken .tag").click()
    page.wait_for_url("**/projects?*tag*")
    assert sorted(rows(page)) == ["broken", "done"]
    assert page.locator("#filter").input_value() == "-state:idle tag:ulm pipeline:film"
    page.locator("#project-done .tag", has_text="old").click(modifiers=["Alt"])
    page.wait_for_url("**old**")
    assert rows(page) == ["broken"]
    assert page.locator("#filter").input_value() == "-state:idle tag:ulm -tag:old pipeline:film"
    assert page.locator("select[name=group]").input_value() == "state"


@chromium
def test_rows_are_reached_by_keys(open_page: OpenPage) -> None:
    page = open_page("/projects?filter=tag:ulm&sort=name")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    assert page.locator("[data-chosen]").get_attribute("id") == "project-broken"
    with page.expect_request("**/projects/broken"):
        page.keyboard.press("Enter")


@chromium
def test_a_list_is_paged_and_saved_under_a_name(open_page: OpenPage, world: World) -> None:
    page = open_page("/projects?filter=tag:later&sort=name")
    assert len(rows(page)) == 50
    page.get_by_role("link", name="Next").click()
    page.wait_for_url("**page=2**")
    assert rows(page)[-1] == "idle-59"
    page.get_by_role("button", name="Save this list").click()
    page.get_by_role("textbox", name="Name").fill("Not yet")
    shot(page, "projects-save")
    with page.expect_navigation():
        page.get_by_role("button", name="Save", exact=True).click()
    assert page.get_by_role("link", name="Not yet").first.get_attribute("aria-current") == "true"
    page.get_by_role("button", name="Save this list").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Delete the list Not yet").click()
    assert world.get("/api/v1/views").json()["views"] == []


@chromium
def test_selected_projects_are_tagged_at_once_and_one_summary_says_what_happened(
    open_page: OpenPage, world: World
) -> None:
    page = open_page("/projects?filter=tag:later&sort=name")
    page.get_by_label("Select idle-00").check()
    page.get_by_label("Select idle-01").check()
    assert page.locator("[data-selected]").inner_text() == "2"
    page.get_by_label("Tags, separated by commas").fill("Augsburg, rain")
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_text("Tagged: 2 of 2 projects.").wait_for()
    page.locator("#project-idle-01 .tag", has_text="Augsburg").wait_for()
    assert world.winslow.project("idle-00").tags() == ("Augsburg", "later", "rain")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text("Asked to pause: 0 of 2 projects").wait_for()
    assert page.locator(".act-summary li").count() == 2
    shot(page, "projects-many")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#many").is_hidden()


@chromium
def test_a_refresh_moves_neither_scroll_nor_focus_nor_selection_and_closes_no_menu(
    open_page: OpenPage, world: World
) -> None:
    page = open_page("/projects?sort=-name", height=500)
    page.get_by_label("Select runs").check()
    page.locator("#menu-runs summary").click()
    page.locator("#menu-runs [data-copy]").focus()
    page.evaluate("scrollTo(0, 120)")
    kept = """() => [scrollY, document.activeElement.dataset.copy, document.querySelector('#menu-runs').open,
                     document.querySelector('#pick-runs').checked, document.querySelector('#many').hidden]"""
    before = page.evaluate(kept)
    assert before[1:] == ["winslow status runs", True, True, False]
    for step, shown in ((1, "detect 50 %"), (2, "detect 75 %")):
        world.gate(step).touch()
        page.locator("#project-runs", has_text=shown).wait_for()
        assert page.evaluate(kept) == before
    shot(page, "projects-menu")


@chromium
def test_counters_title_and_icon_tell_on_every_page_that_somebody_is_needed(open_page: OpenPage, world: World) -> None:
    page = open_page("/projects")
    page.locator('.counter[data-counter="needs_you"]:not([hidden])').wait_for()
    needed = world.get("/api/v1/counters").json()["needs_you"]
    assert page.title() == f"({needed}) Projects · Winslow"
    assert page.locator('.counter[data-counter="needs_you"]').inner_text() == str(needed)
    assert "icon-needs" in str(page.locator("link[rel=icon]").get_attribute("href"))
    assert page.locator('.counters [data-counter="failed"]').inner_text() == "1"
    assert "left on disk" in page.locator("[data-disk]").inner_text()


@chromium
def test_the_first_page_says_what_waits_and_a_click_does_it(open_page: OpenPage, world: World) -> None:
    at = datetime.now(UTC)
    rejected = IngestFile(0, "drone", "a.mp4", 3, "1", "rejected", "it is no video", None, None, at, at, at)
    IngestTable(world.winslow.context.records.database).apply([rejected], [])
    page = open_page("/")
    shot(page, "home")
    question = page.locator("#need-asks")
    assert "Which side is north?" in question.inner_text()
    assert question.get_by_role("link", name="Answer").get_attribute("href") == "/projects/asks/questions/mark"
    assert question.locator("[data-copy]").get_attribute("data-copy") == "winslow answer asks"
    file = page.locator("[data-row]", has_text="drone: a.mp4")
    assert "it is no video" in file.inner_text()
    with page.expect_response("**/retry"):
        file.get_by_role("button", name="Retry", exact=True).click()
    assert page.locator("#finished-done img").get_attribute("src", timeout=0)
    assert "detect" in page.locator("#runs-runs").inner_text()
    (world.folder / "fixed").touch()
    page.locator("#need-broken").get_by_role("button", name="Retry", exact=True).click()
    page.locator("#need-broken").wait_for(state="detached")
    page.locator("#finished-broken").wait_for()


@chromium
@pytest.mark.parametrize("path", ["/", "/projects", "/projects?group=tag", "/projects?filter=nothing"])
def test_pages_fit_on_a_phone_and_have_a_dark_look(open_page: OpenPage, path: str) -> None:
    name = re.sub(r"\W+", "-", f"projects{path}").strip("-")
    phone = open_page(path, 390, 844)
    shot(phone, f"{name}-phone")
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    dark = open_page(path, scheme="dark")
    shot(dark, f"{name}-dark")
    shot(open_page(path), f"{name}-desktop")
    assert dark.evaluate("getComputedStyle(document.body.parentElement).backgroundColor") == "rgb(19, 22, 23)"
