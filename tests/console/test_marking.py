"""Marking points on a picture in a real browser, as people do it: clicked, dragged, typed, pasted, judged and kept."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import marking_pipelines
import pytest
from every_state import person, photograph
from installation import until
from numbered_films import number_of, write_film
from PIL import Image
from project_server import Server, running
from test_every_page import looked_at

from winslow_dagster.console.assets import address

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

DOTS = marking_pipelines.DOTS
QUESTION = "/projects/{}/questions/mark"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("marking")
    with running(folder) as started:
        marking_pipelines.write(folder)
        yield started


@pytest.fixture
def project(fresh: Iterator[str]) -> str:
    return next(fresh)


@pytest.fixture(scope="module")
def fresh(server: Server) -> Iterator[str]:
    """Names of projects that ask; each is made when it is asked for."""

    def made() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            server.winslow.run("marking", f"film-{number:02}").ended()
            yield f"film-{number:02}"

    return made()


@pytest.fixture
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    with person(browser, server, "operator") as opened:
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("dialog", lambda dialog: errors.append(dialog.message))
    yield opened
    assert errors == []


def ready(page: Page, project: str) -> None:
    """Returns once the picture of the question is there."""
    page.goto(QUESTION.format(project))
    page.wait_for_function("() => document.querySelector('[data-picture]').naturalWidth > 0")
    page.wait_for_function("() => customElements.get('winslow-question') !== undefined")


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the picture is in the window."""
    found: list[float] = page.evaluate(
        """([x, y]) => {
            const view = document.querySelector("zoom-view"), o = view.toPicture(0, 0), p = view.toPicture(1000, 1000)
            return [(x - o.x) * 1000 / (p.x - o.x), (y - o.y) * 1000 / (p.y - o.y)]
        }""",
        [x, y],
    )
    return found[0], found[1]


def click_at(page: Page, x: float, y: float) -> None:
    page.mouse.click(*on_screen(page, x, y))


def zoom_to(page: Page, x: float, y: float, scale: float) -> None:
    """Enlarge by the wheel around the place until a pixel has this size in the window."""
    for _ in range(60):
        left, top = on_screen(page, x, y)
        right, _ = on_screen(page, x + 1, y)
        if right - left >= scale:
            return
        page.mouse.move(left, top)
        page.mouse.wheel(0, -240)
    raise AssertionError(f"the picture cannot be enlarged {scale} times")


def answer_of(server: Server, project: str) -> dict[str, Any]:
    until(lambda: bool(server.winslow.project(project).answers()), "the answer is stored")
    return server.winslow.project(project).answers()[-1].values


def send(page: Page) -> None:
    page.locator(".question-send .main").click()
    page.wait_for_url(lambda url: "/questions/" not in url or "answered=" in url)


def draft_is_saved(server: Server, project: str, count: int, author: str = "operator") -> None:
    def saved() -> bool:
        drafts = server.winslow.project(project).question("mark").drafts
        return any(len(each.values.get("corners", [])) == count for each in drafts if each.author == author)

    until(saved, f"the draft of {author} has {count} points")


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
def test_a_click_at_full_zoom_is_exact_to_a_tenth_of_a_pixel(
    browser: Browser, server: Server, project: str, scale: float
) -> None:
    base_url = server.place.services.address
    viewport: Any = {"width": 1280, "height": 800}
    with browser.new_context(base_url=base_url, viewport=viewport, device_scale_factor=scale) as context:
        context.add_cookies([server.place.cookie("operator").of(base_url)])  # type: ignore[list-item]  # of its typed dictionary
        page = context.new_page()
        ready(page, project)
        for x, y in DOTS:
            page.get_by_role("button", name="Fit").click()
            zoom_to(page, x + 0.5, y + 0.5, 8)
            # To the middle of the view, where nothing else is in the photograph.
            page.evaluate("([x, y]) => document.querySelector('zoom-view').show(x, y, 40)", [x + 0.5, y + 0.5])
            # Where the browser drew the white pixel, and not where the page says that it is.
            left, top = drawn_at(page, x, y)
            page.mouse.click(left, top)
        send(page)
    marked = answer_of(server, project)["corners"]
    for (x, y), point in zip(DOTS, marked, strict=True):
        assert abs(point["x"] - (x + 0.5)) <= 0.1
        assert abs(point["y"] - (y + 0.5)) <= 0.1


