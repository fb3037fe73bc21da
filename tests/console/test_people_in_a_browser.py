"""Logging in, and the pages about people, in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from web_server import Console, serving

from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with serving(tmp_path_factory.mktemp("people") / "home") as console:
        yield console


@pytest.fixture(params=["light desktop", "dark phone"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A browser that nobody has used. Nothing that it loads may fail."""
    scheme, size = request.param.split()
    viewport = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}[size]
    with browser.new_context(color_scheme=scheme, viewport=viewport) as context:  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        opened = context.new_page()
        errors: list[object] = []
        opened.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108  # playwright inspects it
        yield opened
        assert errors == []


def photographed(page: Page, name: str) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the window"
    directory = os.environ.get("WINSLOW_TEST_SCREENSHOTS")
    if directory:
        width = (page.viewport_size or {"width": 0})["width"]
        page.screenshot(path=f"{directory}/{name}-{width}.png", full_page=True)


def test_the_first_person_comes_by_the_printed_address_and_goes_on_without_a_password(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path / "home", first=True) as console, browser.new_context() as context:
        with Installation(console.settings, Services(console.settings)) as installation:
            key = installation.accounts.entry_link()
        page = context.new_page()
        page.goto(f"{console.address}/projects")
        page.get_by_text("Nobody has been added yet").wait_for()
        photographed(page, "login-nobody")
        page.goto(f"{console.address}/login/link?key={key}")
        photographed(page, "login-first")
        page.get_by_label("Name").fill("anna")
        page.get_by_role("button", name="Continue without a password").click()
        page.wait_for_url(f"{console.address}/")
        page.get_by_title("Your password").get_by_text("anna").wait_for()


def test_a_person_logs_in_changes_what_is_his_and_logs_out(server: Console, page: Page) -> None:
    name = f"anna-{(page.viewport_size or {'width': 0})['width']}"
    with Installation(server.settings, Services(server.settings)) as installation:
        installation.accounts.add(name, role="operator", password=PASSWORD, display_name="Anna Maier")
    page.goto(f"{server.address}/settings?from=bookmark")
    assert "/login?next=" in page.url
    photographed(page, "login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").get_by_text("Name or password is wrong").wait_for()
    assert page.get_by_label("Name").input_value() == name
    photographed(page, "login-wrong")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{server.address}/settings?from=bookmark")

    page.get_by_label("What it is for").fill("nightly <export>")
    page.get_by_role("button", name="Create").click()
    key = page.locator("#new-token code")
    key.wait_for()
    assert re.fullmatch(r"winslow_[\w-]{43}", key.inner_text())
    page.locator("#tokens").get_by_text("nightly <export>").wait_for()
    photographed(page, "settings-you")
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#tokens").get_by_role("button", name="Revoke").click()
    page.locator("#tokens").get_by_text("You have none").wait_for()

    page.get_by_label("Present password").fill("wrong password")
    page.get_by_label("New password").fill("another password")
    page.get_by_role("button", name="Change the password").click()
    page.get_by_text("name or password is wrong").wait_for()
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_role("button", name="Change the password").click()
    page.get_by_text("The password was changed").wait_for()

    page.get_by_role("button", name="Log out", exact=True).first.click()
    page.wait_for_url(f"{server.address}/login")
    page.go_back()
    page.wait_for_url(re.compile(r"/login"))


def test_the_log_in_works_without_scripts(server: Console, browser: Browser) -> None:
    with Installation(server.settings, Services(server.settings)) as installation:
        installation.accounts.add("plain", password=PASSWORD)
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{server.address}/login")
        page.get_by_label("Name").fill("plain")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{server.address}/")
        page.get_by_role("button", name="Log out", exact=True).click()
        page.wait_for_url(f"{server.address}/login")


def test_an_administrator_adds_and_changes_people(server: Console, page: Page) -> None:
    name = f"ben-{(page.viewport_size or {'width': 0})['width']}"
    page.context.add_cookies([server.cookie.of(server.address)])  # type: ignore[list-item]
    page.goto(f"{server.address}/settings/people")
    page.get_by_label("Log-in name").fill(name)
    page.get_by_role("button", name="Add").click()
    person = page.locator(f"#person-{name}")
    person.wait_for()
    assert page.get_by_label("Log-in name").input_value() == ""
    person.locator("summary").click()
    person.get_by_label("Role").select_option("operator")
    person.get_by_label("Groups").fill("tracking, ulm")
    person.get_by_role("button", name="Save").click()
    person.locator("summary").get_by_text("tracking").wait_for()
    assert person.locator("details").evaluate("details => details.open"), "a refresh closes nothing"
    photographed(page, "settings-people")
    person.get_by_role("button", name="Make a link").click()
    person.get_by_text(f"{server.address}/login/link?key=").wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    person.get_by_role("button", name="Disable").click()
    person.locator("summary").get_by_text("disabled").wait_for()
    assert page.get_by_text(f"{server.address}/login/link?key=").is_visible()


def test_a_page_whose_session_ends_leads_to_the_log_in(server: Console, browser: Browser) -> None:
    with browser.new_context() as context, Installation(server.settings, Services(server.settings)) as installation:
        context.add_cookies([server.cookie.of(server.address)])  # type: ignore[list-item]
        page = context.new_page()
        page.goto(f"{server.address}/settings")
        installation.accounts.end_sessions("admin")
        page.wait_for_url(re.compile(r"/login\?next="))
