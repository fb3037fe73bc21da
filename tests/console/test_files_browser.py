"""Files sent from a real browser: through everything that can happen on the way, and while the person goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from every_state import person, photograph
from installation import kill, until
from project_server import Server

from winslow_dagster.client import WinslowClient
from winslow_dagster.projects.dagster_api.credential import read_key
from winslow_dagster.projects.inputs.received_file import RESERVE_BYTES
from winslow_dagster.storage.checksum import checksum

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

SIZE_BYTES = 150_000_000
SLOW_BYTES_A_SECOND = 10_000_000


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


def choose(page: Page, path: Path, where: str = "#choose-files") -> None:
    page.locator("upload-area:defined").wait_for()
    page.locator(where).set_input_files(path)


def row_of(page: Page, name: str) -> Locator:
    """What the tray says of a file."""
    return page.locator("upload-tray li", has_text=name)


def press(page: Page, name: str, button: str) -> None:
    row_of(page, name).get_by_role("button", name=f"{button}: {name}").click()


def pause_early(page: Page, path: Path, where: str = "#choose-files") -> None:
    """Choose the file or folder, and pause once some of it is sent: slowly, so that some is left."""
    network = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": SLOW_BYTES_A_SECOND})
    choose(page, path, where)
    row = row_of(page, path.name)
    until(lambda: row.locator("progress").evaluate("bar => bar.value") > 0, "some of it is sent")
    press(page, path.name, "Pause")
    row.get_by_text("is paused").wait_for()
    page.locator("upload-tray summary", has_text=re.compile("paused")).wait_for()
    network.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})
    network.detach()


def is_as(server: Server, path: Path, name: str) -> bool:
    """Whether the pool has every byte of the file."""
    with path.open("rb") as original:
        return all(part == original.read(1_000_000) for part in content_of(server, name))


def test_a_file_is_sent_paused_and_continued_while_the_server_is_killed(
    context: BrowserContext, every_state: Server, tmp_path: Path
) -> None:
    path = film(tmp_path, "Kreuzung Süd.mp4")
    page = context.new_page()
    page.goto("/files")
    page.locator("upload-area:defined").wait_for()
    photograph(page, "files-empty")
    pause_early(page, path)
    photograph(page, "files-sending")
    press(page, path.name, "Resume")
    row = row_of(page, path.name)
    row.get_by_text("is being sent").wait_for()
    kill(every_state.place.service("web-server"))
    row.get_by_text("is in the pool as Kreuzung-Sud.mp4").wait_for()
    assert "no video that can be read" in row.inner_text()
    assert is_as(every_state, path, "Kreuzung-Sud.mp4")
    # The list of the page knows it by itself.
    page.get_by_role("row", name=re.compile("Kreuzung-Sud.mp4")).wait_for()
    photograph(page, "files-pool")
    # Nobody makes a project of it without knowing.
    page.goto("/")
    page.get_by_role("heading", name="Videos that cannot be read to their end").wait_for()
    photograph(page, "home-damaged-video")
    page.get_by_role("link", name="Kreuzung-Sud.mp4").wait_for()
    page.get_by_role("link", name="Send again").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove Kreuzung-Sud.mp4").click()
    page.get_by_role("row", name=re.compile("Kreuzung-Sud.mp4")).wait_for(state="detached")


def test_a_person_goes_on_to_other_pages_while_a_file_is_sent(
    context: BrowserContext, every_state: Server, tmp_path: Path
) -> None:
    path, second = film(tmp_path, "on-the-way.bin"), film(tmp_path, "chosen-later.bin", 2_000_000)
    page = context.new_page()
    page.goto("/files")
    pause_early(page, path)
    page.get_by_role("link", name="Projects").click()
    inside = page.frame_locator("iframe.covering")
    inside.get_by_role("heading", name="Projects").wait_for()
    inside.get_by_role("link", name="finished").first.click()
    inside.get_by_role("heading", name="finished").wait_for()
    page.wait_for_url("**/projects/finished")
    photograph(page, "uploads-elsewhere")
    page.set_viewport_size({"width": 390, "height": 844})
    photograph(page, "uploads-elsewhere-phone")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.go_back()
    inside.get_by_role("heading", name="Projects").wait_for()
    page.wait_for_url("**/projects")
    # Other sites refuse to be shown within it, so that they open in a tab of their own.
    link = '<a id="away" href="https://other.example/">away</a>'
    inside.locator("main").evaluate("(main, link) => main.insertAdjacentHTML('afterbegin', link)", link)
    with context.expect_page() as opened:
        inside.locator("#away").click()
    opened.value.close()
    # What is chosen on a page within the frame is sent by the page around it.
    page.go_back()
    inside.locator("upload-area:defined").wait_for()
    inside.locator("#choose-files").set_input_files(second)
    row_of(page, second.name).get_by_text("is in the pool as chosen-later.bin").wait_for()
    # Another tab shows it, too, and can say what becomes of it.
    other = context.new_page()
    other.goto("/audit")
    row_of(other, path.name).get_by_text("is paused").wait_for()
    press(other, path.name, "Resume")
    row_of(page, path.name).get_by_text("is in the pool as on-the-way.bin").wait_for()
    row_of(other, path.name).get_by_text("is in the pool as on-the-way.bin").wait_for()
    # Nothing is under way any more: the next page stands alone again.
    inside.get_by_role("link", name="Audit").click()
    page.get_by_role("heading", name="Audit").wait_for()
    assert page.locator("iframe.covering").count() == 0
    for each in (path, second):
        assert is_as(every_state, each, each.name)
        every_state.winslow.pool.remove(each.name)


def test_a_lost_connection_and_an_ended_session_are_told_and_nothing_is_lost(
    context: BrowserContext, every_state: Server, tmp_path: Path
) -> None:
    path = film(tmp_path, "interrupted.bin")
    page = context.new_page()
    page.goto("/files")
    pause_early(page, path)
    context.set_offline(True)
    press(page, path.name, "Resume")
    row_of(page, path.name).get_by_text("The connection is lost").wait_for()
    press(page, path.name, "Pause")
    context.set_offline(False)
    cookies = context.cookies()
    context.clear_cookies()
    press(page, path.name, "Resume")
    row_of(page, path.name).get_by_text("You are logged out").wait_for()
    (begun,) = every_state.winslow.uploads.unfinished()
    assert begun.received_bytes > 0
    context.add_cookies(cookies)  # type: ignore[arg-type]  # what it has given
    context.new_page().goto("/")
    row_of(page, path.name).get_by_text("is in the pool as interrupted.bin").wait_for()
    assert every_state.winslow.uploads.upload(begun.id).state == "stored"
    assert is_as(every_state, path, path.name)
    every_state.winslow.pool.remove(path.name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_told_and_the_rest_follows_by_itself_once_there_is_space(
    context: BrowserContext, every_state: Server, tmp_path: Path
) -> None:
    uploads, reserve_mib = every_state.place.settings.home / "uploads", RESERVE_BYTES >> 20
    mounted = ["mount", "-t", "tmpfs", "none", str(uploads), "-o"]
    uploads.mkdir(exist_ok=True)
    path = film(tmp_path, "large.bin")
    subprocess.run([*mounted, f"size={reserve_mib + 250}m"], check=True)
    try:
        page = context.new_page()
        page.goto("/files")
        pause_early(page, path)
        (begun,) = every_state.winslow.uploads.unfinished()
        here_mib = begun.received_bytes >> 20
        subprocess.run([*mounted, f"remount,size={reserve_mib + here_mib + 8}m"], check=True)
        press(page, path.name, "Resume")
        row_of(page, path.name).get_by_text("The disk is almost full").wait_for()
        subprocess.run([*mounted, f"remount,size={reserve_mib + 250}m"], check=True)
        row_of(page, path.name).get_by_text("is in the pool as large.bin").wait_for()
        assert is_as(every_state, path, path.name)
    finally:
        # Lazily: the server may be looking into it just now.
        subprocess.run(["umount", "--lazy", str(uploads)], check=True)
    every_state.winslow.pool.remove(path.name)


def test_what_is_cancelled_is_deleted_and_what_has_changed_is_not_sent(
    context: BrowserContext, every_state: Server, tmp_path: Path
) -> None:
    path, changed = film(tmp_path, "unwanted.bin"), film(tmp_path, "changed.bin")
    page = context.new_page()
    page.goto("/files")
    page.on("dialog", lambda dialog: dialog.accept())
    for each in (path, changed):
        pause_early(page, each)
    press(page, path.name, "Cancel")
    row_of(page, path.name).get_by_text("is cancelled").wait_for()
    (left,) = every_state.winslow.uploads.unfinished()
    assert left.file_name == changed.name
    with changed.open("ab") as file:
        file.write(b"more")
    press(page, changed.name, "Resume")
    row_of(page, changed.name).get_by_text("The file has changed").wait_for()
    press(page, changed.name, "Close")
    row_of(page, changed.name).wait_for(state="detached")
    every_state.winslow.uploads.cancel(left.id)


def test_two_gibibytes_arrive_whole_though_the_server_is_killed_on_the_way(
    context: BrowserContext, every_state: Server, tmp_path: Path
) -> None:
    path, block = tmp_path / "two-gibibytes.bin", os.urandom(1 << 20)
    with path.open("wb") as file:
        for number in range(2048):
            file.write(number.to_bytes(8) + block[8:])
    page = context.new_page()
    page.goto("/files")
    choose(page, path)
    row = row_of(page, path.name)
    for share in (0.1, 0.5):
        until(lambda share=share: sent_share(row) > share, "it is under way")  # type: ignore[misc]  # a default
        kill(every_state.place.service("web-server"))
        row.get_by_text("The connection is lost").wait_for()
    row.get_by_text("is in the pool as two-gibibytes.bin").wait_for(timeout=0)
    stored = every_state.winslow.pool.files.file(path.name).manifest
    sent = checksum(path)
    tree = every_state.winslow.context.store.read_only_path(stored)
    assert tree is not None
    assert ([entry.blake3 for entry in stored.files], checksum(tree / path.name)) == ([sent], sent)
    every_state.winslow.pool.remove(path.name)
    path.unlink()


def sent_share(row: Locator) -> float:
    share: float = row.locator("progress").evaluate("bar => bar.position")
    return share


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
        # It is complete, and stays so once the tray is closed.
        page.locator("upload-tray").get_by_role("button", name="Close what is done").click()
        page.locator("upload-tray").wait_for(state="hidden")
        assert not page.get_by_text("Not complete yet").is_visible()
    assert is_as(every_state, path, "begun.bin")
    assert every_state.winslow.uploads.upload(begun.id).state == "stored"
    for name in ("begun.bin", "begun-2.bin"):
        every_state.winslow.pool.remove(name)


def test_the_command_line_goes_on_with_a_folder_of_a_browser_and_a_browser_with_a_file_of_the_command_line(
    browser: Browser, every_state: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "Vermessung Süd"
    (folder / "交差点" / "deep").mkdir(parents=True)
    film(folder / "交差点" / "deep", "film.bin")
    for number in range(300):
        (folder / f"point-{number}.csv").write_text(f"{number}\n")
    (folder / "empty").touch()
    with person(browser, every_state, "admin") as first:
        page = first.new_page()
        page.goto("/files")
        pause_early(page, folder, "#choose-folder")
    (begun,) = every_state.winslow.uploads.unfinished()
    assert (begun.kind, begun.file_name, 0 < begun.received_bytes < begun.size_bytes) == (
        "directory",
        folder.name,
        True,
    )
    (ended,) = upload(every_state, folder)
    assert (ended["id"], ended["state"], ended["name"]) == (begun.id, "stored", "Vermessung-Sud")
    stored = {
        entry.path: entry.blake3 for entry in every_state.winslow.pool.files.file("Vermessung-Sud").manifest.files
    }
    sent = {path.relative_to(folder).as_posix(): checksum(path) for path in folder.rglob("*") if path.is_file()}
    assert (stored, len(sent)) == (sent, 302)
    # The other way round.
    path = film(tmp_path, "from-the-shell.bin")
    with WinslowClient(every_state.place.services.address, read_key(every_state.place.settings)) as client:
        started = client.uploads.begin(path)
    with every_state.winslow.uploads.receive(started.id, 0) as receiver:
        receiver.append(path.read_bytes()[:1_000_000])
    with person(browser, every_state, "admin") as second:
        page = second.new_page()
        page.goto("/files")
        choose(page, path)
        row_of(page, path.name).get_by_text("is in the pool as from-the-shell.bin").wait_for()
        page.get_by_role("row", name=re.compile("Vermessung-Sud")).get_by_text("302 files").wait_for()
    assert every_state.winslow.uploads.upload(started.id).state == "stored"
    assert is_as(every_state, path, path.name)
    for name in ("Vermessung-Sud", path.name):
        every_state.winslow.pool.remove(name)


def upload(server: Server, path: Path) -> list[dict[str, Any]]:
    """What `winslow upload` says."""
    command = [str(Path(sys.executable).with_name("winslow")), "upload", str(path), "--json"]
    done = subprocess.run(command, env=server.place.environment, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["uploads"]
    return found


def test_a_viewer_sees_the_pool_and_sends_nothing(browser: Browser, every_state: Server) -> None:
    with person(browser, every_state, "viewer") as context:
        page = context.new_page()
        page.goto("/files")
        page.get_by_role("heading", name="Files").wait_for()
        assert page.locator("upload-tray, upload-area").count() == 0
        assert page.locator("[hx-post]").count() == 0
