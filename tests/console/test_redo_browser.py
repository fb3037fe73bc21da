"""The redo drawer in a real browser, on real shell stages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from accessibility import serious
from every_state import SCHEMES, SIZES, person
from installation import until
from project_server import Server, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

SECRET = "hunter2-is-no-password"
OUTDATED = "That puts count and report out of date until they have run again."
DETECT = "/projects/tuned-one/stages/detect"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("redo-browser")) as started:
        winslow = started.winslow
        winslow.secrets.set("KEY", SECRET)
        winslow.run("tuned", "tuned-one", settings={"detect": {"env": {"THRESHOLD": "0.3"}}}).wait()
        winslow.project("tuned-one").redo("count", env={"LIMIT": "7"}).wait()
        yield started


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with person(browser, server, "operator", trusting=True) as context:
        opened = context.new_page()
        errors: list[object] = []

        def note(error: object) -> None:
            errors.append(error)

        opened.on("pageerror", note)
        opened.on("dialog", lambda dialog: dialog.accept())
        yield opened
        assert errors == []


def picture(page: Page, name: str) -> None:
    """Keep what is seen now, on a desk and on a phone, and check that everybody can use it."""
    wrong: list[str] = []
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of its literals
            if directory := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
                page.screenshot(path=f"{directory}/{name}-{size}-{scheme}.png")
            wrong += [f"{size}, {scheme}: {each}" for each in serious(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong.append(f"{size}: wider than the window")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light")
    assert not wrong, "\n".join(wrong)


def says(page: Page, text: str) -> None:
    """Returns once the plan says this."""
    page.locator("[data-plan]:not([data-stale])").filter(has_text=text).wait_for()


def test_a_stage_is_run_again_with_another_parameter(server: Server, page: Page) -> None:
    page.goto(DETECT)
    page.keyboard.press("r")
    page.wait_for_url("**/stages/detect/redo")
    drawer = page.get_by_role("dialog", name="Run detect again")
    # As the last attempt ran: its threshold, and the limit of the stage that follows.
    threshold = drawer.get_by_label("New value of THRESHOLD")
    assert threshold.input_value() == "0.3"
    following = drawer.locator("[data-following]")
    assert following.locator("summary").all_inner_texts() == ["count LIMIT=7", "report with its defaults"]
    says(page, "3 stages run again, about")
    says(page, "one GPU if there is one; look is kept.")
    assert SECRET not in page.content()
    picture(page, "redo")
    threshold.fill("0.25")
    drawer.get_by_label("New value of Memory").fill("8 elephants")
    drawer.get_by_text('"8 elephants" is not a size').wait_for()
    until(lambda: drawer.get_by_role("button", name="Run again").is_disabled(), "it cannot be started")
    picture(page, "redo-fault")
    drawer.get_by_label("New value of Memory").fill("")
    following.first.locator("summary").click()
    drawer.get_by_label("New value in count: GPUs").fill("no number")
    drawer.locator('[data-fault="count/set.gpu"]').filter(has_text="whole number").wait_for()
    drawer.get_by_label("New value in count: GPUs").fill("0")
    drawer.get_by_label("New value in count: LIMIT").fill("8")
    until(
        lambda: "--set count.env.LIMIT=8" in (page.locator("[data-command]").text_content() or ""),
        "it is in the command",
    )
    picture(page, "redo-following")
    drawer.get_by_label("Run", exact=True).select_option("only detect")
    drawer.get_by_text("None of them runs.").wait_for()
    says(page, "detect runs again, about")
    says(page, "count and report are out of date afterwards")
    drawer.get_by_label("Reason").fill("fewer false alarms")
    until(
        lambda: "--env THRESHOLD=0.25" in (page.locator("[data-command]").text_content() or ""), "the command is shown"
    )
    assert "--only" in (page.locator("[data-command]").text_content() or "")
    drawer.get_by_role("button", name="Run again").click()
    page.wait_for_url("**/projects/tuned-one")
    project = server.winslow.project("tuned-one")
    until(lambda: [each.outcome for each in project.history("detect")] == ["succeeded"] * 2, "it has run")
    last = project.history("detect")[-1]
    assert (last.settings, last.reason) == ({"env": {"THRESHOLD": "0.25"}}, "fewer false alarms")
    assert project.status().stage("count").outdated


def test_only_what_differs_is_shown_and_the_rest_is_found(page: Page) -> None:
    page.goto(f"{DETECT}/redo?attempt=1")
    drawer = page.get_by_role("dialog")
    assert drawer.get_by_label("New value of THRESHOLD").input_value() == "0.3"
    drawer.get_by_label("Only what differs").check()
    until(lambda: drawer.locator("[data-parameter]:visible").count() == 1, "one differs")
    drawer.get_by_label("Find a parameter").fill("network")
    until(lambda: drawer.locator("[data-parameter]:visible").all_inner_texts() != [], "one is found")
    assert drawer.locator("[data-parameter]:visible").get_attribute("data-parameter") == "DETECTOR"
    drawer.get_by_label("Find a parameter").fill("")
    drawer.get_by_role("button", name="Set THRESHOLD back to its default").click()
    assert drawer.get_by_label("New value of THRESHOLD").input_value() == "0.4"
    page.keyboard.press("Escape")
    page.wait_for_url("**/stages/detect/settings?attempt=1")


def test_a_sweep_is_planned_and_started_from_the_drawer(server: Server, page: Page) -> None:
    server.winslow.run("tuned", "swept").wait()
    page.goto("/projects/swept/stages/detect/redo")
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Try several values").check()
    drawer.get_by_text("Give a variable several values").wait_for()
    drawer.get_by_label("New value of THRESHOLD").fill("0.1..0.3 step")
    drawer.get_by_label("New value of DETECTOR").fill("network, motion")
    says(page, "2 runs of detect")
    drawer.get_by_label("New value of THRESHOLD").fill("0.1..0.3 step 0.1")
    drawer.get_by_label("At most so many at once").fill("3")
    says(page, "6 runs of detect, at most 3 at once, about")
    picture(page, "redo-sweep")
    drawer.get_by_role("button", name="Start 6 runs").click()
    page.wait_for_url("**/swept/sweeps/latest")
    page.get_by_text("Pick one of 6 attempts.").wait_for()
    assert OUTDATED in page.locator(".project-head").inner_text()
    assert server.state("swept") == "awaiting_input"
    picture(page, "sweep")
    page.get_by_role("link", name="score").click()
    page.wait_for_url("**sort=result.score**")
    scores = page.locator("tbody tr td.number:nth-last-child(2)").all_inner_texts()
    assert scores == sorted(scores, key=float)
    assert page.get_by_role("button", name="Compare the ticked ones").is_disabled()
    for number in (2, 3):
        page.get_by_label(f"Compare attempt {number}").check()
    assert page.get_by_role("button", name="Compare the ticked ones").is_enabled()
    row = page.locator("tbody tr").filter(has_text="0.3").filter(has_text="motion").first
    number = row.get_by_role("link").inner_text()
    row.get_by_role("button", name="Pick this one").click()
    page.get_by_text(f"Attempt {number} was picked.").wait_for()
    assert page.get_by_label("Compare attempt 2").is_checked()
    page.get_by_role("button", name="Run the stages that follow").click()
    until(lambda: server.state("swept") == "succeeded", "the project continues")
    assert server.winslow.project("swept").status().stage("report").outdated == ""
    page.goto("/projects/swept/sweeps")
    page.get_by_text("one was picked").wait_for()
    picture(page, "sweeps")


def test_attempts_are_sorted_compared_and_redone_from_their_table(server: Server, page: Page) -> None:
    project = server.winslow.project("tuned-one")
    for limit in ("9", "12"):
        project.redo("count", env={"LIMIT": limit}, only=True).wait()
    table = "/projects/tuned-one/stages/count/attempts"
    page.goto(table)
    page.get_by_role("link", name="counted").click()
    page.wait_for_url("**sort=result.counted**")
    column = page.locator(".attempts tbody tr td:nth-child(5)")
    assert column.all_inner_texts() == sorted(column.all_inner_texts(), key=float)
    page.get_by_role("link", name="counted").click()
    page.wait_for_url("**descending=1**")
    assert column.all_inner_texts() == sorted(column.all_inner_texts(), key=float, reverse=True)
    # The choice is made once for a stage, and stays while somebody changes the project.
    page.locator("#columns > summary").click()
    page.get_by_label("twice", exact=True).uncheck()
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**column=counted**")
    page.get_by_label("Compare attempt 2").check()
    page.get_by_label("Compare attempt 1").check()
    project.add_todo("somebody else was here")
    page.get_by_text("somebody else was here").wait_for()
    assert page.get_by_label("Compare attempt 2").is_checked()
    assert page.get_by_role("button", name="Compare the ticked ones").is_enabled()
    picture(page, "attempts")
    page.get_by_role("button", name="Compare the ticked ones").click()
    page.wait_for_url("**/compare?attempts=tuned-one%3Acount%3A2&attempts=tuned-one%3Acount%3A1")
    page.get_by_text("LIMIT").first.wait_for()
    page.goto(table)
    page.wait_for_url("**column=counted**")
    row = page.locator("tbody tr").filter(has_text="LIMIT=9")
    row.get_by_role("button", name="Make current").click()
    row.get_by_text("in use").wait_for()
    assert project.status().stage("report").outdated == "count has other outputs now"
    row.get_by_role("link", name="Redo like this").click()
    assert page.get_by_label("New value of LIMIT").input_value() == "9"


def test_a_text_is_edited_and_what_follows_runs_with_it(server: Server, page: Page) -> None:
    server.winslow.run("tuned", "edited").wait()
    page.goto("/projects/edited/stages/detect/files?file=found.txt")
    page.get_by_role("link", name="Replace…").click()
    page.get_by_role("heading", name="Replace found.txt").wait_for()
    assert OUTDATED in page.locator(".project-head").inner_text()
    editor = page.get_by_label("Text", exact=True)
    assert editor.input_value() == "0.4 fused\n"
    editor.fill("0.5 by hand\n")
    page.locator("#reason-text").fill("half a reason")
    page.reload()
    assert editor.input_value() == "0.5 by hand\n"
    picture(page, "replace")
    page.locator("#reason-text").fill("the first was a shadow")
    page.get_by_role("button", name="Replace by this text").click()
    page.wait_for_url("**/edited/stages/detect/files?file=found.txt")
    project = server.winslow.project("edited")
    until(lambda: len(project.history("report")) == 2 and server.state("edited") == "succeeded", "what follows has run")
    (file,) = project.files("report")
    with project.open_file(file) as content:
        assert content.read() == b"0.5 by hand\n"
    assert project.history("detect")[-1].message.endswith(": the first was a shadow")


def test_a_text_that_is_edited_before_the_script_of_the_page_has_come_is_kept(server: Server, page: Page) -> None:
    server.winslow.run("tuned", "early").wait()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/js/project*.js*", hold)
    page.goto("/projects/early/stages/detect/replace?path=found.txt", wait_until="commit")
    editor = page.get_by_label("Text", exact=True)
    editor.fill("0.6 early\n")
    until(lambda: page.evaluate("1") and held, "the page has asked for its script")
    held[0].continue_()
    page.get_by_role("button", name="Replace by this text").wait_for()
    page.unroute_all()
    page.reload()
    assert editor.input_value() == "0.6 early\n"


def test_a_file_is_replaced_by_another_from_here(server: Server, page: Page, tmp_path: Path) -> None:
    server.winslow.run("tuned", "uploaded").wait()
    better = tmp_path / "better.txt"
    better.write_bytes(b"1.0 sent\n" * 200_000)
    page.goto("/projects/uploaded/stages/detect/replace?path=found.txt")
    page.get_by_label("File", exact=True).set_input_files(better)
    page.locator('[data-replace="file"] [name="resume"]').uncheck()
    page.get_by_role("button", name="Replace", exact=True).click()
    page.wait_for_url("**/uploaded/stages/detect/files?file=found.txt")
    project = server.winslow.project("uploaded")
    (file,) = project.files("detect")
    assert file.size_bytes == better.stat().st_size
    assert project.status().stage("count").outdated == "detect has other outputs now"
    # It is too large for a text field now.
    page.get_by_role("link", name="Replace…").click()
    page.get_by_role("heading", name="By a file from here").wait_for()
    assert page.get_by_role("heading", name="By editing it").count() == 0


def test_the_lineage_is_drawn_and_listed(server: Server, page: Page) -> None:
    server.winslow.run("tuned", "traced").wait()
    server.winslow.project("traced").redo("detect", env={"THRESHOLD": "0.9"}, only=True).wait()
    page.goto("/projects/traced")
    page.get_by_role("link", name="Lineage").click()
    page.locator('[data-output="detect:2"]').wait_for()
    assert page.locator(".graph .node").count() == 5
    assert page.locator(".output.is-current").count() == 4
    assert page.locator('rect[fill="url(#hatch)"]').count() == 2
    row = page.locator('tbody tr:has(td:first-child a:text-is("count 1"))')
    assert row.locator("td").nth(1).inner_text() == "detect 1"
    picture(page, "lineage")
    page.get_by_role("link", name="count 1").first.click()
    page.wait_for_url("**/stages/count/result?attempt=1")
