"""Two people look at the same project at once, and may not do the same with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from every_state import person, photograph, under_way
from project_server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

PATH = "/projects/shared-one"
POST = """async path => (
    await fetch(path, {method: 'POST', headers: {'HX-Request': 'true'}, body: new URLSearchParams()})
).status"""
ACTS = ("Pause", "Cancel", "Resume", "Save", "Add the tag", "Add the to-do")


def test_what_one_person_does_the_other_sees_without_a_reload(browser: Browser, every_state: Server) -> None:
    under_way(every_state, "shared-one")
    with person(browser, every_state, "operator") as first, person(browser, every_state, "viewer") as second:
        acting, watching = first.new_page(), second.new_page()
        for page in (acting, watching):
            page.goto(PATH)
            page.locator('.sentence [data-state="running"]').wait_for()
            page.evaluate("window.sameDocument = true")

        # What a viewer cannot do is not offered, and is refused when it is sent all the same.
        for name in ACTS:
            assert watching.get_by_role("button", name=name, exact=True).count() == 0, name
        assert watching.locator("[hx-post]").count() == 0
        for act in ("pause", "cancel", "resume", "notes", "todos", "tags/add", "run"):
            assert watching.evaluate(POST, f"{PATH}/{act}") == 403, act
        assert every_state.state("shared-one") == "running"
        photograph(watching, "viewer")

        acting.get_by_role("button", name="Pause", exact=True).click()
        for page in (acting, watching):
            page.locator('.sentence [data-state="pausing"]').wait_for()
        acting.locator("#notes").fill("A note for you")
        acting.get_by_role("button", name="Save").click()
        watching.get_by_text("A note for you").wait_for()
        assert acting.evaluate("window.sameDocument") is True
        assert watching.evaluate("window.sameDocument") is True
        every_state.winslow.project("shared-one").cancel()
        for page in (acting, watching):
            page.locator('.sentence [data-state="cancelled"]').wait_for()


@pytest.mark.parametrize(
    "path", ["/", "/projects", "/pipelines", "/pipelines/steps", "/projects/asking-one/questions/choose"]
)
def test_a_viewer_is_offered_no_act_on_any_page(browser: Browser, every_state: Server, path: str) -> None:
    with person(browser, every_state, "viewer") as context:
        page = context.new_page()
        page.goto(path)
        page.get_by_role("heading", level=1).wait_for()
        # Lists of their own are the only thing that viewers save.
        posts = page.evaluate("[...document.querySelectorAll('[hx-post]')].map(each => each.getAttribute('hx-post'))")
        assert set(posts) <= {"/views", "/views/delete"}
        assert page.get_by_role("link", name="New project").count() == 0


def test_an_operator_is_offered_no_act_on_a_project_of_another_group(browser: Browser, every_state: Server) -> None:
    winslow = every_state.winslow
    winslow.run("quick", "of-a-group").ended()
    with person(browser, every_state, "admin") as own, person(browser, every_state, "operator") as other:
        winslow.accounts.set_groups("admin", ["tracking"])
        winslow.project("of-a-group").give(group="tracking")
        acting, watching = own.new_page(), other.new_page()
        for page in (acting, watching):
            page.goto("/projects/of-a-group")
            page.locator('.sentence [data-state="succeeded"]').wait_for()
        assert acting.get_by_role("link", name="Run again…").count() == 1
        assert watching.get_by_role("link", name="Run again…").count() == 0
        assert watching.locator("[hx-post]").count() == 0
        assert watching.evaluate(POST, "/projects/of-a-group/run") == 403
