"""A picture is zoomed and moved down to single pixels, and a pointer's place in it is exact on any screen."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from footage_server import PROJECT, footage_server, looking
from installation import until
from PIL import Image
from web_server import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

WIDTH, HEIGHT = 1920, 1080
MARKED = (1234, 567)
"""The only red pixel."""
SCALES = (1, 1.5, 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("zoom")
    picture = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
    picture.putpixel(MARKED, (255, 0, 0))
    picture.save(folder / "plan.png")
    Image.new("RGB", (300, 200), "teal").save(folder / "scan.tiff")
    (folder / "broken.png").write_bytes((folder / "plan.png").read_bytes()[:40])
    names = {"plan": "plan.png", "scan": "scan.tiff", "broken": "broken.png"}
    with footage_server(folder, {name: folder / file for name, file in names.items()}) as console:
        yield console


def view(page: Page) -> Any:
    found = page.locator("zoom-view")
    found.locator("output").wait_for()
    until(lambda: found.evaluate("view => view.pictureWidth > 0"), "the picture is there")
    return found


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture is on the page."""
    found = page.locator("zoom-view").evaluate(
        "(view, at) => { const box = view.getBoundingClientRect(), {x, y} = view.toView(...at);"
        " return [box.left + view.clientLeft + x, box.top + view.clientTop + y] }",
        [x, y],
    )
    return found[0], found[1]


@pytest.mark.parametrize("scale", SCALES)
def test_a_place_on_the_screen_is_a_place_in_the_picture_to_a_hundredth_of_a_pixel(
    browser: Browser, server: Console, scale: float
) -> None:
    with looking(browser, server, f"/projects/{PROJECT}/look?file=input:plan", scale=scale) as page:
        shown = view(page)
        for closeness in (0.5, 1, 7.3, 64):
            shown.evaluate(f"view => view.show({MARKED[0]} + 0.5, {MARKED[1]} + 0.5, {closeness})")
            x, y = place(page, MARKED[0] + 0.37, MARKED[1] + 0.81)
            back = shown.evaluate("(view, at) => view.toPicture(...at)", [x, y])
            assert (back["x"], back["y"]) == (
                pytest.approx(MARKED[0] + 0.37, abs=0.01),
                pytest.approx(MARKED[1] + 0.81, abs=0.01),
            )
        # The marked pixel is where the view says: its colour is on the screen there, and as a square up to its edges.
        for inside in ((0.05, 0.05), (0.5, 0.5), (0.95, 0.95)):
            x, y = place(page, MARKED[0] + inside[0], MARKED[1] + inside[1])
            assert colour(page, x, y, scale) == (255, 0, 0), inside
        x, y = place(page, MARKED[0] + 1.05, MARKED[1] + 0.5)
        assert colour(page, x, y, scale)[0] < 255
        if directory := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
            page.screenshot(path=f"{directory}/zoom-{scale}.png")


def colour(page: Page, x: float, y: float, scale: float) -> tuple[int, ...]:
    screen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    found = screen.getpixel((int(x * scale), int(y * scale)))
    assert isinstance(found, tuple)
    return tuple(int(each) for each in found)


def test_wheel_drag_keys_and_buttons_zoom_and_move(browser: Browser, server: Console) -> None:
    with looking(browser, server, f"/projects/{PROJECT}/look?file=input:plan") as page:
        shown = view(page)
        page.evaluate(
            "window.seen = []; document.querySelector('zoom-view')"
            ".addEventListener('transform', event => window.seen.push(event.detail))"
        )

        def scale() -> float:
            found: float = shown.evaluate("view => view.view.k")
            return found

        fitted = scale()
        box = shown.bounding_box()
        assert fitted == pytest.approx(min(box["width"] / WIDTH, box["height"] / HEIGHT))
        # What is under the pointer stays there.
        x, y = (round(each) for each in place(page, *MARKED))
        under = shown.evaluate("(view, at) => Object.values(view.toPicture(...at))", [x, y])
        page.mouse.move(x, y)
        page.mouse.wheel(0, -500)
        until(lambda: scale() > fitted * 1.5, "the wheel has zoomed")
        assert place(page, *under) == (pytest.approx(x, abs=0.1), pytest.approx(y, abs=0.1))
        page.mouse.down()
        page.mouse.move(x + 40, y - 25, steps=3)
        page.mouse.up()
        assert place(page, *under) == (pytest.approx(x + 40, abs=0.1), pytest.approx(y - 25, abs=0.1))
        assert page.evaluate("window.seen.every(each => each.byPerson)")
        shown.focus()
        page.keyboard.press("1")
        assert scale() == pytest.approx(1)
        page.keyboard.press("+")
        assert scale() == pytest.approx(1.5)
        before = place(page, *MARKED)
        page.keyboard.press("ArrowRight")
        assert place(page, *MARKED)[0] == pytest.approx(before[0] - 60, abs=0.1)
        page.get_by_role("button", name="Fit").click()
        assert scale() == pytest.approx(fitted)
        # A smaller window shows the whole picture, too.
        page.set_viewport_size({"width": 700, "height": 600})
        until(lambda: scale() < fitted, "the picture is smaller")
        assert shown.locator("output").inner_text().endswith("%")


def test_pictures_that_no_browser_shows_are_shown_and_broken_ones_explained(browser: Browser, server: Console) -> None:
    with looking(browser, server, f"/projects/{PROJECT}/look?file=input:scan") as page:
        view(page)
        assert page.evaluate("document.querySelector('zoom-view').pictureWidth") == 300
    with looking(browser, server, f"/projects/{PROJECT}/look?file=input:broken", width=390, height=844) as page:
        assert "input:broken/broken.png: " in page.locator(".notice").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
