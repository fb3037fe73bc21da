"""The player: films that play and films that do not, and at rest exactly the frame whose index it says."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import pytest
from accessibility import serious
from footage_server import PROJECT, footage_server, looking
from installation import until
from numbered_films import number_of, write_film
from web_server import Console

from winslow_dagster import Winslow
from winslow_dagster.projects.domain.actor import Actor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

FRAMES = 150
PLAIN, HEVC, BROKEN = (f"/projects/{PROJECT}/look?file=input:{name}" for name in ("plain", "hevc", "broken"))
CONTENT = """player => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [player.frame.naturalWidth, player.frame.naturalHeight];
    canvas.getContext('2d').drawImage(player.frame, 0, 0);
    return canvas.toDataURL('image/png').split(',')[1];
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("player")
    # The even numbers come a little late, so that no rate leads to the right frame.
    times = [number / 25 + (0.015 if number % 2 else 0) for number in range(FRAMES)]
    films = {
        "plain": write_film(
            folder / "plain.mp4", FRAMES, times_s=times, scale=3, options={"x264-params": "bframes=3:open-gop=1"}
        ),
        "hevc": write_film(
            folder / "hevc.mp4", FRAMES, codec="libx265", scale=3, options={"x265-params": "log-level=none"}
        ),
        "broken": folder / "broken.mp4",
    }
    films["broken"].write_bytes(films["plain"].read_bytes()[:5000])
    with footage_server(folder, films) as console:
        with Winslow(console.settings, Actor("anna")) as winslow:
            winslow.pool.add(films["hevc"], "hevc")
        yield console


def at_rest(page: Page, index: int) -> None:
    """Returns once the exact frame is shown. It says its index, and shows it in its pixels."""
    player = page.locator("frame-player")
    until(
        lambda: (
            player.evaluate("player => !player.hasAttribute('aria-busy') && Boolean(player.frame?.src)")
            and player.evaluate("player => player.index") == index
        ),
        f"frame {index} is shown",
    )
    assert number_of(base64.b64decode(player.evaluate(CONTENT))) == index
    assert player.get_by_role("spinbutton", name="Frame").input_value() == str(index)


@pytest.mark.parametrize("scale", [1, 1.5, 2])
def test_frames_are_chosen_by_index_by_steps_by_seconds_and_from_the_strip(
    browser: Browser, server: Console, scale: float
) -> None:
    with looking(browser, server, PLAIN, scale=scale) as page:
        player = page.locator("frame-player")
        at_rest(page, 0)
        player.evaluate("player => player.addEventListener('frame-chosen', e => { window.chosen = e.detail })")
        player.get_by_role("spinbutton", name="Frame").fill("77")
        page.keyboard.press("Enter")
        at_rest(page, 77)
        assert page.evaluate("window.chosen") == {"index": 77, "time_s": 3.095, "width": 768, "height": 192}
        player.focus()
        page.keyboard.press(".")
        at_rest(page, 78)
        page.keyboard.press(",")
        at_rest(page, 77)
        page.keyboard.press("ArrowLeft")
        at_rest(page, 52)
        page.locator(".player-tiles button").nth(11).wait_for()
        tiles = page.locator(".player-tiles button")
        shown = int(tiles.nth(4).get_attribute("data-index") or "")
        tiles.nth(4).click()
        at_rest(page, shown)
        page.get_by_role("button", name="Strip around this frame").click()
        until(lambda: int(tiles.last.get_attribute("data-index") or "") < FRAMES - 1, "the strip is refined")
        if directory := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
            page.screenshot(path=f"{directory}/player-{scale}.png", full_page=True)


def test_an_index_that_is_typed_before_the_first_frame_arrives_stays(browser: Browser, server: Console) -> None:
    with looking(browser, server, "about:blank") as page:
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/frames?*", hold)
        with page.expect_request("**/frames?*"):
            page.goto(PLAIN)
        number = page.get_by_role("spinbutton", name="Frame")
        number.select_text()
        page.keyboard.type("77")
        held[0].continue_()
        page.unroute("**/frames?*")
        player = page.locator("frame-player")
        until(lambda: player.evaluate("player => player.frame.naturalWidth > 0"), "the first frame is shown")
        assert number.input_value() == "77"
        number.press("Enter")
        at_rest(page, 77)


def test_a_film_plays_and_when_it_stops_its_exact_frame_is_shown(browser: Browser, server: Console) -> None:
    with looking(browser, server, PLAIN) as page:
        player = page.locator("frame-player")
        at_rest(page, 0)
        until(lambda: player.evaluate("player => player.video.readyState >= 2"), "the browser has the film")
        page.get_by_role("button", name="Play").click()
        until(lambda: player.evaluate("player => player.video.currentTime > 1"), "it plays")
        page.get_by_role("button", name="Pause").click()
        until(lambda: not player.evaluate("player => player.classList.contains('playing')"), "it is at rest")
        index, time_s = player.evaluate("player => [player.index, player.timeS]")
        at_rest(page, index)
        assert index > 0
        assert time_s == pytest.approx(index / 25 + (0.015 if index % 2 else 0), abs=1e-4)


