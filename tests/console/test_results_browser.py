"""Results in a real browser: tables of any number of rows, charts and maps of what a stage has written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from every_state import person
from project_server import Server, running
from result_pipelines import results
from test_every_page import looked_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("results"), results) as started:
        assert started.winslow.run("results", "made").ended().state == "succeeded"
        yield started


@pytest.fixture(scope="module")
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    with person(browser, server, trusting=True) as opened:
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    errors: list[object] = []

    def note(error: object) -> None:
        errors.append(error)

    opened.on("pageerror", note)
    yield opened
    assert errors == []
    opened.close()


def table_of(page: Page, file: str) -> None:
    """Open the file, and return once its table is there."""
    page.goto(f"/projects/made/stages/make/files?file={file}")
    page.locator("table-view .grid-row .grid-number").first.wait_for()


def rows(page: Page) -> list[str]:
    return page.locator("table-view .grid-row").all_inner_texts()


def test_a_long_table_is_scrolled_sorted_filtered_and_jumped_in(page: Page) -> None:
    table_of(page, "large.csv")
    assert page.locator(".grid-count").inner_text() == "300,000 rows"
    assert page.locator("table-view .grid-row").count() < 60
    page.get_by_label("Go to row").fill("250000")
    page.keyboard.press("Enter")
    page.get_by_role("cell", name="249999", exact=True).wait_for()
    page.locator(".grid-scroll").evaluate("grid => { grid.scrollTop = grid.scrollHeight }")
    page.get_by_role("cell", name="299999", exact=True).wait_for()
    page.get_by_role("button", name="double").click()
    page.get_by_role("button", name="double").click()
    page.locator('[data-column="double"][aria-sort="descending"]').wait_for()
    page.locator('.grid-row[data-row="0"]', has_text="299999").wait_for()
    page.get_by_label("Filter rows").fill("i < 10; double > 3")
    page.locator(".grid-count", has_text="8 of 300,000 rows").wait_for()
    page.get_by_label("Filter rows").fill("nonsense")
    page.locator(".table-says.fault", has_text="is not a condition").wait_for()


def test_a_table_is_read_by_keyboard_and_copied(page: Page, context: BrowserContext, server: Server) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.place.services.address)
    table_of(page, "tracks.csv")
    page.locator(".grid-scroll").focus()
    for key in ("End", "Home", "ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert page.locator(".grid-row[data-chosen]").count() == 2
    page.keyboard.press("Control+c")
    page.locator(".message", has_text="Copied").first.wait_for()
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied[0].split("\t")[:2] == ["track_id", "time_s"]
    assert copied[1].split("\t")[:2] == ["0", "0.1"]
    assert len(copied) == 3
    assert looked_at(page, "results-table") == []