def drawn_at(page: Page, x: float, y: float) -> tuple[float, float]:
    """The middle of the white pixel near the place, in a photograph of the window."""
    left, top = on_screen(page, x + 0.5, y + 0.5)
    content = page.screenshot(animations="disabled")
    with av.open(io.BytesIO(content)) as photograph_:
        picture = next(photograph_.decode(video=0)).to_ndarray(format="gray")
    ratio = page.evaluate("devicePixelRatio")
    reach = int(60 * ratio)
    column, row = int(left * ratio), int(top * ratio)
    part = picture[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
    rows, columns = (part > 240).nonzero()
    assert len(rows) > 200, "the white pixel is in the photograph"
    # Marks and labels are thin; the pixel is a square, so that medians are in it.
    middle_y = (rows.min() + rows.max() + 1) / 2 + max(0, row - reach)
    middle_x = (columns.min() + columns.max() + 1) / 2 + max(0, column - reach)
    return middle_x / ratio, middle_y / ratio


def test_points_are_added_moved_nudged_deleted_undone_and_sent(server: Server, page: Page, project: str) -> None:
    ready(page, project)
    click_at(page, 1000, 600)
    click_at(page, 2000, 1200)
    click_at(page, 3000, 700)
    labels = page.locator('[data-field="corners"] tbody tr td:first-child input')
    assert [each.input_value() for each in labels.all()] == ["P1", "P2", "P3"]
    photograph(page, "marking-three")
    # Dragged, with the magnifier beside it.
    page.mouse.move(*on_screen(page, 2000, 1200))
    page.mouse.down()
    page.mouse.move(*on_screen(page, 2200, 1300), steps=4)
    assert page.locator(".magnifier").is_visible()
    photograph(page, "marking-magnifier")
    page.mouse.up()
    assert not page.locator(".magnifier").is_visible()
    x = page.get_by_label("x of P2 in the picture")
    assert abs(float(x.input_value()) - 2200) < 8
    before = float(x.input_value())
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert float(x.input_value()) == pytest.approx(before + 1.1, abs=0.011)
    # The two steps of the arrow key are one for undo, the drag is another.
    page.keyboard.press("Control+z")
    assert float(x.input_value()) == pytest.approx(before, abs=0.011)
    page.keyboard.press("Control+z")
    assert abs(float(x.input_value()) - 2000) < 8
    page.keyboard.press("Control+Shift+z")
    assert float(x.input_value()) == pytest.approx(before, abs=0.011)
    page.keyboard.press("Delete")
    assert [each.input_value() for each in labels.all()] == ["P1", "P3"]
    page.keyboard.press("Control+z")
    assert labels.count() == 3
    # The list and the picture show each other.
    page.mouse.move(*on_screen(page, 1000, 600))
    page.locator("tr[data-hovered]").wait_for()
    page.locator('[data-field="corners"] tbody tr').nth(2).hover()
    page.locator(".mark.hovered").wait_for()
    send(page)
    marked = answer_of(server, project)["corners"]
    assert [each["label"] for each in marked] == ["P1", "P2", "P3"]
    until(lambda: server.state(project) == "succeeded", "the project goes on")


def test_nine_points_with_coordinates_need_fewer_than_three_clicks_each(
    server: Server, page: Page, project: str
) -> None:
    ready(page, project)
    clicks = 0
    page.get_by_text("Paste points").click()
    clicks += 1
    rows = [(f"m{n}", 400 + n % 3 * 1500, 300 + n // 3 * 700) for n in range(9)]
    # Cells of a spreadsheet with decimal commas.
    pasted = "\n".join(f"{name}\t{x / 20:.2f}\t{-y / 20:.2f}".replace(".", ",") for name, x, y in rows)
    page.get_by_label("Points to paste into").fill(pasted)
    page.get_by_role("button", name="Add these points").click()
    clicks += 2
    for _, x, y in rows:
        click_at(page, x, y)
        clicks += 1
    page.get_by_text("the points fit within").wait_for()
    photograph(page, "marking-nine")
    send(page)
    clicks += 1
    assert clicks <= 3 * len(rows)
    marked = answer_of(server, project)["corners"]
    assert [each["label"] for each in marked] == [name for name, _, _ in rows]
    assert marked[4]["world"] == [95.0, -50.0]


def test_a_wrong_coordinate_shows_itself_at_its_point_before_it_is_sent(page: Page, project: str) -> None:
    ready(page, project)
    page.get_by_text("Paste points").click()
    rows = [(f"m{n}", 400 + n % 3 * 1500 + n * 20, 300 + n // 3 * 700) for n in range(9)]
    text = "\n".join(f"{name};{x};{y};{x / 20 + (40 if name == 'm4' else 0)};{-y / 20}" for name, x, y in rows)
    page.get_by_label("Points to paste into").fill(text)
    page.get_by_role("button", name="Add these points").click()
    page.get_by_text("m4 does not fit the other points").wait_for()
    wrong = page.locator('[data-field="corners"] tr[data-doubted]')
    assert wrong.count() == 1
    assert wrong.locator("input").first.input_value() == "m4"
    assert page.locator(".mark.doubted").count() == 1
    assert wrong.locator(".residual").inner_text() == "40 m"
    photograph(page, "marking-doubt")
    field = page.get_by_label("x in metres of m4")
    field.fill(f"{(400 + 1500 + 80) / 20:.1f}".replace(".", ","))
    field.press("Tab")
    page.locator("tr[data-doubted]").wait_for(state="detached")


def test_proposals_are_accepted_one_by_one_or_all_at_once(server: Server, page: Page, project: str) -> None:
    ready(page, project)
    page.locator(".proposed").nth(2).wait_for()
    x, y = DOTS[0]
    click_at(page, x + 6, y + 4)
    page.get_by_role("button", name="Accept all 2 proposals").click()
    send(page)
    marked = answer_of(server, project)["corners"]
    assert [(each["x"], each["y"]) for each in marked] == [(x + 0.5, y + 0.5) for x, y in DOTS]


def test_lines_and_polygons_are_marked_on_the_same_picture(server: Server, page: Page, project: str) -> None:
    ready(page, project)
    click_at(page, 900, 500)
    click_at(page, 2900, 500)
    page.locator('[data-field="known_length"] h2').click()
    click_at(page, 600, 1000)
    click_at(page, 1600, 1000)
    page.get_by_label("Known length m").fill("5000")
    page.get_by_text("One pixel is 5 m wide by this length").wait_for()
    page.get_by_label("Known length m").fill("50")
    page.locator('[data-field="road"] h2').click()
    for x, y in ((300, 300), (3500, 300), (3500, 1900)):
        click_at(page, x, y)
    page.keyboard.press("Enter")
    photograph(page, "marking-shapes")
    send(page)
    values = answer_of(server, project)
    assert (values["known_length_m"], len(values["known_length"][0]["points"])) == (50, 2)
    (road,) = values["road"]
    assert (road["label"], len(road["points"])) == ("lane <1>", 3)


def test_everything_is_done_by_keyboard_alone(server: Server, page: Page, project: str) -> None:
    ready(page, project)

    def reach(name: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == name:
                return
        raise AssertionError(f"{name} is not reached")

    page.locator("#content").focus()
    reach("Add in the middle")
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    x, y = (float(page.get_by_label(f"{axis} of P1 in the picture").input_value()) for axis in "xy")
    assert (x, y) == (pytest.approx(1917, abs=3), pytest.approx(1079.9, abs=3))
    page.keyboard.press("+")
    page.locator("#content").focus()
    reach("Add in the middle")
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    page.locator("#content").focus()
    reach("Answer")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/questions/mark" not in url or "answered" in url)
    assert len(answer_of(server, project)["corners"]) == 2


def test_a_draft_survives_a_reload_and_another_browser(
    browser: Browser, server: Server, page: Page, project: str
) -> None:
    ready(page, project)
    click_at(page, 1000, 600)
    click_at(page, 2000, 1200)
    page.get_by_label("Side").fill("half a w")
    draft_is_saved(server, project, 2)
    page.get_by_text("Draft saved").wait_for()
    page.reload()
    page.locator(".mark").nth(1).wait_for()
    assert page.get_by_label("Side").input_value() == "half a w"
    with person(browser, server, "operator") as other:
        elsewhere = other.new_page()
        ready(elsewhere, project)
        elsewhere.locator(".mark").nth(1).wait_for()
        click_at(elsewhere, 3000, 700)
        draft_is_saved(server, project, 3)
        # The first window does not write over what the second has saved.
        click_at(page, 500, 1500)
        page.get_by_text("You saved a newer draft").wait_for()
        photograph(page, "marking-conflict")
        draft_is_saved(server, project, 3)
        page.get_by_role("button", name="Load it").click()
        x = page.get_by_label("x of P3 in the picture")
        until(lambda: abs(float(x.input_value()) - 3000) < 8, "the draft of the other window is shown")
        click_at(page, 500, 1500)
        draft_is_saved(server, project, 4)


def test_two_people_see_each_other_and_the_first_answer_wins(browser: Browser, server: Server, project: str) -> None:
    with person(browser, server, "operator") as first, person(browser, server, "admin") as second:
        one, other = first.new_page(), second.new_page()
        ready(one, project)
        ready(other, project)
        one.get_by_text("admin opened this question").wait_for()
        click_at(one, 1000, 600)
        click_at(one, 2000, 1200)
        other.get_by_text("operator has a draft").wait_for()
        click_at(other, 3000, 1700)
        draft_is_saved(server, project, 1, "admin")
        photograph(other, "marking-two-people")
        other.get_by_role("button", name="Use it").click()
        other.locator(".mark").nth(1).wait_for()
        other.locator("zoom-view").focus()
        other.keyboard.press("Control+z")
        until(lambda: other.locator(".mark").count() == 1, "undo brings the own point back")
        send(one)
        other.get_by_text("This question has been answered meanwhile").wait_for()
        assert other.locator(".question-send .main").is_disabled()
        assert server.winslow.project(project).answers()[-1].given_by == "operator"
        draft_is_saved(server, project, 1, "admin")
        photograph(other, "marking-answered-meanwhile")


def test_an_answer_is_given_again_after_its_consequences_were_said(server: Server, page: Page, project: str) -> None:
    ready(page, project)
    click_at(page, 1000, 600)
    click_at(page, 2000, 1200)
    send(page)
    until(lambda: server.state(project) == "succeeded", "the project is done")
    ready(page, project)
    notice = page.locator(".notice", has_text="You may answer again")
    assert "the outputs of mark, after out of date" in notice.inner_text()
    # The previous answer is the start.
    page.locator(".mark").nth(1).wait_for()
    click_at(page, 3000, 700)
    photograph(page, "marking-again")
    page.get_by_role("button", name="Answer again").click()
    page.wait_for_url(lambda url: QUESTION.format(project) not in url)
    until(lambda: len(server.winslow.project(project).answers()) == 2, "the second answer is stored")
    until(lambda: server.state(project) == "succeeded", "what was out of date has run")
    assert server.winslow.status(project).stage("after").attempts == 2


def test_a_result_is_reviewed_beside_its_pictures_and_a_file_is_sent(server: Server, page: Page) -> None:
    server.winslow.run("reviewing", "review").ended()
    page.goto("/projects/review/questions/use")
    assert page.locator(".reviewed img").count() == 1
    assert page.locator(".reviewed .results").inner_text().split() == ["dots", "3"]
    assert page.get_by_role("link", name="Redo draw with changes").get_attribute("href") == (
        "/projects/review/stages/draw/redo"
    )
    photograph(page, "review")
    page.get_by_label("Accept the result of draw").check()
    page.get_by_label("Notes").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"seen"})
    page.locator(".question-send .main").click()
    page.wait_for_url(lambda url: "/review/" not in url)
    until(lambda: server.state("review") == "succeeded", "the project goes on")
    assert server.api("review/files/use/notes.txt").text == "seen"


def in_world(label: str | None, x: float, y: float) -> dict[str, Any]:
    return {"label": label, "x": None, "y": None, "world": [x, y]}


GEOJSON = (
    '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"name": "<b>"}, '
    '"geometry": {"type": "Point", "coordinates": [9.99, 48.4, 480]}}]}'
)
PASTED = {
    "cells of a spreadsheet": ("kerb\t12,5\t-30\npole\t1.234,5\t0", None),
    "cells with decimal commas": ("kerb\t12,5\t-30", [in_world("kerb", 12.5, -30)]),
    "CSV": ("kerb,12.5,-30\npole,1e2,.5\n", [in_world("kerb", 12.5, -30), in_world("pole", 100, 0.5)]),
    "CSV with semicolons": ("kerb;12,5;-30", [in_world("kerb", 12.5, -30)]),
    "quoted cells": ('"kerb, north";12,5;-30', [in_world("kerb, north", 12.5, -30)]),
    "a header in any order": ("Northing;Easting;Name\n5361000,5;573000;K1", [in_world("K1", 573000, 5361000.5)]),
    "numbers as names": ("7 12.5 -30\n8 1 2", [in_world("7", 12.5, -30), in_world("8", 1, 2)]),
    "no names": ("12.5 -30", [in_world(None, 12.5, -30)]),
    "pixels and world": ("a;100;200;5;-10", [{"label": "a", "x": 100, "y": 200, "world": [5, -10]}]),
    "points copied in QGIS": (
        "wkt_geom\tfid\tname\nPoint (573000.5 5361000)\t1\tkerb",
        [in_world("kerb", 573000.5, 5361000)],
    ),
    "WKT": ("POINT(9.99 48.4)", [in_world(None, 9.99, 48.4)]),
    "GeoJSON": (GEOJSON, [in_world("<b>", 9.99, 48.4)]),
    "a points file": (
        '{"points": [{"name": "k", "x_px": 10, "y_px": 20, "x_m": 1, "y_m": 2}]}',
        [{"label": "k", "x": 10.5, "y": 20.5, "world": [1, 2]}],
    ),
    "words": ("these are no points", None),
    "JSON without points": ('{"type": "FeatureCollection", "features": []}', None),
}


def test_points_are_pasted_in_the_forms_in_which_people_have_them(page: Page) -> None:
    page.goto("/projects")
    parse = """async ([address, text]) => {
        const { parsePoints } = await import(address)
        try { return parsePoints(text) } catch (error) { return error.message }
    }"""
    for name, (text, expected) in PASTED.items():
        found = page.evaluate(parse, [address("js/marking/paste.js"), text])
        if expected is None:
            assert isinstance(found, str), name
        else:
            assert found == expected, name


def test_a_frame_of_a_film_is_chosen_exactly_and_comes_with_the_answer(
    server: Server, page: Page, tmp_path: Path
) -> None:
    film = write_film(tmp_path / "film.mp4", 60, times_s=[0.04 * n + (0.3 if n > 20 else 0) for n in range(60)])
    server.winslow.create("filming", "filmed", {"film": film})
    ready(page, "filmed")

    def shown() -> int:
        page.wait_for_function("() => document.querySelector('[data-picture]').complete")
        return number_of(page.request.get(page.locator("[data-picture]").get_attribute("src") or "").body())

    assert shown() == 0
    page.get_by_text("of 60").wait_for()
    page.get_by_role("button", name="Choose in the film").click()
    player = page.locator("frame-player")
    # Its first frame is there.
    player.locator(".player-frame[src]").wait_for()
    number = player.get_by_role("spinbutton", name="Frame")
    number.fill("40")
    number.press("Enter")
    until(lambda: page.evaluate("document.querySelector('frame-player').index") == 40, "the player shows the frame")
    photograph(page, "marking-film-player")
    page.get_by_role("button", name="Mark this frame").click()
    assert page.locator("dialog[open]").count() == 0
    until(lambda: shown() == 40, "the frame 40 is to be marked")
    page.get_by_role("button", name="One frame on").click()
    until(lambda: shown() == 41, "the next frame is to be marked")
    # The frame alone is a draft, too.
    page.get_by_text("Draft saved").wait_for()
    page.reload()
    until(lambda: shown() == 41, "the chosen frame is shown again")
    click_at(page, 50, 20)
    page.locator('[data-field="road"] h2').click()
    for x, y in ((10, 10), (200, 10), (200, 50)):
        click_at(page, x, y)
    photograph(page, "marking-film")
    page.get_by_text("Draft saved").wait_for()
    page.reload()
    until(lambda: shown() == 41, "the frame of the draft is shown")
    send(page)
    values = answer_of(server, "filmed")
    assert [each["frame"] for each in values["corners"]] == [41]
    assert (values["road"][0]["frame"], len(values["road"][0]["points"])) == (41, 3)


def test_marks_on_a_photo_that_lies_on_its_side_are_those_of_the_upright_picture(
    server: Server, page: Page, tmp_path: Path
) -> None:
    metadata = Image.Exif()
    metadata[0x0112] = 6
    Image.new("RGB", (300, 200), (90, 120, 90)).save(tmp_path / "plan.jpg", exif=metadata)
    server.winslow.run("turned", "turned-one", {"plan": tmp_path / "plan.jpg"}).ended()
    ready(page, "turned-one")
    size = page.evaluate("(p => [p.naturalWidth, p.naturalHeight])(document.querySelector('[data-picture]'))")
    assert size == [200, 300]
    # Below what the file calls its height.
    click_at(page, 150, 230)
    page.locator('[data-field="corners"] [data-count]').filter(has_text="1").wait_for()
    page.get_by_text("Draft saved").wait_for()
    send(page)
    (corner,) = answer_of(server, "turned-one")["corners"]
    assert (corner["x"], corner["y"]) == (pytest.approx(150, abs=1), pytest.approx(230, abs=1))


def test_after_an_answer_the_next_question_of_another_project_is_shown(
    server: Server, page: Page, project: str
) -> None:
    server.winslow.run("marking", "waits-too").ended()
    ready(page, project)
    page.get_by_role("button", name="Accept all 3 proposals").click()
    page.locator(".question-send .main").click()
    page.wait_for_url(lambda url: f"answered={project}" in url)
    page.get_by_text(f"The answer for {project} is saved").wait_for()
    page.get_by_role("heading", name="mark asks").wait_for()


def test_everybody_can_use_the_page_in_every_size_and_scheme(browser: Browser, server: Server, project: str) -> None:
    with person(browser, server, "operator", trusting=True) as context:
        page = context.new_page()
        ready(page, project)
        for x, y in ((1000, 600), (2000, 1200), (3000, 700)):
            click_at(page, x, y)
        page.get_by_label("Name of P1").fill('"><script>alert(1)</script>')
        page.get_by_label("Name of P2").focus()
        page.get_by_text("Draft saved").wait_for()
        assert looked_at(page, "marking") == []


def test_a_viewer_sees_the_picture_and_changes_nothing(browser: Browser, server: Server, project: str) -> None:
    server.winslow.project(project).save_draft("mark", {"corners": [{"label": "P1", "x": 900, "y": 900}]})
    with person(browser, server, "viewer") as context:
        page = context.new_page()
        ready(page, project)
        click_at(page, 1000, 600)
        page.get_by_text("An operator can answer this").wait_for()
        assert page.locator(".mark").count() == 0
        assert page.locator(".question-send").count() == 0
        drafts = server.winslow.project(project).question("mark").drafts
        assert {each.author for each in drafts} == {"anna"}