def test_a_frame_that_is_chosen_while_the_film_plays_is_not_overtaken_by_the_one_at_which_it_stops(
    browser: Browser, server: Console
) -> None:
    with looking(browser, server, PLAIN) as page:
        player = page.locator("frame-player")
        at_rest(page, 0)
        until(lambda: player.evaluate("player => player.video.readyState >= 2"), "the browser has the film")
        page.get_by_role("button", name="Play").click()
        until(lambda: player.evaluate("player => player.video.currentTime > 0.2"), "it plays")
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/frames?*", hold)
        # Until after the time for which the player waits once the film has stopped.
        player.evaluate("""player => { window.stopped = new Promise((done) =>
            player.video.addEventListener('pause', () => setTimeout(done, 200), { once: true })) }""")
        player.evaluate("player => { player.show(77) }")
        page.evaluate("window.stopped")
        assert ["index=77" in route.request.url for route in held] == [True]
        held[0].continue_()
        page.unroute("**/frames?*")
        at_rest(page, 77)


def test_a_film_that_the_browser_does_not_play_is_copied_and_its_frames_come_from_the_original(
    browser: Browser, server: Console
) -> None:
    with looking(browser, server, HEVC) as page:
        player = page.locator("frame-player")
        at_rest(page, 0)
        until(lambda: player.evaluate("player => player.classList.contains('proxy')"), "the copy is there")
        until(lambda: player.evaluate("player => player.video.readyState >= 2"), "the browser has the copy")
        assert page.evaluate("document.querySelector('.player-note').hidden")
        player.focus()
        page.keyboard.press("End")
        at_rest(page, FRAMES - 1)
        page.keyboard.press("Home")
        at_rest(page, 0)
        page.get_by_role("button", name="Play").click()
        until(lambda: player.evaluate("player => player.video.currentTime > 0.5"), "the copy plays")
        page.get_by_role("button", name="Pause").click()
        until(lambda: not player.evaluate("player => player.classList.contains('playing')"), "it is at rest")
        at_rest(page, player.evaluate("player => player.index"))


def test_a_film_of_the_pool_plays_and_its_frames_are_looked_at_with_zoom(browser: Browser, server: Console) -> None:
    with looking(browser, server, "/pool/hevc") as page:
        player = page.locator("frame-player")
        at_rest(page, 0)
        until(lambda: player.evaluate("player => player.video.readyState >= 2"), "the browser has a copy")
        page.get_by_role("button", name="Play").click()
        until(lambda: player.evaluate("player => player.video.currentTime > 0.2"), "the copy plays")
        page.get_by_role("button", name="Pause").click()
        until(lambda: not player.evaluate("player => player.classList.contains('playing')"), "it is at rest")
        at_rest(page, player.evaluate("player => player.index"))
        player.get_by_role("spinbutton", name="Frame").fill("77")
        page.keyboard.press("Enter")
        at_rest(page, 77)
        if directory := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
            page.screenshot(path=f"{directory}/pool-film.png", full_page=True)
        page.get_by_role("link", name="Zoom into this frame").click()
        page.get_by_role("heading", name="hevc.mp4, frame 77").wait_for()
        until(lambda: page.locator("zoom-view img").evaluate("image => image.naturalWidth") == 768, "it is shown")
        page.get_by_role("link", name="Back to the film").click()
        at_rest(page, 77)


def test_a_broken_film_is_explained_on_a_phone(browser: Browser, server: Console) -> None:
    with looking(browser, server, BROKEN, width=390, height=844) as page:
        assert "it cannot be decoded" in page.locator(".notice").inner_text()
        page.goto(PLAIN)
        at_rest(page, 0)
        page.locator(".player-tiles button").nth(11).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        if directory := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
            page.screenshot(path=f"{directory}/player-phone.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_player_and_zoom_into_its_frame(
    browser: Browser, server: Console, scheme: Literal["light", "dark"]
) -> None:
    with looking(browser, server, f"{PLAIN}&index=31", trusting=True) as page:
        page.emulate_media(color_scheme=scheme)
        at_rest(page, 31)
        page.locator(".player-tiles button").nth(11).wait_for()
        assert serious(page) == []
        if directory := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
            page.screenshot(path=f"{directory}/player-{scheme}.png", full_page=True)
        page.get_by_role("link", name="Zoom into this frame").click()
        view = page.locator("zoom-view")
        until(lambda: view.evaluate("view => view.pictureWidth") == 768, "the frame is shown at full size")
        assert page.get_by_role("heading", level=1).inner_text() == "plain.mp4, frame 31"
        assert serious(page) == []
        page.get_by_role("link", name="Back to the film").click()
        at_rest(page, 31)
