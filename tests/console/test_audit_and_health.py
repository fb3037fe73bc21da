"""The pages Audit and Health, and their REST routes."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from installation import Installation, until
from web_server import Console, serving

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"
ENTRIES = 250


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited") / "home"


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Console]:
    with serving(home, WINSLOW_STAGE_MODE="process") as console:
        records = ProjectRecords.open(f"sqlite:///{home / 'winslow.db'}")
        with records.database.writing() as connection:
            connection.execute(schema.audit.delete())  # the log-in of this test
            connection.execute(schema.audit.insert(), [entry(number) for number in range(ENTRIES)])
        records.close()
        yield console


def entry(number: int) -> dict[str, Any]:
    """Half are Anna's; each tenth pauses; one an hour."""
    return {
        "at": BEGIN + timedelta(hours=number),
        "who": "anna" if number % 2 else HOSTILE,
        "via": "console",
        "host": "192.0.2.7",
        "project": f"ulm-{number % 5}",
        "action": "run" if number % 10 else "pause",
        "details": {"number": number, "note": HOSTILE, "values": {"SPEED": [1, 2]}},
    }


def get(server: Console, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{server.address}{path}") as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def listed(text: str) -> list[int]:
    """The numbers of the entries on a page."""
    return [int(found) for found in re.findall(r"<dt>number</dt><dd>(\d+)</dd>", text)]


def test_the_latest_entries_come_first_and_older_pages_follow(server: Console) -> None:
    path: str | None = "/audit"
    numbers: list[int] = []
    pages = 0
    while path:
        status, text = get(server, path)
        assert status == 200
        numbers += listed(text)
        pages += 1
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = html.unescape(following[1]) if following else None
    assert numbers == list(range(ENTRIES - 1, -1, -1))
    assert pages == 3


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("who=anna", [number for number in range(ENTRIES) if number % 2]),
        ("project=ulm-3", [number for number in range(ENTRIES) if number % 5 == 3]),
        ("action=pause", [number for number in range(ENTRIES) if number % 10 == 0]),
        ("since=2026-03-02&until=2026-03-02", list(range(12, 36))),
        ("who=anna&project=ulm-3&until=2026-03-01", [3]),
        ("who=nobody", []),
        ("who=&project=&action=pause&since=&until=&before=", [number for number in range(ENTRIES) if number % 10 == 0]),
    ],
)
def test_filters_stand_in_the_address(server: Console, query: str, wanted: list[int]) -> None:
    _, text = get(server, f"/audit?{query}")
    assert listed(text) == sorted(wanted, reverse=True)[:100]
    assert ("No entry matches" in text) == (not wanted)


def test_nothing_of_an_entry_is_markup(server: Console) -> None:
    _, text = get(server, "/audit")
    assert HOSTILE not in text
    assert html.escape(HOSTILE) in text


@pytest.mark.parametrize("query", ["since=tomorrow", "before=-1", "before=99999999999999999999", "until=9999-12-31x"])
def test_a_filter_that_is_none_is_an_error_that_names_it(server: Console, query: str) -> None:
    status, text = get(server, f"/audit?{query}")
    assert status == 422
    assert query.partition("=")[0] in text


def test_the_last_of_all_days_is_a_day(server: Console) -> None:
    assert get(server, "/audit?until=9999-12-31")[0] == 200


def test_programs_get_the_same_entries(server: Console) -> None:
    _, text = get(server, "/api/v1/audit?limit=3&who=anna")
    page = json.loads(text)
    assert [each["details"]["number"] for each in page["entries"]] == [249, 247, 245]
    _, text = get(server, f"/api/v1/audit?limit=3&who=anna&before={page['before']}")
    assert [each["details"]["number"] for each in json.loads(text)["entries"]] == [243, 241, 239]
    _, text = get(server, "/api/v1/audit?since=2026-03-11T21:00:00Z&until=2026-03-12T00:00:00Z")
    assert (len(json.loads(text)["entries"]), json.loads(text)["before"]) == (1, None)
    status, text = get(server, "/api/v1/audit?limit=0&nonsense=1")
    assert status == 422
    assert {fault["field"] for fault in json.loads(text)["faults"]} == {"limit", "nonsense"}


def test_the_shell_finds_the_same_by_the_command_that_the_page_names(server: Console, home: Path) -> None:
    _, text = get(server, "/audit?who=anna&project=ulm-3&until=2026-03-03")
    found = re.search(r"<code>winslow (audit [^<]+)</code>", text)
    assert found is not None
    command = [*html.unescape(found[1]).split(), "--json"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("winslow")), *command],
        env={**os.environ, "WINSLOW_HOME": str(home)},
        capture_output=True,
        check=True,
    )
    assert [each["details"]["number"] for each in json.loads(done.stdout)["entries"]] == listed(text)


def whole_check(server: Console) -> str:
    """What the page shows once the check is done."""
    parts: list[str] = []

    def done() -> bool:
        check = re.search(r'data-check="(\d+)"', parts[-1]) if parts else None
        status, part = get(server, f"/health/findings?check={check[1]}" if check else "/health/findings")
        assert status == 200
        parts.append(part)
        return 'aria-busy="false"' in part

    until(done, "the check is done")
    return parts[-1]


