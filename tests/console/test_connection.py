"""The connection to the server is lost and comes back while somebody looks at a page and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from every_state import person, photograph, under_way
from installation import kill, until
from project_server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

HALF = "The camera was moved on Tuesday, so that"


def test_a_lost_connection_shows_and_everything_is_fetched_when_it_is_back(
    browser: Browser, every_state: Server
) -> None:
    under_way(every_state, "cut-off")
    with person(browser, every_state) as context:
        page = context.new_page()
        page.goto("/projects/cut-off")
        page.evaluate("window.sameDocument = true")
        page.locator("#notes").fill(HALF)
        lost = page.get_by_text("Connection lost")
        assert lost.count() == 1
        assert not lost.is_visible()
        assert kill(every_state.place.service("web-server")) == 1
        # It is back within a moment. Killed again, it stays away for some seconds: a service does not start in a loop.
        while not lost.is_visible():
            kill(every_state.place.service("web-server"))
            page.wait_for_timeout(100)
        photograph(page, "connection-lost")
        every_state.winslow.project("cut-off").add_todo("Ask who moved it")
        lost.wait_for(state="hidden")
        assert page.evaluate("window.sameDocument") is True
        assert page.get_by_text("The server does not answer").count() == 0, "nobody has asked it for anything"
        assert page.locator("#notes").input_value() == HALF

        # What happened in between is shown, and so is what happens from now on.
        page.get_by_text("Ask who moved it").wait_for()
        every_state.winslow.project("cut-off").pause()
        page.locator('.sentence [data-state="pausing"]').wait_for()
        assert page.locator("#notes").input_value() == HALF
        page.reload()
        assert page.locator("#notes").input_value() == HALF
        page.get_by_role("button", name="Save").click()
        until(lambda: every_state.winslow.status("cut-off").notes == HALF, "the note is saved")
        every_state.winslow.project("cut-off").cancel()


# The first worker's script does not arrive, as when the server goes away behind the page.
WITHOUT_A_WORKER = """
const Worker = SharedWorker
let workers = 0
window.SharedWorker = function (address, options) {
    workers += 1
    return new Worker(workers === 1 ? "/static/away.js" : address, options)
}
"""


def test_a_page_whose_stream_cannot_begin_says_so_and_begins_it_later(browser: Browser, every_state: Server) -> None:
    every_state.winslow.create("quick", "begun-later")
    with person(browser, every_state) as context:
        page = context.new_page()
        page.add_init_script(WITHOUT_A_WORKER)
        page.goto("/projects/begun-later")
        lost = page.get_by_text("Connection lost")
        lost.wait_for()
        every_state.winslow.project("begun-later").add_todo("Ask who was away")
        page.get_by_text("Ask who was away").wait_for()
        lost.wait_for(state="hidden")


def test_what_happens_between_the_answer_and_the_stream_is_shown(browser: Browser, every_state: Server) -> None:
    every_state.winslow.create("quick", "late-one")
    project = every_state.winslow.project("late-one")
    with person(browser, every_state) as context:
        page = context.new_page()
        texts: list[str] = []

        def add_before_the_page_arrives(route: Route) -> None:
            answer = route.fetch()
            texts.append(f"number {len(texts)}")
            project.add_todo(texts[-1])
            route.fulfill(response=answer)

        page.route("**/projects/late-one", add_before_the_page_arrives)
        # The first page opens the stream; the second one finds it open.
        for _ in range(2):
            page.goto("/projects/late-one")
            page.locator(".todos li", has_text=texts[-1]).wait_for()
        assert len(texts) == 2
