"""The page of files in a real browser: a film is sent through everything that can happen on the way."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from every_state import person, photograph
from installation import kill, until
from project_server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

SIZE_BYTES = 150_000_000


@pytest.fixture
def context(browser: Browser, every_state: Server) -> Iterator[BrowserContext]:
    with person(browser, every_state, "operator") as opened:
        yield opened


def film(directory: Path, name: str, size_bytes: int = SIZE_BYTES) -> Path:
    path = directory / name
    with path.open("wb") as file:
        for _ in range(size_bytes // 1_000_000):
            file.write(os.urandom(1_000_000))
    return path


def content_of(server: Server, name: str) -> Iterator[bytes]:
    pool = server.winslow.pool.files
    file = pool.file(name)
    (entry,) = file.manifest.files
    for begin in range(0, entry.size_bytes, 1_000_000):
        yield server.winslow.context.store.read_range(
            file.manifest, entry, begin, min(1_000_000, entry.size_bytes - begin)
        )


def choose(page: Page, *paths: Path) -> None:
    page.locator("#choose-files").set_input_files(paths)


def state_of(page: Page, name: str) -> str:
    return page.locator("[data-sending] li", has_text=name).locator("[data-state]").inner_text()


def test_a_file_is_sent_paused_and_continued_while_the_server_is_killed(
    context: BrowserContext, every_state: Server, tmp_path: Path
) -> None:
    path = film(tmp_path, "Kreuzung Süd.mp4")
    page = context.new_page()
    page.goto("/files")
    page.locator("upload-tray:defined").wait_for()
    photograph(page, "files-empty")
    choose(page, path)
    row = page.locator("[data-sending] li", has_text=path.name)
    until(lambda: row.locator("progress").evaluate("bar => bar.value") > 0, "some of it is sent")
    row.get_by_role("button", name="Pause").click()
    row.get_by_text("is paused").wait_for()
    photograph(page, "files-sending")
    row.get_by_role("button", name="Go on").click()
    row.get_by_text("is being sent").wait_for()
    kill(every_state.place.service("web-server"))
    row.get_by_text("is in the pool as Kreuzung-Sud.mp4").wait_for()
    assert "no video that can be read" in state_of(page, path.name)
    with path.open("rb") as original:
        assert all(part == original.read(1_000_000) for part in content_of(every_state, "Kreuzung-Sud.mp4"))
    page.reload()
    page.get_by_role("row", name=re.compile("Kreuzung-Sud.mp4")).wait_for()
    photograph(page, "files-pool")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove Kreuzung-Sud.mp4").click()
    page.get_by_role("row", name=re.compile("Kreuzung-Sud.mp4")).wait_for(state="detached")


def test_a_closed_browser_is_continued_in_another_one_with_the_same_file_only(
    browser: Browser, every_state: Server, tmp_path: Path
) -> None:
    path = film(tmp_path, "begun.bin")
    with person(browser, every_state, "operator") as first:
        page = first.new_page()
        page.goto("/files")
        choose(page, path)
        until(
            lambda: any(each.received_bytes for each in every_state.winslow.uploads.unfinished()), "some of it is here"
        )
    (begun,) = every_state.winslow.uploads.unfinished()
    with person(browser, every_state, "operator") as second:
        page = second.new_page()
        page.goto("/files")
        page.get_by_text("Not complete yet").wait_for()
        assert page.locator("[data-upload]").get_attribute("data-upload") == begun.id
        photograph(page, "files-unfinished")
        # Another file of this name is an upload of its own.
        other = tmp_path / "other"
        other.mkdir()
        choose(page, film(other, "begun.bin", 2_000_000))
        page.get_by_text("is in the pool as begun-2.bin").wait_for()
        choose(page, path)
        page.get_by_text("is in the pool as begun.bin").wait_for()
    with path.open("rb") as original:
        assert all(part == original.read(1_000_000) for part in content_of(every_state, "begun.bin"))
    assert every_state.winslow.uploads.upload(begun.id).state == "stored"
    for name in ("begun.bin", "begun-2.bin"):
        every_state.winslow.pool.remove(name)


def test_a_viewer_sees_the_pool_and_sends_nothing(browser: Browser, every_state: Server) -> None:
    with person(browser, every_state, "viewer") as context:
        page = context.new_page()
        page.goto("/files")
        page.get_by_role("heading", name="Files").wait_for()
        assert page.locator("upload-tray").count() == 0
        assert page.locator("[hx-post]").count() == 0