def test_health_names_what_is_missing_and_the_remedy(server: Console) -> None:
    status, text = get(server, "/health")
    assert (status, 'hx-get="/health/findings"' in text) == (200, True)
    assert "winslow up" in text
    part = whole_check(server)
    assert 'data-finding="ok"' in part
    _, found = get(server, "/api/v1/findings")
    findings = json.loads(found)["findings"]
    assert json.loads(found)["ok"] == all(each["state"] != "missing" for each in findings)
    assert {"python", "store", "database", "services"} <= {each["name"] for each in findings}
    for each in findings:
        assert html.escape(each["name"]) in part
        assert each["remedy"] in html.unescape(part)
    services = next(each for each in findings if each["name"] == "services")
    assert services["command"] == "winslow up"
    assert "<code>winslow up</code>" in part


def test_programs_get_versions_and_nodes(server: Console) -> None:
    versions = json.loads(get(server, "/api/v1/versions")[1])
    assert versions["Dagster"] == "1.13.27"
    (node,) = json.loads(get(server, "/api/v1/node-usage")[1])
    assert node["disk_total_bytes"] >= node["disk_free_bytes"] > 0
    assert json.loads(get(server, "/api/v1/services")[1]) == []


def console_of(running: Installation) -> Console:
    assert running.supervisor is not None
    return Console(running.port, running.supervisor, running.settings, running.cookie())


@pytest.mark.slow
def test_health_shows_the_services_and_how_often_each_exited(tmp_path: Path) -> None:
    one = "name: one\ncommand: [sh, -c]\nstages:\n  - {name: work, args: ['true']}\n"
    running = Installation(tmp_path, None, {"one": one})
    running.up()
    try:
        services = {each["name"]: each for each in json.loads(get(console_of(running), "/api/v1/services")[1])}
        assert services["daemon"]["pid"] in running.service("daemon")
        assert datetime.fromisoformat(services["daemon"]["started_at"]) <= datetime.now(UTC)
        assert services["daemon"]["exits"] == 0
        os.kill(services["daemon"]["pid"], 9)
        console = console_of(running)

        def exits() -> int:
            return next(
                (each["exits"] for each in json.loads(get(console, "/api/v1/services")[1]) if each["name"] == "daemon"),
                0,
            )

        until(lambda: exits() == 1, "the daemon runs again")
        assert f">{running.service('daemon')[0]}<" in get(console, "/health")[1]
    finally:
        running.down()


@pytest.fixture(params=["light desktop", "dark phone"])
def page(browser: Browser, server: Console, request: pytest.FixtureRequest) -> Iterator[Page]:
    scheme, size = request.param.split()
    viewport = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 800}}[size]
    with browser.new_context(color_scheme=scheme, viewport=viewport) as context:  # type: ignore[arg-type]
        context.set_default_timeout(0)  # a test has a limit of its own
        context.add_cookies([server.cookie.of(server.address)])  # type: ignore[list-item]
        yield context.new_page()


def photographed(page: Page, name: str) -> None:
    directory = os.environ.get("WINSLOW_TEST_SCREENSHOTS")
    if directory:
        size = page.viewport_size or {"width": 0}
        page.screenshot(path=f"{directory}/{name}-{size['width']}.png", full_page=True)


def fits(page: Page) -> bool:
    fitting: bool = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    return fitting


@pytest.mark.chromium
def test_a_person_filters_the_audit_trail_and_sees_nothing_executed(server: Console, page: Page) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    from playwright.sync_api import expect

    page.goto(f"{server.address}/audit")
    photographed(page, "audit")
    assert fits(page)
    page.get_by_label("Person", exact=True).fill("anna")
    page.locator("select[name=action]").select_option("run")
    page.get_by_label("To", exact=True).fill("2026-03-02")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**/audit?who=anna*")
    expect(page.locator("tbody tr")).to_have_count(18)
    page.get_by_role("link", name="Show all").click()
    page.wait_for_url("**/audit")
    page.get_by_role("link", name="Older entries").click()
    page.wait_for_url("**/audit?before=*")
    expect(page.locator("tbody tr")).to_have_count(100)
    assert (dialogs, errors) == ([], [])


@pytest.mark.chromium
def test_the_findings_appear_on_the_open_page(server: Console, page: Page) -> None:
    from playwright.sync_api import expect

    page.goto(f"{server.address}/health")
    expect(page.locator("[data-finding='ok']").first).to_be_visible()
    photographed(page, "health")
    assert fits(page)
    findings = page.locator("#findings")
    expect(findings).to_have_attribute("aria-busy", "false")
    first = findings.get_attribute("data-check")
    page.get_by_role("button", name="Check again").click()
    expect(findings).not_to_have_attribute("data-check", str(first))
    expect(findings).to_contain_text("python")
    expect(findings).to_have_attribute("aria-busy", "false")
