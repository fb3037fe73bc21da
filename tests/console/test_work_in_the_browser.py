"""What people do all day, in the browser alone: send a film, mark points, look at results, and make them again.

With the shipped pipeline, in containers of its image.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from every_state import person, photograph
from installation import Installation, until
from project_server import Server
from tracker_image import tracker_image

from winslow_dagster import Winslow
from winslow_dagster.projects.domain.actor import Actor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.chromium, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "pipeline_configs" / "traffic_analysis.yaml"
SLOW_MS = 300_000
MOST_CLICKS_A_POINT = 3
PROJECT = "ulm"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    image = tracker_image()
    text = re.sub(r"^image: .*$", f"image: {image}", SHIPPED.read_text(), count=1, flags=re.MULTILINE)
    place = Installation(tmp_path_factory.mktemp("work"), image, {"traffic_analysis": text})
    place.up()
    with Winslow(place.settings, Actor("tests")) as winslow:
        yield Server(place, winslow)
    place.down()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("film")
    tracker = Path(sys.executable).with_name("tracker")
    words = ["simulate", "--output", str(directory), "--seconds", "6", "--fps", "10", "--width", "1280"]
    subprocess.run([tracker, *words], check=True, capture_output=True)
    return directory


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with person(browser, server, "operator") as context:
        context.set_default_timeout(SLOW_MS)
        opened = context.new_page()
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("dialog", lambda dialog: dialog.accept())
        yield opened
        assert errors == []


class Hand:
    """Clicks and types as a person does, and counts the clicks."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.clicks = 0

    def mark(self, x: float, y: float) -> None:
        """Click at a place of the picture."""
        place: list[float] = self._page.evaluate(
            """([x, y]) => {
                const view = document.querySelector("zoom-view")
                const o = view.toPicture(0, 0), p = view.toPicture(1000, 1000)
                return [(x - o.x) * 1000 / (p.x - o.x), (y - o.y) * 1000 / (p.y - o.y)]
            }""",
            [x, y],
        )
        self._page.mouse.click(*place)
        self.clicks += 1

    def type_into(self, label: str, text: str) -> None:
        """Click into a field, and type."""
        self._page.get_by_label(label, exact=True).fill(text)
        self.clicks += 1


def points_of(film: Path) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = json.loads((film / "reference_points.json").read_text())["points"]
    return points


def answer_question(page: Page, film: Path) -> int:
    """Mark the film's own points on the frame. Returns the clicks."""
    page.wait_for_function("() => document.querySelector('[data-picture]').naturalWidth > 0")
    page.wait_for_function("() => customElements.get('winslow-question') !== undefined")
    hand = Hand(page)
    for number, point in enumerate(points_of(film), 1):
        hand.mark(point["x_px"] + 0.5, point["y_px"] + 0.5)
        hand.type_into(f"x in metres of P{number}", str(point["x_m"]))
        hand.type_into(f"y in metres of P{number}", str(point["y_m"]))
    photograph(page, "work-points")
    page.locator(".question-send .main").click()
    return hand.clicks + 1


def sent_and_created(page: Page, film: Path) -> None:
    """Send the film, and make a project of it."""
    page.goto("/files")
    page.locator("#choose-files").set_input_files(film / "video.mp4")
    page.get_by_text("is in the pool as video.mp4").wait_for()
    page.goto("/new-project?pipeline=traffic_analysis")
    page.get_by_label("Name", exact=True).fill(PROJECT)
    page.locator('[name="input.video"]').fill("pool:video.mp4")
    page.locator("summary", has_text="extract_frame").click()
    page.locator("#env-REFERENCE_TIME_S").fill("0")
    page.get_by_role("button", name="Create and start").click()
    page.wait_for_url(f"**/projects/{PROJECT}")


def succeeded(page: Page) -> None:
    """Returns once the page of the project says so."""
    page.locator('.sentence [data-state="succeeded"]').wait_for()


def test_a_film_becomes_trajectories_that_are_compared_picked_and_made_again(
    server: Server, page: Page, film: Path
) -> None:
    sent_and_created(page, film)
    project = server.winslow.project(PROJECT)

    # It asks for points; they are clicked on the frame, with few clicks.
    page.locator('.sentence [data-state="awaiting_input"]').wait_for()
    page.goto(f"/projects/{PROJECT}/questions/define_reference_points")
    clicks = answer_question(page, film)
    assert clicks <= MOST_CLICKS_A_POINT * len(points_of(film)) + 1

    # Detection runs, and everything after it.
    page.goto(f"/projects/{PROJECT}")
    succeeded(page)
    photograph(page, "work-done")

    # The result is looked at.
    page.goto(f"/projects/{PROJECT}/stages/record_video/result")
    page.locator("map-view canvas").first.wait_for()
    photograph(page, "work-trajectories")

    # Again with another threshold.
    page.goto(f"/projects/{PROJECT}/stages/detect_vehicles/redo")
    page.get_by_label("New value of DETECTION_THRESHOLD").fill("60")
    page.locator("[data-plan]:not([data-stale])").filter(has_text="6 stages run again, about").wait_for()
    photograph(page, "work-redo")
    page.get_by_role("dialog").get_by_role("button", name="Run again").click()
    page.wait_for_url(f"**/projects/{PROJECT}")
    until(lambda: [each.outcome for each in project.history("record_video")] == ["succeeded"] * 2, "it ran again")
    succeeded(page)

    # Both results are compared by wipe, and the first one is picked.
    both = "&".join(f"attempts={PROJECT}%3A{{0}}%3A{number}" for number in (1, 2))
    page.goto(f"/compare?{both.format('record_video')}&show=pictures")
    page.get_by_role("slider", name="Wipe").wait_for()
    photograph(page, "work-compare")
    page.goto(f"/compare?{both.format('detect_vehicles')}")
    assert page.locator(".pairs code").all_inner_texts() == ["DETECTION_THRESHOLD"]
    page.get_by_role("button", name="Pick this one").click()
    until(lambda: project.status().stage("track_vehicles").outdated, "what was made from the second one is out of date")

    # Stages that are out of date are shown, and run.
    page.goto(f"/projects/{PROJECT}")
    page.get_by_text("out of date").first.wait_for()
    photograph(page, "work-outdated")
    page.keyboard.press("c")
    until(lambda: [each.outcome for each in project.history("record_video")] == ["succeeded"] * 3, "they ran")
    succeeded(page)
    assert not any(each.outdated for each in project.status().stages)

    # The question is answered again: what depends on it is out of date, and is run.
    page.goto(f"/projects/{PROJECT}/questions/define_reference_points")
    page.get_by_text("You may answer again").wait_for()
    assert "out of date" in page.locator(".notice").first.inner_text()
    page.wait_for_function("() => document.querySelector('[data-picture]').naturalWidth > 0")
    page.get_by_label("x in metres of P1", exact=True).fill(str(points_of(film)[0]["x_m"] + 0.01))
    page.locator(".question-send .main").click()
    until(lambda: len(project.history("export_trajectories")) == 4, "everything that depends on it runs again")
    page.goto(f"/projects/{PROJECT}")
    succeeded(page)
    assert not any(each.outdated for each in project.status().stages)
