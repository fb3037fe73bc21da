"""Attempts compared in a real browser: pictures by wipe, tables, logs, charts, many runs, and a pick."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from compare_pipelines import compared
from every_state import person
from installation import until
from project_server import Server
from test_every_page import looked_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

TWO = ("left:make:1", "right:make:1")
SAME_FRAME = "new Set([...document.querySelectorAll('canvas')].map(each => each.dataset.index)).size === 1"
MANY = ("left:make:1", "right:make:1", "right:make:2", "right:make:3")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with compared(tmp_path_factory.mktemp("compare-browser")) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with person(browser, server, trusting=True) as context:
        page = context.new_page()
        errors: list[object] = []

        def note(error: object) -> None:
            errors.append(error)

        page.on("pageerror", note)
        page.on("dialog", lambda dialog: dialog.accept())
        yield page
        assert errors == []


def address(*attempts: str, **query: str | int) -> str:
    pairs = [("attempts", each) for each in attempts] + list(query.items())
    return f"/compare?{urllib.parse.urlencode(pairs)}"


def colour_at(page: Page, part: float) -> list[int]:
    """The colour on the screen in the middle of the comparison's height, at this part of its width."""
    box = page.locator(".wipe-stage").bounding_box()
    assert box is not None
    clip = {"x": box["x"] + box["width"] * part, "y": box["y"] + box["height"] / 2 + 24, "width": 1, "height": 1}
    picture = page.screenshot(clip=clip)  # type: ignore[arg-type]  # of its typed dictionary
    script = """async bytes => {
        const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)]))
        const context = new OffscreenCanvas(1, 1).getContext("2d")
        context.drawImage(bitmap, 0, 0)
        return [...context.getImageData(0, 0, 1, 1).data]
    }"""
    found: list[int] = page.evaluate(script, list(picture))
    return found[:3]


def test_two_attempts_are_found_added_and_compared(page: Page) -> None:
    page.goto("/compare")
    page.get_by_label("Project, stage or number").fill("left make")
    page.locator("#found a").first.filter(has_text="left / make 1").click()
    page.get_by_text("Choose a second attempt").wait_for()
    page.locator("#found").wait_for()
    page.get_by_label("Project, stage or number").fill("right make 1")
    page.locator("#found a").filter(has_text="right / make 1").click()
    page.wait_for_url("**/compare?attempts=left%3Amake%3A1&attempts=right%3Amake%3A1")
    speed = page.locator("tr", has_text="mean_speed")
    assert speed.locator("td").all_inner_texts() == ["10", "15", "+5", "+50 %"]
    assert page.locator(".pairs code").all_inner_texts() == ["SPEED"]
    page.get_by_role("link", name="Show everything").click()
    page.locator(".pairs code", has_text="PLACE").wait_for()
    page.get_by_role("link", name="Swap sides").click()
    assert page.locator("tr", has_text="mean_speed").locator("td").first.inner_text() == "15"


def test_projects_are_ticked_in_their_list_and_compared_stage_by_stage(page: Page) -> None:
    page.goto("/projects")
    compare = page.get_by_role("button", name="Compare")
    page.get_by_label("Select left").check()
    assert compare.is_disabled()
    page.get_by_label("Select right").check()
    compare.click()
    page.get_by_role("link", name="make", exact=True).click()
    page.wait_for_url("**/compare?attempts=*make*attempts=*make*")
    page.locator(".pairs code", has_text="SPEED").wait_for()


def test_equal_pictures_and_files_are_shown_where_everything_is(page: Page) -> None:
    page.goto(address(*TWO, show="pictures"))
    assert page.get_by_text("same.png").count() == 0
    page.get_by_role("link", name="Show everything").click()
    page.get_by_role("link", name="same.png (the same)").click()
    page.get_by_text("same.png is the same in A and B.").wait_for()
    page.wait_for_function("[...document.querySelectorAll('zoom-view img')].every(each => each.naturalWidth === 320)")
    page.get_by_role("link", name="Files", exact=True).last.click()
    page.locator('[data-kind="unchanged"]', has_text="same.txt").wait_for()


def test_what_names_no_attempt_is_said_and_the_rest_stands(page: Page) -> None:
    page.goto(address("left:make:1", "nobody:<b>:1", "right:make:1", show="tables"))
    page.get_by_text("There is no project").wait_for()
    page.locator(".row-diff tbody tr").first.wait_for()
    page.get_by_role("link", name="Leave it out").click()
    page.wait_for_url("**attempts=left%3Amake%3A1&attempts=right%3Amake%3A1**")


