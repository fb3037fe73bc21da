"""The page of `tracker annotate` in a browser: a person mends wrong boxes, and the evaluation then has the truth."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rendered_film import Film

from tracker.annotation.view import View
from tracker.arrays import Floats
from tracker.contract import StageFiles
from tracker.geometry import transform
from tracker.proxy import open_proxy
from tracker.simulation.evaluation import evaluate
from tracker.tables import Table, groups, read_table, select, write_table

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.chromium, pytest.mark.slow]
SECONDS, EVERY = 2, 10
BOX = ("x_m", "y_m", "heading_deg", "length_m", "width_m")
ACT = re.compile(r"/frames/\d+$")
OFF_M, PHANTOM = 3.0, 900


@dataclass(frozen=True)
class Wronged:
    """Outputs whose tracks were made wrong: one is missing, one is beside its vehicle, one is no vehicle."""

    outputs: Path
    view: View
    missing: Table
    beside: int


@pytest.fixture(scope="module")
def wronged(film: Film, tmp_path_factory: pytest.TempPathFactory) -> Wronged:
    outputs = tmp_path_factory.mktemp("wronged") / "outputs"
    shutil.copytree(film.outputs, outputs)
    files = StageFiles(outputs, outputs, outputs)
    with open_proxy(files) as proxy:
        view = View.of(proxy, files)
    path = outputs / "track_vehicles" / "tracks.parquet"
    tracks = read_table(path)
    from_start = {
        number: track
        for number, track in groups(tracks, "track_id").items()
        if track["frame"][0] == 0 and track["frame"][-1] >= SECONDS * EVERY
    }
    by_travel = sorted(from_start, key=lambda number: float(np.ptp(from_start[number]["x_m"][:20])))
    missing, beside = by_travel[-1], by_travel[-2]
    tracks["y_m"] = tracks["y_m"] + OFF_M * (tracks["track_id"] == beside)
    phantom = {name: values.copy() for name, values in from_start[by_travel[0]].items()}
    phantom["track_id"][:] = PHANTOM
    for name, free in zip(("x_m", "y_m"), free_place(view, tracks), strict=True):
        phantom[name] = np.full(len(phantom[name]), free)
    kept = select(tracks, tracks["track_id"] != missing)
    write_table(path, {name: np.concatenate([kept[name], phantom[name]]) for name in kept})
    return Wronged(outputs, view, from_start[missing], int(beside))


def free_place(view: View, tracks: Table) -> Floats:
    """The place in view that is furthest from all vehicles."""
    columns, rows = np.linspace(150, view.width_px - 150, 12), np.linspace(150, view.height_px - 150, 8)
    places = transform(view.to_metres[0], np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2))
    driven = np.column_stack([tracks["x_m"], tracks["y_m"]])
    return places[np.hypot(*(places[:, None] - driven).transpose(2, 0, 1)).min(axis=1).argmax()]


@pytest.fixture
def page() -> Iterator[Page]:
    if shutil.which("chromium") is None:
        assert "chromium" not in os.environ.get("WINSLOW_TEST_REQUIRE", ""), "chromium is not installed"
        pytest.skip("chromium: it is not installed; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1500, "height": 800})
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        yield page
        browser.close()
    assert faults == []


def on_screen(page: Page, px: Floats) -> tuple[float, float]:
    """Where a pixel of the frame is on the screen."""
    x, y = page.evaluate(
        "([x, y]) => { const p = new DOMPoint(x, y).matrixTransform(document.getElementById('boxes').getScreenCTM());"
        " return [p.x, p.y] }",
        px.tolist(),
    )
    return x, y


def box_on(page: Page, vehicle: int) -> Floats:
    """The box of a vehicle on the frame that is shown: x, y, angle, length, width."""
    frame = page.locator("#still").get_attribute("href").removesuffix(".jpg")
    boxes = page.request.get(page.url + frame).json()["boxes"]
    (box,) = (each for each in boxes if each["vehicle"] == vehicle)
    return np.array([box[name] for name in ("x", "y", "angle", "length", "width")])


def drag(page: Page, start: Floats, end: Floats) -> None:
    """From one pixel of the frame to another."""
    page.mouse.move(*on_screen(page, start))
    page.mouse.down()
    page.mouse.move(*on_screen(page, end), steps=4)
    with page.expect_response(ACT):
        page.mouse.up()


def drag_box(page: Page, vehicle: int, to: Floats) -> None:
    page.locator(f'[data-vehicle="{vehicle}"]').focus()
    page.get_by_role("heading", name=f"Vehicle {vehicle}").wait_for()
    drag(page, box_on(page, vehicle)[:2], to[:2])


@contextmanager
def started(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program, and the address that it prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            address = re.search(r"http://\S+", program.stdout.readline())
            assert address is not None
            yield program, address.group()
        finally:
            program.kill()


def annotating(wronged: Wronged, output: Path) -> list[str]:
    """The command for every tenth frame of the first two seconds."""
    words = ["--input", str(wronged.outputs), "--output", str(output), "--seconds", str(SECONDS)]
    return [sys.executable, "-m", "tracker", "annotate", *words, "--every", str(EVERY)]


def test_boxes_of_one_frame_are_not_left_on_the_next(wronged: Wronged, page: Page, tmp_path: Path) -> None:
    left: list[int] = []

    def look(route: Route) -> None:
        left.append(page.locator(".box").count())
        route.continue_()

    with started(annotating(wronged, tmp_path)) as (_, address):
        page.goto(address)
        page.locator(".box").first.wait_for()
        page.route(re.compile(rf"/frames/{EVERY}$"), look)
        page.keyboard.press(".")
        page.get_by_text("2 of 3").wait_for()
        page.locator(".box").first.wait_for()
        page.goto("about:blank")  # before the program ends: the page fetches the picture after this one
    # They do not follow the pointer any more: whoever drags one would move the picture.
    assert left == [0]


def test_wrong_boxes_are_mended_in_a_browser_and_the_evaluation_then_has_the_truth(
    wronged: Wronged, film: Film, page: Page, tmp_path: Path
) -> None:
    view, missing = wronged.view, wronged.missing
    with started(annotating(wronged, tmp_path)) as (program, address):
        page.goto(address)
        page.get_by_text("1 of 3 · 0.00 s").wait_for()
        assert page.locator("#selected").is_hidden()
        page.locator(f'[data-vehicle="{PHANTOM}"] polygon').click()
        page.get_by_role("heading", name=f"Vehicle {PHANTOM}").wait_for()
        page.keyboard.press("Delete")
        page.locator(f'[data-vehicle="{PHANTOM}"]').wait_for(state="detached")
        for index in range(3):
            frame = index * EVERY
            row = int(np.flatnonzero(missing["frame"] == frame)[0])
            x_m, y_m, heading_deg, *size_m = (missing[name][row] for name in BOX)
            hidden = view.seen(
                frame, str(missing["class"][row]), np.array([x_m, y_m, np.radians(heading_deg), *size_m])
            )
            if index == 0:
                # Drawn from the rear to the front.
                half = np.array([np.cos(hidden[2]), np.sin(hidden[2])]) * hidden[3] / 2
                page.get_by_role("button", name="Add a vehicle").click()
                drag(page, hidden[:2] - half, hidden[:2] + half)
                added = int(page.get_by_role("heading", name=re.compile(r"Vehicle \d+")).inner_text().split()[1])
                with page.expect_response(ACT):
                    page.get_by_label("Class").select_option(str(missing["class"][row]))
            else:
                drag_box(page, added, hidden)
            aside_m = view.stands(frame, "car", box_on(page, wronged.beside))
            drag_box(page, wronged.beside, view.seen(frame, "car", aside_m - [0, OFF_M, 0, 0, 0]))
            if index == 1 and (folder := os.environ.get("WINSLOW_TEST_SCREENSHOTS")):
                page.screenshot(path=Path(folder) / "annotate.png")
            page.keyboard.press("Enter")
            page.get_by_text(f"{index + 1} of 3 checked").wait_for()
        page.get_by_role("button", name="Done").click()
        said, _ = program.communicate(timeout=60)
        assert program.returncode == 0
        assert "on 21 frames; 3 of 3 frames were checked" in said
    trajectories = film.outputs / "export_trajectories" / "trajectories.csv"
    figures = evaluate(trajectories, tmp_path / "truth.csv")
    assert figures.mota == 100
    assert figures.idf1 == 100
    assert figures.class_right == 100
    assert figures.position_error_p95_m < 0.5
