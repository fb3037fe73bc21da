"""The pool and its trash: for programs over HTTP, and in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from every_state import person, photograph
from project_server import Server

from winslow_dagster.client import WinslowClient
from winslow_dagster.errors import Forbidden, NotFound, ProjectConflict
from winslow_dagster.projects.domain.actor import Role
from winslow_dagster.projects.domain.pool import PoolQuery

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


def client_of(server: Server, name: str, role: Role) -> WinslowClient:
    accounts = server.winslow.accounts
    if name not in {each.name for each in accounts.people()}:
        accounts.add(name, role=role)
    return WinslowClient(server.place.services.address, accounts.create_token(name, "tests").key)


def table(directory: Path, text: str) -> Path:
    path = directory / "table.csv"
    path.write_text(text)
    return path


@pytest.fixture
def page(browser: Browser, every_state: Server) -> Iterator[Page]:
    with person(browser, every_state) as context:
        opened = context.new_page()
        opened.on("dialog", lambda dialog: dialog.accept())
        yield opened


def test_programs_find_rename_replace_remove_and_restore_files(every_state: Server, tmp_path: Path) -> None:
    every_state.winslow.pool.add(table(tmp_path, "a,b\n1,2\n"), "over-http")
    new = str(table(tmp_path, "a,b\n3,4\n"))
    with client_of(every_state, "olga", "operator") as olga, client_of(every_state, "ada", "admin") as ada:
        (found,) = olga.pool.find(PoolQuery(text="OVER-h", sort="size", descending=True)).files
        assert (found.name, found.file_name, found.size_bytes, found.used_by) == ("over-http", "table.csv", 8, ())
        assert "No project uses it" in olga.pool.effect("remove", "over-http").text
        assert olga.pool.rename("over-http", "renamed").id == found.id
        with pytest.raises(Forbidden):
            olga.pool.replace("renamed", new)
        earlier = ada.pool.replace("renamed", new)
        details = olga.pool.details("renamed")
        assert (earlier.id, [each.id for each in details.earlier]) == (found.id, [found.id])
        with pytest.raises(ProjectConflict, match="has a file 'counts' already"):
            olga.pool.rename("renamed", "counts")
        assert olga.pool.restore(found.id).id == found.id
        assert olga.pool.remove("renamed").id == found.id
        assert [each.name for each in olga.pool.trash()][:2] == ["renamed", "renamed"]
        with pytest.raises(Forbidden):
            olga.pool.purge(found.id)
        assert [ada.pool.purge("renamed").freed_bytes for _ in range(2)] == [8, 8]
        with pytest.raises(NotFound, match="no deleted file 'renamed'"):
            ada.pool.purge("renamed")


def test_a_directory_that_cannot_be_kept_is_the_senders_fault(every_state: Server, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    os.mkfifo(tmp_path / "frames" / "pipe")
    answer = every_state.send(
        "/api/v1/pool", "POST", {"path": str(tmp_path / "frames")}, **every_state.place.authorization
    )
    assert answer.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.data["error"] == "NotStorable"
    assert "this is a pipe" in answer.data["detail"]


@pytest.mark.chromium
def test_a_file_is_searched_looked_at_renamed_removed_and_brought_back(
    every_state: Server, page: Page, tmp_path: Path
) -> None:
    pool = every_state.winslow.pool
    pool.add(table(tmp_path, "time,cars\n1,<b>2</b>\n"), "clicked")
    every_state.winslow.create("steps", "clicks")
    page.goto("/pool")
    page.get_by_label("Search by name").fill("clic")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="clicked", exact=True).click()
    page.get_by_text("<b>2</b>").wait_for()
    photograph(page, "pool-file")
    page.get_by_role("button", name="Rename…").click()
    page.get_by_label("New name").fill("clicked-2")
    photograph(page, "pool-rename")
    page.get_by_role("button", name="Rename", exact=True).click()
    page.get_by_role("heading", name="clicked-2", exact=True).wait_for()
    page.get_by_role("button", name="Remove…").click()
    page.get_by_text("It can be restored for 30 days").wait_for()
    photograph(page, "pool-remove")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_text("clicked-2 is no longer in the pool.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="clicked-2", exact=True).wait_for()
    assert pool.files.file("clicked-2").file_name == "table.csv"


@pytest.mark.chromium
def test_a_file_is_replaced_by_another_and_the_earlier_one_is_put_back(
    every_state: Server, page: Page, tmp_path: Path
) -> None:
    pool = every_state.winslow.pool
    old = pool.add(table(tmp_path, "a\n1\n"), "swapped")
    new = pool.add(table(tmp_path, "a\n22\n"), "swapped-new")
    page.goto("/pool/swapped")
    page.get_by_role("button", name="Replace…").click()
    page.get_by_label("By this file of the pool").select_option("swapped-new")
    page.get_by_role("button", name="Replace", exact=True).click()
    page.get_by_text("swapped is replaced.").wait_for()
    assert pool.files.file("swapped").id == new.id
    page.get_by_role("button", name="Replace…").click()
    page.get_by_label("Choose a file").set_input_files(table(tmp_path, "a\n333\n"))
    page.get_by_text("It has taken the place of the earlier file.").wait_for()
    page.get_by_text("333").wait_for()
    sent = pool.files.file("swapped").id
    assert sent not in {old.id, new.id}
    photograph(page, "pool-replaced")
    page.get_by_role("button", name="Put back").click()
    page.get_by_role("cell", name="22", exact=True).wait_for()
    assert pool.files.file("swapped").id == new.id
    # The one that was there just now comes first.
    page.get_by_role("button", name="Put back").nth(1).click()
    page.get_by_role("cell", name="1", exact=True).wait_for()
    assert pool.files.file("swapped").id == old.id
    page.goto("/trash")
    gone = page.locator(f"#file-{new.id}")
    gone.get_by_role("button", name="Delete for good").click()
    gone.wait_for(state="detached")
    photograph(page, "trash")
    assert new.id not in {each.id for each in pool.trash()}


def test_programs_see_what_takes_space_and_set_quotas(every_state: Server) -> None:
    with client_of(every_state, "olga", "operator") as olga, client_of(every_state, "ada", "admin") as ada:
        space = olga.space.summary(1)
        assert space.projects[0].outputs_bytes > 0
        assert {"outputs", "logs", "pool", "trash"} <= {each.kind for each in space.kinds}
        assert {"footage", "tables", "cache"} <= {each.kind for each in olga.space.measure()}
        assert [each.free_bytes > 0 for each in olga.space.disks()] == [True]
        with pytest.raises(Forbidden):
            olga.quotas.set("project", "finished", "1GiB")
        assert ada.quotas.set("project", "finished", "1GiB").limit_bytes == 1 << 30
        (use,) = (each for each in olga.quotas.overview().uses if each.name == "finished")
        assert (use.current_state, use.used_bytes > 0) == ("ok", True)
        ada.quotas.clear("project", "finished")


@pytest.mark.chromium
def test_a_quota_is_set_and_removed_under_settings_and_its_use_is_shown(every_state: Server, page: Page) -> None:
    page.goto("/settings/quotas")
    page.get_by_text("There is no quota").wait_for()
    page.get_by_label("Name, or * for all").fill("*")
    page.get_by_label("Limit", exact=True).fill("1 B")
    page.get_by_role("button", name="Set the quota").click()
    page.get_by_text("The quota of project * is 1 B.").wait_for()
    page.locator("#quotas").get_by_text("used up").first.wait_for()
    photograph(page, "quotas")
    page.goto("/space")
    page.locator("#quotas").get_by_text("used up").first.wait_for()
    photograph(page, "space-quotas")
    page.get_by_role("button", name="Find out").click()
    page.get_by_text("Nothing: all that they allow").or_(page.get_by_text("The rules would free")).wait_for()
    page.get_by_role("link", name="Change the quotas").click()
    page.get_by_role("button", name="Remove the quota of project *").click()
    page.get_by_text("There is no quota").wait_for()
    assert every_state.winslow.quotas.overview().quotas == ()
    file = every_state.place.settings.quotas_file
    file.write_text("projects: {finished: 1 TiB}  # ours\n")
    try:
        page.reload()
        page.get_by_text("and are changed there").wait_for()
        page.get_by_text("projects: {finished: 1 TiB}  # ours").wait_for()
        assert page.get_by_role("button", name="Set the quota").count() == 0
        photograph(page, "quotas-in-file")
    finally:
        file.unlink()


@pytest.mark.chromium
def test_the_rules_of_a_project_are_tried_and_put_in_force_on_its_page(every_state: Server, page: Page) -> None:
    page.goto("/projects/finished")
    page.get_by_role("link", name="Retention rules").click()
    rules = page.get_by_label("Rules, one a line")
    rules.fill('{glob: "*.png", attempts: 1, days: 0}\n\n{}\n')
    page.get_by_role("button", name="See what would change").click()
    page.locator("#preview").get_by_text("Would be removed").or_(
        page.get_by_text("remove and keep the same")
    ).wait_for()
    page.get_by_role("button", name="Put in force").click()
    page.get_by_text("The rules are in force.").wait_for()
    photograph(page, "project-retention")
    page.reload()
    assert rules.input_value() == "{glob: '*.png', attempts: 1, days: 0}\n{}"
    rules.fill("{globe: x}")
    page.get_by_role("button", name="Put in force").click()
    page.get_by_text("is not a retention rule").wait_for()
    rules.fill("")
    page.get_by_role("button", name="Put in force").click()
    page.get_by_text("finished has no rules of its own any more.").wait_for()
    assert every_state.winslow.retention.rules("finished").rules == ()