def test_a_wipe_shows_one_picture_on_each_side_and_is_moved_by_mouse_and_keys(page: Page) -> None:
    page.goto(address(*TWO, show="pictures", file="picture.png"))
    handle = page.get_by_role("slider", name="Wipe")
    page.wait_for_function("[...document.querySelectorAll('zoom-view img')].every(each => each.naturalWidth === 320)")
    left, right = [200, 120, 40], [200, 180, 40]
    grey = [235, 235, 235]
    # In the middle of a square of the chequered pictures, which are the other way round on the other side.
    at = [0.30, 0.70]
    page.wait_for_function("document.querySelector('zoom-view img').getBoundingClientRect().height > 100")
    before = [colour_at(page, each) for each in at]
    assert all(
        each in ([*map(list, (left, grey))] if part < 0.5 else [*map(list, (right, grey))])
        for each, part in zip(before, at, strict=True)
    )
    handle.focus()
    page.keyboard.press("Home")
    assert handle.get_attribute("aria-valuenow") == "0"
    moved = colour_at(page, at[0])
    assert moved != before[0]
    page.keyboard.press("End")
    assert handle.get_attribute("aria-valuenow") == "100"
    assert colour_at(page, at[0]) == before[0]
    box = page.locator(".wipe-stage").bounding_box()
    grip = handle.bounding_box()
    assert box
    assert grip
    page.mouse.move(grip["x"] + 8, grip["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40, steps=4)
    page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "25"


def test_pictures_are_locked_in_zoom_and_place_side_by_side(page: Page) -> None:
    page.goto(address(*TWO, show="pictures", file="picture.png"))
    page.wait_for_function("[...document.querySelectorAll('zoom-view img')].every(each => each.naturalWidth === 320)")
    page.get_by_role("button", name="Side by side").click()
    stage = page.locator(".wipe-stage")
    page.locator("zoom-view").first.focus()
    for key in ("+", "+", "+", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    one, other = page.evaluate("[...document.querySelectorAll('zoom-view img')].map(each => each.style.transform)")
    assert one == other
    assert "scale(" in one
    box = stage.bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.wheel(0, -400)
    after = page.evaluate("[...document.querySelectorAll('zoom-view img')].map(each => each.style.transform)")
    assert after[0] == after[1] != one
    page.get_by_role("button", name="Difference").click()
    assert page.evaluate("getComputedStyle(document.querySelectorAll('.pane')[1]).mixBlendMode") == "difference"
    page.get_by_role("button", name="Blink").click()
    page.locator('.wipe-stage[data-turn="right"]').wait_for()
    page.locator('.wipe-stage[data-turn="left"]').wait_for()
    page.get_by_role("button", name="Wipe", exact=True).click()


def test_two_videos_are_locked_to_the_same_frame(page: Page) -> None:
    page.goto(address(*TWO, show="pictures", file="film.mp4"))
    numbers = """() => [...document.querySelectorAll("canvas[data-index]")].map(canvas => {
        const row = canvas.getContext("2d").getImageData(0, canvas.height / 4, canvas.width, 1).data
        const block = canvas.width / 16
        const lit = bit => row[4 * Math.floor((bit + 0.5) * block)] > 128
        return [...Array(16).keys()].reduce((sum, bit) => sum * 2 + lit(bit), 0)
    })"""

    def shown(index: int, other: int) -> None:
        page.wait_for_function(
            "([one, other]) => document.querySelectorAll(`canvas[data-index]`).length === 2 && "
            "document.querySelectorAll('canvas')[0].dataset.index == one && "
            "document.querySelectorAll('canvas')[1].dataset.index == other",
            arg=[index, other],
        )
        assert page.evaluate(numbers) == [index, other]

    shown(0, 0)
    assert page.get_by_text("60 and 50 frames").is_visible()
    page.locator("zoom-view").first.focus()
    for _ in range(3):
        page.keyboard.press(".")
    shown(3, 3)
    page.keyboard.press(",")
    shown(2, 2)
    page.get_by_label("Frame", exact=True).fill("55")
    shown(55, 49)
    page.get_by_label("Frame", exact=True).fill("20")
    shown(20, 20)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("/frame (2[3-9]|[3-5][0-9])/.test(document.querySelector('[data-at]').textContent)")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    # Frames that were on their way still come after it.
    page.wait_for_function(f"() => {{ const [one, other] = ({numbers})(); return one === other && one > 20 }}")


def test_rows_are_compared_by_the_columns_that_are_chosen(page: Page) -> None:
    page.goto(address(*TWO, show="tables"))
    page.locator(".row-diff tbody tr").first.wait_for()
    assert page.locator(".row-diff tbody tr").count() == 100
    assert page.locator(".row-diff tbody tr").first.locator("del, ins").all_inner_texts() == ["10", "15"]
    page.get_by_role("link", name="Later").click()
    page.get_by_text("101\u2013200 of 200").wait_for()
    page.locator(".options .menu > summary").click()
    page.locator(".menu-body").get_by_label("id", exact=True).uncheck()
    page.locator(".menu-body").get_by_label("none: by position").check()
    page.locator(".menu-body").get_by_role("button", name="Compare").click()
    page.get_by_text("Rows belong together by: position").wait_for()


def test_logs_are_compared_and_times_are_ignored_on_demand(page: Page) -> None:
    page.goto(address(*TWO, show="log"))
    assert page.locator('tr[data-kind="removed"]').count() > 20
    page.get_by_label("Ignore times and durations").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url("**ignore_times=1**")
    assert page.locator('tr[data-kind="removed"] code').all_inner_texts() == [
        "driving at 10 km/h",
        "WINSLOW_RESULT: mean_speed=10",
        "WINSLOW_RESULT: vehicles=190",
    ]
    assert page.get_by_text("lines are the same").count() == 1
    page.get_by_text("Both logs end here.").wait_for()


def test_curves_are_drawn_over_each_other(page: Page) -> None:
    page.goto(address(*MANY, show="charts"))
    page.locator("overlay-chart canvas").wait_for()
    assert page.locator("overlay-chart .u-series").count() == 5
    page.locator("select[name=y]").select_option("speed")
    page.get_by_label("Across").select_option("time_s")
    page.get_by_role("button", name="Draw").click()
    page.wait_for_url("**x=time_s&y=speed**")
    page.locator("overlay-chart canvas").wait_for()


def test_a_range_on_an_axis_lights_the_runs_within_it(page: Page) -> None:
    page.goto(address(*MANY, show="parallel"))
    page.locator(".axis").nth(2).wait_for()
    assert page.locator("path.run").count() == 4
    page.get_by_text("Ranges", exact=True).click()
    page.get_by_label("mean_speed from").fill("18")
    assert page.locator("tr[data-run].dim").evaluate_all("rows => rows.map(row => row.dataset.run)") == ["A", "B"]
    assert page.locator("path.run.dim").count() == 2
    page.get_by_role("button", name="Clear the ranges").click()
    assert page.locator(".dim").count() == 0
    grip = page.locator(".axis .grip").nth(1).bounding_box()
    assert grip
    page.mouse.move(grip["x"] + 16, grip["y"] + 4)
    page.mouse.down()
    page.mouse.move(grip["x"] + 16, grip["y"] + grip["height"] / 4, steps=3)
    page.mouse.up()
    assert page.locator("tr[data-run].dim").evaluate_all("rows => rows.map(row => row.dataset.run)") == ["A", "B", "C"]


def test_points_are_chosen_by_a_rectangle_and_lead_to_their_attempt(page: Page) -> None:
    page.goto(address(*MANY, show="scatter", x="parameter.env.SPEED", y="result.vehicles"))
    page.locator("a.point").nth(3).wait_for()
    box = page.locator("scatter-view svg").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] - 40, steps=4)
    page.mouse.up()
    assert page.locator("tr[data-run].dim").evaluate_all("rows => rows.map(row => row.dataset.run)") == ["A", "B"]
    page.locator("a.point").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/projects/left/stages/make/result?attempt=1")


def test_runs_are_sorted_by_a_column_and_one_is_picked(server: Server, page: Page) -> None:
    page.goto(address(*MANY))
    page.get_by_role("link", name="vehicles").click()
    runs = page.locator("tr[data-run]")
    assert runs.evaluate_all("rows => rows.map(row => row.dataset.run)") == ["D", "C", "B", "A"]
    page.get_by_role("link", name="vehicles").click()
    assert runs.evaluate_all("rows => rows.map(row => row.dataset.run)") == ["A", "B", "C", "D"]
    pick = runs.nth(1).get_by_role("button", name="Pick")
    # The report was made from this attempt.
    assert "That puts no other stage out of date." in (pick.get_attribute("hx-confirm") or "")
    pick.click()
    chosen = server.winslow.comparisons.attempts(["right:make:1"])[0].task_id
    until(lambda: server.winslow.status("right").stage("make").in_use == chosen, "the attempt is picked")
    page.reload()
    assert "in use" in runs.nth(1).inner_text()
    third = runs.nth(2).get_by_role("button", name="Pick")
    assert "That puts report out of date until it has run again." in (third.get_attribute("hx-confirm") or "")


@pytest.mark.parametrize(
    ("name", "attempts", "show"),
    [
        ("empty", (), ""),
        *((f"two-{show}", TWO, show) for show in ("settings", "pictures", "charts", "tables", "log", "files")),
        *((f"many-{show}", MANY, show) for show in ("runs", "parallel", "scatter", "charts")),
    ],
)
def test_everybody_can_compare(page: Page, name: str, attempts: tuple[str, ...], show: str) -> None:
    page.goto(address(*attempts, **({"show": show} if show else {})), wait_until="load")
    if show == "tables":
        page.locator(".row-diff").wait_for()
    assert looked_at(page, f"compare-{name}") == []
