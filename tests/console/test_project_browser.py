"""The page of a project in a real browser, while real stages run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from installation import until
from log_in import Cookie
from project_server import Server, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

FILM_S = 5
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def cookie(server: Server) -> Cookie:
    return server.place.cookie()


@pytest.fixture
def context(browser: Browser, server: Server, cookie: Cookie) -> Iterator[BrowserContext]:
    address = server.place.services.address
    with browser.new_context(base_url=address) as opened:
        opened.add_cookies([cookie.of(address)])  # type: ignore[list-item]  # of its typed dictionary
        opened.set_default_timeout(90_000)
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    errors: list[object] = []

    def note(error: object) -> None:
        errors.append(error)

    opened.on("pageerror", note)
    opened.on("dialog", lambda dialog: dialog.accept())
    yield opened
    assert errors == []


def picture(page: Page, name: str) -> None:
    """Keep what the page looks like: on a desk, on a phone, in the dark."""
    directory = os.environ.get("WINSLOW_TEST_SCREENSHOTS")
    if directory is None:
        return
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its literals
            page.screenshot(path=f"{directory}/project-{name}-{size}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.emulate_media(color_scheme="light")


def state_of(page: Page, stage: str, state: str) -> None:
    """Returns once the graph shows the stage in this state."""
    page.locator(f'.graph .node[data-stage="{stage}"][data-state="{state}"]').wait_for()


def gated(server: Server, name: str) -> str:
    """A project whose stage `gate` runs until the gate is opened."""
    server.shut_gate()
    server.winslow.run("steps", name).ended()
    server.winslow.project(name).resume()
    until(lambda: server.winslow.status(name).stage("gate").state == "running", "the gate runs")
    return name


def test_a_project_is_watched_paused_after_a_stage_resumed_and_done_without_a_reload(
    server: Server, page: Page
) -> None:
    name = gated(server, "watched")
    page.goto(f"/projects/{name}")
    page.evaluate("window.sameDocument = true")
    state_of(page, "gate", "running")
    assert page.locator("#panel-title").inner_text() == "gate"
    page.locator('.graph .node[data-stage="gate"] progress[value]').wait_for()
    picture(page, "running")
    page.locator("#acts-menu > summary").click()
    page.locator("#pause-after").select_option("behind")
    page.get_by_role("button", name="Pause after").click()
    page.locator('.sentence [data-state="pausing"]').wait_for()
    server.open_gate()
    page.locator('.sentence [data-state="paused"]').wait_for()
    state_of(page, "behind", "succeeded")
    state_of(page, "last", "pending")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    state_of(page, "last", "succeeded")
    page.locator('.sentence [data-state="succeeded"]').wait_for()
    assert page.evaluate("window.sameDocument") is True
    until(lambda: page.title().endswith("watched: succeeded · Winslow"), "the title says it, too")
    assert server.state(name) == "succeeded"
    # Run again from a stage in the middle, and cancel that.
    server.shut_gate()
    page.locator('.graph .node[data-stage="gate"]').click()
    page.get_by_role("link", name="Run again…").click()
    page.get_by_role("button", name="Run again", exact=True).click()
    state_of(page, "gate", "running")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator('.sentence [data-state="cancelled"]').wait_for()
    state_of(page, "gate", "cancelled")
    picture(page, "cancelled")


def test_a_refresh_keeps_what_is_written_open_and_scrolled(server: Server, page: Page) -> None:
    name = gated(server, "calm")
    page.set_viewport_size({"width": 1280, "height": 500})
    page.goto(f"/projects/{name}/stages/make/files")
    page.locator("#folder-deep > summary").click()
    page.locator("#acts-menu > summary").click()
    page.locator("#notes").fill("half a sentence")
    page.locator("#new-todo").fill("half a to-do")
    page.evaluate("scrollTo(0, 240)")
    # Somebody else changes the project, notes included, and the stage makes progress meanwhile.
    server.winslow.project(name).note("of somebody else")
    server.winslow.project(name).add_todo("seen by the refresh")
    page.get_by_text("seen by the refresh").wait_for()
    assert page.locator("#notes").input_value() == "half a sentence"
    assert page.locator("#new-todo").input_value() == "half a to-do"
    assert page.evaluate("document.activeElement.id") == "new-todo"
    assert page.evaluate("scrollY") == 240
    assert page.locator("#folder-deep").get_attribute("open") is None
    assert page.locator("#acts-menu").get_attribute("open") is not None
    # Not even a reload loses it, and it is saved by its button.
    page.reload()
    assert page.locator("#notes").input_value() == "half a sentence"
    page.locator("#notes-form").get_by_role("button", name="Save").click()
    until(lambda: server.winslow.project(name).notes() == "half a sentence", "the notes are saved")
    page.locator("#notes-form [data-draft-acts]").wait_for(state="hidden")
    page.reload()
    assert page.locator("#notes").input_value() == "half a sentence"
    # What nobody is writing follows what others write.
    server.winslow.project(name).note("of somebody else, later")
    until(lambda: page.locator("#notes").input_value() == "of somebody else, later", "the notes are those of others")
    server.open_gate()


def test_choosing_another_stage_or_tab_moves_nothing(server: Server, page: Page) -> None:
    server.winslow.run("steps", "still").ended()
    page.set_viewport_size({"width": 1280, "height": 500})
    page.goto("/projects/still/stages/make/settings")
    page.evaluate("scrollTo(0, 120)")
    page.locator(".tabs").get_by_role("link", name="Files").click()
    page.wait_for_url("**/stages/make/files")
    until(lambda: page.evaluate("scrollY") == 120, "the page is scrolled as before")


def test_to_dos_and_tags_are_changed_in_place(server: Server, page: Page) -> None:
    server.winslow.create("quick", "written")
    page.goto("/projects/written")
    page.locator("#new-todo").fill("<b>look</b> at it")
    page.keyboard.press("Enter")
    item = page.locator(".todos li", has_text="<b>look</b> at it")
    item.wait_for()
    until(lambda: page.locator("#new-todo").input_value() == "", "the field is empty again")
    item.get_by_role("checkbox").check()
    item.get_by_text("done by").wait_for()
    page.locator("#new-tag").fill("ulm & north")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Remove the tag ulm & north").click()
    page.locator(".tags .tag").wait_for(state="detached")
    assert server.winslow.project("written").tags() == ()
    assert server.winslow.project("written").todos()[0].done_at is not None


def test_a_failed_stage_shows_its_first_error_and_runs_again_once_it_is_cured(server: Server, page: Page) -> None:
    server.winslow.run("failing", "ill").ended()
    page.goto("/projects/ill")
    error = page.locator(".first-error pre")
    assert error.inner_text() == "ERROR <script>document.title=1</script> no such camera"
    assert "ill: failed" in page.title()
    picture(page, "failed")
    (server.place.folder / "cure").touch()
    page.get_by_role("button", name="Try again").click()
    state_of(page, "bad", "succeeded")
    error.wait_for(state="detached")


def test_an_html_report_runs_in_a_place_of_its_own_and_reaches_nothing(server: Server, page: Page) -> None:
    server.winslow.run("steps", "reporting").ended()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/projects/reporting/stages/make/result")
    frame = page.locator('.preview[data-kind="report"] iframe')
    frame.scroll_into_view_if_needed()
    inside = page.frame_locator('.preview[data-kind="report"] iframe')
    inside.get_by_text("Report with 2 charts").wait_for()
    inside.locator("body[data-reached]").wait_for()
    assert inside.locator("body").get_attribute("data-reached") == "0"
    drawing = page.locator('.preview[data-kind="picture"] img').last
    drawing.scroll_into_view_if_needed()
    until(lambda: drawing.evaluate("image => image.complete && image.naturalWidth") == 40, "the drawing is shown")
    picture(page, "result")
    # Opened by themselves, they reach no more than that.
    page.goto("/api/v1/projects/reporting/files/make/report.html")
    page.get_by_text("Report with 2 charts").wait_for()
    page.locator("body[data-reached]").wait_for()
    assert page.evaluate("origin") == "null"
    page.goto("/api/v1/projects/reporting/files/make/deep/er/drawing.svg")
    assert not [url for url in asked if "from=" in url and "/api/v1/health" in url]
    assert page.evaluate("origin") == "null"


def test_a_film_is_played_from_any_position_without_being_loaded_whole(server: Server, page: Page) -> None:
    write_film(server.place.folder / "film.mp4")
    server.winslow.run("steps", "filmed").ended()
    (server.place.folder / "film.mp4").unlink()
    ranges: list[str] = []
    page.on(
        "response",
        lambda answer: ranges.append(answer.headers.get("content-range", "")) if "film.mp4" in answer.url else None,
    )
    page.goto("/projects/filmed/stages/make/result")
    film = page.locator('.preview[data-kind="video"] video')
    film.scroll_into_view_if_needed()
    until(lambda: film.evaluate("film => film.readyState >= 1"), "the browser knows the film")
    assert film.evaluate("film => Math.round(film.duration)") == FILM_S
    film.evaluate(f"film => {{ film.currentTime = {FILM_S - 1} }}")
    until(lambda: film.evaluate("film => !film.seeking && film.readyState >= 2"), "the film is at another position")
    assert any(ranges)


def write_film(path: Path) -> None:
    """A film of grey frames, with much between them that no browser has to load."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(FILM_S * 10):
            for packet in stream.encode(av.VideoFrame(64, 48, "yuv420p")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.mark.parametrize("tab", ["result", "log", "settings", "files", "attempts", "checks"])
def test_hostile_texts_are_only_texts_in_every_tab(server: Server, page: Page, tab: str) -> None:
    name = "hostile"
    if not any(each.project == name for each in server.winslow.projects()):
        server.winslow.run("steps", name, reason="<script>window.hacked = 1</script>", tags=["<i>tag</i>"]).ended()
        server.winslow.project(name).note("</textarea><script>window.hacked = 1</script>")
        server.winslow.project(name).add_todo("<img src=x onerror='window.hacked = 1'>")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto(f"/projects/{name}/stages/make/{tab}")
    page.locator(f"#tab-{tab}").wait_for()
    page.locator("#disk table").wait_for()
    assert page.evaluate("window.hacked") is None
    assert dialogs == []
    assert page.locator("#notes").input_value() == "</textarea><script>window.hacked = 1</script>"
    picture(page, f"tab-{tab}")


def test_on_a_phone_the_graph_is_a_list_and_the_page_is_not_wider_than_the_screen(server: Server, page: Page) -> None:
    server.winslow.run("steps", "pocket").ended()
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in ("result", "settings", "files", "attempts", "checks", "log"):
        page.goto(f"/projects/pocket/stages/make/{tab}")
        page.locator(f"#tab-{tab}").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
    assert page.locator(".stage-list .node").first.is_visible()
    assert not page.locator(".graph").first.is_visible()
    page.locator('.stage-list .node[data-stage="last"]').click()
    page.wait_for_url("**/stages/last#panel")


def test_a_question_is_answered_in_the_browser(server: Server, page: Page) -> None:
    server.winslow.run("asking", "curious").ended()
    page.goto("/projects/curious")
    page.get_by_text("Which <b>side</b>?").first.wait_for()
    picture(page, "question")
    page.get_by_role("link", name="Answer").first.click()
    page.get_by_label("Side").select_option("south")
    page.get_by_label("Count").fill("5")
    picture(page, "answer")
    page.get_by_role("button", name="Answer").click()
    # Nothing else is asked.
    page.wait_for_url(f"{server.place.services.address}/")
    page.goto("/projects/curious")
    state_of(page, "choose", "succeeded")
    answer = server.winslow.project("curious").answers()[-1]
    assert (answer.values["side"], answer.values["count"]) == ("south", 5)


def test_a_viewer_sees_everything_and_has_nothing_to_press(server: Server, context: BrowserContext, page: Page) -> None:
    server.winslow.run("steps", "seen", tags=["ulm"]).ended()
    server.winslow.project("seen").note("a note")
    context.clear_cookies()
    address = server.place.services.address
    context.add_cookies([server.place.cookie("viewer").of(address)])  # type: ignore[list-item]  # as above
    page.goto("/projects/seen/stages/make/attempts")
    page.get_by_text("a note").wait_for()
    buttons = page.locator("#project button:not([data-copy], [data-compare], #columns button)")
    assert buttons.count() == 0
    assert page.locator("#project [hx-post]").count() == 0


def test_everything_can_be_reached_by_keyboard_and_has_a_name(server: Server, page: Page) -> None:
    server.winslow.run("steps", "named").ended()
    page.goto("/projects/named/stages/make/attempts")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("#project :is(a, button, input, select, textarea, summary)")]
            .filter((each) => each.checkVisibility())
            .filter((each) => !(each.innerText?.trim() || each.getAttribute("aria-label") || each.labels?.length
                || each.getAttribute("aria-labelledby")))
            .map((each) => each.outerHTML)"""
    )
    assert unnamed == []
    page.locator('.graph .node[data-stage="make"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/stages/make/attempts")
