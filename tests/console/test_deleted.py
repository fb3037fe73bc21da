"""Deleting projects, restoring them and taking note of failures: for programs and in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from every_state import person, photograph
from project_server import Server

from winslow_dagster.client import WinslowClient
from winslow_dagster.errors import Forbidden, NotFound, ProjectDeleted
from winslow_dagster.projects.domain.actor import Role
from winslow_dagster.projects.domain.views import SavedView

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.slow


def client_of(server: Server, name: str, role: Role) -> WinslowClient:
    accounts = server.winslow.accounts
    if name not in {each.name for each in accounts.people()}:
        accounts.add(name, role=role)
    return WinslowClient(server.place.services.address, accounts.create_token(name, "tests").key)


def created(server: Server, *names: str) -> None:
    """Projects that are there, whatever an earlier test has done with them."""
    for name in names:
        if name in server.winslow.context.records.names():
            server.winslow.project(name).restore()
        else:
            server.winslow.create("steps", name)


@pytest.fixture
def page(browser: Browser, every_state: Server) -> Iterator[Page]:
    with person(browser, every_state) as context:
        opened = context.new_page()
        opened.on("dialog", lambda dialog: dialog.accept())
        errors: list[object] = []

        def note(error: object) -> None:
            errors.append(error)

        opened.on("pageerror", note)
        yield opened
        assert errors == []


def row(page: Page, name: str) -> Locator:
    return page.locator(f"#project-{name}")


def test_programs_delete_and_restore_a_project_over_http(every_state: Server) -> None:
    every_state.winslow.run("quick", "over-http").wait()
    assert every_state.place.dagster().runs(project="over-http") != ()
    with client_of(every_state, "olga", "operator") as olga, client_of(every_state, "ada", "admin") as ada:
        project = olga.project("over-http")
        assert project.deletion_effect().attempts == 1
        deletion = project.delete("no longer needed")
        assert (deletion.deleted_by, deletion.reason) == ("olga", "no longer needed")
        assert "over-http" not in {each.project for each in olga.projects()}
        with pytest.raises(ProjectDeleted, match="was deleted by olga") as error:
            olga.status("over-http")
        assert error.value.action is not None
        assert error.value.action.name == "restore_project"
        assert "over-http" in {each.project for each in olga.deleted_projects()}
        olga.project("over-http").restore()
        assert olga.act_on(["over-http"], "delete", reason="again")[0].done
        with pytest.raises(Forbidden):
            olga.purge("over-http")
        assert ada.purge("over-http").gone
        with pytest.raises(NotFound):
            olga.project("over-http")
    assert every_state.place.dagster().runs(project="over-http") == ()


def test_programs_save_and_delete_views_over_http(every_state: Server) -> None:
    with client_of(every_state, "olga", "operator") as olga:
        saved = olga.save_view(SavedView(owner="", name="rainy", filter="tag:rain", sort="name", shared=True))
        assert (saved.owner, saved.filter, saved.sort, saved.shared) == ("olga", "tag:rain", "name", True)
        assert saved in olga.saved_views()
        olga.delete_view("rainy")
        assert saved not in olga.saved_views()
        with pytest.raises(NotFound):
            olga.delete_view("rainy")


@pytest.mark.chromium
def test_a_project_is_deleted_from_the_list_and_the_message_undoes_it(every_state: Server, page: Page) -> None:
    created(every_state, "in-a-list")
    page.goto("/projects?filter=in-a-list")
    row(page, "in-a-list").locator("details.menu > summary").click()
    row(page, "in-a-list").get_by_role("button", name="Delete…").click()
    dialog = page.locator("#delete-dialog")
    dialog.get_by_text("can be restored for 30 days").wait_for()
    photograph(page, "delete-dialog")
    dialog.get_by_label("Reason").fill("a test")
    dialog.get_by_role("button", name="Delete").click()
    page.get_by_text("in-a-list: deleted").wait_for()
    dialog.wait_for(state="hidden")
    row(page, "in-a-list").wait_for(state="detached")
    photograph(page, "delete-undo")
    deletion = every_state.winslow.project("in-a-list").deletion()
    assert deletion is not None
    assert deletion.reason == "a test"
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("in-a-list: restored").wait_for()
    row(page, "in-a-list").wait_for()


@pytest.mark.chromium
def test_a_project_is_deleted_from_its_own_page_which_then_offers_to_restore_it(
    every_state: Server, page: Page
) -> None:
    created(every_state, "on-its-page")
    page.goto("/projects/on-its-page")
    page.locator("#acts-menu > summary").click()
    page.get_by_role("button", name="Delete…").click()
    page.locator("#delete-dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/projects")
    page.get_by_text("on-its-page: deleted").wait_for()
    page.goto("/projects/on-its-page")
    page.get_by_role("heading", name="The project on-its-page was deleted by").wait_for()
    photograph(page, "deleted-project")
    page.get_by_role("button", name="Restore", exact=True).click()
    page.wait_for_url("**/projects/on-its-page")
    page.locator("#project-name").wait_for()
    assert every_state.winslow.project("on-its-page").deletion() is None


@pytest.mark.chromium
def test_many_projects_are_deleted_at_once_and_restored_at_once(every_state: Server, page: Page) -> None:
    created(every_state, "many-a", "many-b")
    page.goto("/projects?filter=many-")
    page.locator("#pick-many-a").check()
    page.locator("#pick-many-b").check()
    page.locator("#many").get_by_role("button", name="Delete…").click()
    dialog = page.locator("#delete-dialog")
    dialog.get_by_role("heading", name="Delete 2 projects?").wait_for()
    photograph(page, "delete-many")
    dialog.get_by_role("button", name="Delete").click()
    page.get_by_text("Deleted: 2 of 2 projects.").wait_for()
    row(page, "many-a").wait_for(state="detached")
    page.locator("#act-summary").get_by_role("button", name="Undo").click()
    page.get_by_text("Restored: 2 of 2 projects.").wait_for()
    row(page, "many-b").wait_for()


@pytest.mark.chromium
def test_deleted_projects_are_listed_restored_and_removed_for_good(every_state: Server, page: Page) -> None:
    created(every_state, "kept-one", "lost-one")
    for name in ("kept-one", "lost-one"):
        every_state.winslow.project(name).delete("<b>test</b>")
    page.goto("/projects")
    page.get_by_role("link", name="Deleted", exact=True).click()
    kept, lost = page.locator("#deleted-kept-one"), page.locator("#deleted-lost-one")
    assert "<b>test</b>" in kept.inner_text()
    assert "deleted by anna" in kept.inner_text()
    photograph(page, "deleted-projects")
    kept.get_by_role("button", name="Restore", exact=True).click()
    kept.wait_for(state="detached")
    lost.get_by_role("button", name="Delete for good").click()
    page.get_by_text("lost-one is gone.").wait_for()
    lost.wait_for(state="detached")
    assert "lost-one" not in every_state.winslow.context.records.names()


@pytest.mark.chromium
def test_a_failure_is_noted_on_the_first_page_and_that_can_be_undone(every_state: Server, page: Page) -> None:
    every_state.winslow.run("failing", "failed-two").ended()
    page.goto("/")
    need = page.locator("#need-failed-two")
    photograph(page, "needs-with-noted")
    need.get_by_role("button", name="Noted").click()
    need.wait_for(state="detached")
    page.goto("/projects/failed-two")
    page.get_by_text("Noted by").wait_for()
    photograph(page, "noted-project")
    page.get_by_role("button", name="Put back").click()
    page.get_by_text("failed-two waits for somebody again.").wait_for()
    page.goto("/")
    need.get_by_role("button", name="Noted").click()
    need.wait_for(state="detached")
    page.get_by_role("button", name="Undo").click()
    need.wait_for()


@pytest.mark.chromium
def test_a_list_offers_acts_only_on_projects_that_one_may_act_on(browser: Browser, every_state: Server) -> None:
    created(every_state, "others-a", "others-b")
    accounts = every_state.winslow.accounts
    if "gert" not in {each.name for each in accounts.people()}:
        accounts.add("gert", role="operator")
    accounts.set_groups("gert", ["rail"])
    every_state.winslow.project("others-a").give(group="rail")
    with person(browser, every_state, "operator") as context:
        page = context.new_page()
        page.goto("/projects?filter=others-")
        for name, offered in (("others-a", 0), ("others-b", 1)):
            row(page, name).locator("details.menu > summary").click()
            assert row(page, name).get_by_role("button", name="Delete…").count() == offered
            assert row(page, name).get_by_role("checkbox").count() == offered
