"""Every page in every state, light and dark, at a desk and on a phone: usable by everybody, and without dead links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from accessibility import serious
from every_state import SCHEMES, SIZES, person, photograph
from project_server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

DONE = "/projects/finished"
PAGES = {
    "home": "/",
    "projects": "/projects",
    "projects-filtered": "/projects?filter=tag%3Aulm&group=state",
    "projects-none": "/projects?filter=state%3Acancelled",
    "projects-wrong-filter": "/projects?filter=state%3Anonsense",
    "project-succeeded": DONE,
    "project-running": "/projects/under-way",
    "project-failed": "/projects/failed-one",
    "project-asking": "/projects/asking-one",
    "project-paused": "/projects/halted",
    **{
        f"tab-{tab}": f"{DONE}/stages/make/{tab}"
        for tab in ("result", "log", "settings", "files", "attempts", "checks")
    },
    "tab-result-failed": "/projects/failed-one/stages/bad/result",
    "log-failed": "/projects/failed-one/stages/bad/log",
    "log-full": "/projects/failed-one/stages/bad/log?full=1",
    "log-running": "/projects/under-way/stages/gate/log",
    "question": "/projects/asking-one/questions/choose",
    "files": "/files",
    "files-none": "/files?text=nothing-like-it",
    "pool-file": "/pool/counts",
    "pool-directory": "/pool/frames?folder=day&file=day/one.txt",
    "trash": "/trash",
    "space": "/space",
    "project-deleted": "/projects/gone",
    "history": f"{DONE}/history",
    "look": f"{DONE}/look?file=make/picture.png",
    "compare": "/compare?attempts=finished%3Amake%3A1&attempts=under-way%3Amake%3A1",
    "compare-nothing": "/compare",
    "compare-projects": "/compare/projects?projects=finished&projects=under-way",
    "compare-no-projects": "/compare/projects",
    "lineage": f"{DONE}/lineage",
    "sweeps-none": f"{DONE}/sweeps",
    "redo": f"{DONE}/stages/make/redo",
    "replace": f"{DONE}/stages/gate/replace?path=gate.txt",
    "pipelines": "/pipelines",
    **{f"pipeline-{show}": f"/pipelines/traffic_analysis?show={show}" for show in ("stages", "file", "versions")},
    "pipeline-used": "/pipelines/steps?show=versions",
    "pipeline-broken": "/pipelines/broken",
    "new-project": "/new-project",
    "new-project-steps": "/new-project?pipeline=steps",
    "new-project-traffic": "/new-project?pipeline=traffic_analysis",
    "watch-folders": "/watch-folders",
    "audit": "/audit",
    "health": "/health",
    "machines": "/machines",
    "machines-week": "/machines?span=7d",
    "queue": "/queue",
    "settings": "/settings",
    "notifications": "/settings/notifications",
    "people": "/settings/people",
    "retention": "/settings/retention",
    "variables": "/settings/variables",
    "quotas": "/settings/quotas",
    "project-retention": f"{DONE}/retention",
    "links": "/settings/links",
    "missing": "/projects/nobody-made-this",
}
NOT_THERE = {PAGES["missing"], PAGES["project-deleted"]}
UNSEEN = """() => [...document.querySelectorAll("main *")].filter(element => {
    const box = element.getBoundingClientRect()
    if (!box.width || box.right <= innerWidth + 1) return false
    for (let above = element.parentElement; above; above = above.parentElement)
        if (getComputedStyle(above).overflowX !== "visible") return false
    return true
}).slice(0, 5).map(element => element.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def opened(browser: Browser, every_state: Server) -> Iterator[Page]:
    with person(browser, every_state, trusting=True) as context:
        yield context.new_page()


def looked_at(page: Page, name: str) -> list[str]:
    """Look at the page in every size and scheme. Returns what is wrong."""
    wrong = []
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of its literals
            photograph(page, f"{name}-{size}-{scheme}")
            wrong += [f"{size}, {scheme}: {each}" for each in serious(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong += [f"{size}: wider than the window: {each}" for each in page.evaluate(UNSEEN) or ["something"]]
    return wrong


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_use_every_page(opened: Page, name: str) -> None:
    opened.set_viewport_size({"width": 1280, "height": 800})
    opened.goto(PAGES[name], wait_until="load")
    opened.wait_for_function("document.readyState === 'complete'")
    wrong = looked_at(opened, name)
    assert not wrong, "\n".join(wrong)


def test_everybody_can_replace_a_file_of_the_pool(opened: Page) -> None:
    opened.set_viewport_size({"width": 1280, "height": 800})
    opened.goto("/pool/counts")
    opened.get_by_role("button", name="Replace…").click()
    opened.get_by_text("By a file of your machine").wait_for()
    assert looked_at(opened, "pool-replace") == []


def test_on_a_phone_every_place_is_reached(opened: Page) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.goto("/")
    bar = opened.locator(".all-places")
    shown = bar.locator("li:visible span").all_inner_texts()
    assert shown == ["Needs you", "Projects", "Files", "Queue", "More"]
    more = bar.get_by_role("button", name="More")
    more.click()
    places = opened.get_by_role("list", name="More places")
    expected = ["Compare", "Watch folders", "Pipelines", "Machines", "Audit", "Health", "Settings", "Dagit"]
    assert places.get_by_role("link").all_inner_texts() == expected
    for scheme in SCHEMES:
        opened.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # as above
        photograph(opened, f"more-places-{scheme}")
        assert serious(opened) == []
    opened.keyboard.press("Escape")
    places.wait_for(state="hidden")
    more.click()
    places.get_by_role("link", name="Machines").click()
    opened.get_by_role("heading", name="Machines", exact=True).wait_for()
    assert more.get_attribute("aria-current") == "true"
    opened.goto("/settings/variables")
    tab = opened.get_by_label("Settings", exact=True).get_by_role("link", name="Variables")
    assert tab.evaluate("tab => tab.getBoundingClientRect().right <= innerWidth"), "the tab of the page is in sight"
    opened.set_viewport_size({"width": 1280, "height": 800})
    assert opened.get_by_label("Places", exact=True).get_by_role("link").all_inner_texts()[2] == "Compare"
    assert not more.is_visible()


def test_a_phone_has_room_for_what_the_frame_shows_in_trouble(opened: Page) -> None:
    opened.set_viewport_size({"width": 1280, "height": 800})
    opened.goto("/projects")
    opened.locator(".counters").filter(has_text=re.compile(r"Failed \d")).wait_for()
    opened.context.set_offline(offline=True)  # so that no new counts come
    try:
        opened.evaluate(
            """() => {
                document.querySelector("[data-connection]").hidden = false
                const disk = document.querySelector("[data-disk]")
                disk.hidden = false
                disk.dataset.tone = "bad"
                disk.lastElementChild.textContent = "1,023.9 GiB left on disk, full in about 23 h"
                for (const count of document.querySelectorAll(".counters b")) count.textContent = "10000"
            }"""
        )
        assert looked_at(opened, "trouble") == []
    finally:
        opened.context.set_offline(offline=False)


def test_everybody_can_log_in(browser: Browser, every_state: Server) -> None:
    with browser.new_context(base_url=every_state.place.services.address, bypass_csp=True) as context:
        page = context.new_page()
        page.goto("/login")
        assert looked_at(page, "login") == []


def test_everybody_can_share_a_file_and_use_the_link(browser: Browser, opened: Page) -> None:
    opened.set_viewport_size({"width": 1280, "height": 800})
    opened.goto(f"{DONE}/stages/make/files?file=tracks.csv")
    form = opened.locator("#share-file")
    form.locator("summary").click()
    form.get_by_role("button", name="Make a link").click()
    address = form.locator("code").inner_text()
    assert looked_at(opened, "share") == []
    opened.goto("/settings/links")
    assert opened.get_by_role("row").filter(has_text="tracks.csv").count() == 1
    assert looked_at(opened, "links-some") == []
    with browser.new_context(bypass_csp=True) as stranger:
        page = stranger.new_page()
        page.goto(address)
        assert looked_at(page, "shared") == []
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        assert download.value.suggested_filename == "tracks.csv"
        opened.set_viewport_size({"width": 1280, "height": 800})
        opened.once("dialog", lambda dialog: dialog.accept())
        opened.get_by_role("button", name="Revoke the link to tracks.csv").click()
        opened.get_by_text("The link to tracks.csv is revoked").wait_for()
        page.goto(address)
        assert "is not valid" in page.locator("main").inner_text()
        assert looked_at(page, "shared-not") == []


def test_everybody_can_use_the_list_of_keys_and_the_menus(opened: Page) -> None:
    opened.set_viewport_size({"width": 1280, "height": 800})
    opened.goto("/projects/under-way")
    opened.keyboard.press("?")
    opened.get_by_role("heading", name="Keyboard").wait_for()
    assert looked_at(opened, "keys") == []
    opened.keyboard.press("Escape")
    opened.set_viewport_size({"width": 1280, "height": 800})
    opened.locator("#acts-menu > summary").click()
    assert looked_at(opened, "acts-menu") == []


def test_what_a_newcomer_asks_is_answered_at_first_sight(opened: Page) -> None:
    opened.set_viewport_size({"width": 1280, "height": 800})
    # Which project needs me?
    opened.goto("/")
    needs = opened.locator(".needs > li")
    assert needs.filter(has_text="asking-one").get_by_role("link", name="Answer").is_visible()
    failed = needs.filter(has_text="failed-one")
    assert "exit code 3" in failed.locator(".reason").inner_text()
    # How long will it take?
    assert "ends" in opened.locator("#runs-under-way .end").inner_text()
    # Why did this fail?
    failed.get_by_role("link", name="See why").click()
    opened.get_by_text("no such camera").first.wait_for()
    opened.goto("/projects/under-way")
    assert "the run ends" in opened.locator(".sentence").inner_text()


def test_no_link_is_dead(opened: Page) -> None:
    found: dict[str, str] = {}
    for path in PAGES.values():
        opened.goto(path)
        links = opened.evaluate("[...document.querySelectorAll('a[href]')].map(each => each.getAttribute('href'))")
        for link in links:
            target = urldefrag(urljoin(opened.url, link)).url
            if urlsplit(target).netloc == urlsplit(opened.url).netloc and not urlsplit(target).path.startswith(
                "/dagit"
            ):
                found.setdefault(target, path)
    assert len(found) > len(PAGES)
    dead = {
        f"{link} on {path}: {answer.status}"
        for link, path in found.items()
        if not (answer := opened.request.get(link)).ok and urlsplit(link).path not in NOT_THERE
    }
    assert dead == set()
