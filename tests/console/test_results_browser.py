"""Results in a real browser: tables of any number of rows, charts and maps of what a stage has written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from every_state import person
from installation import until
from project_server import Server, running
from result_pipelines import results
from test_every_page import looked_at

from winslow_dagster.tables.charts import ChartQuery

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

pytestmark = [pytest.mark.chromium, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("results"), results) as started:
        assert started.winslow.run("results", "made").ended().state == "succeeded"
        yield started


@pytest.fixture(scope="module")
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    with person(browser, server, trusting=True) as opened:
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    errors: list[object] = []

    def note(error: object) -> None:
        errors.append(error)

    opened.on("pageerror", note)
    yield opened
    assert errors == []
    opened.close()


def table_of(page: Page, file: str) -> None:
    """Open the file, and return once its table is there."""
    page.goto(f"/projects/made/stages/make/files?file={file}")
    page.locator("table-view .grid-row .grid-number").first.wait_for()


def rows(page: Page) -> list[str]:
    return page.locator("table-view .grid-row").all_inner_texts()


def test_a_long_table_is_scrolled_sorted_filtered_and_jumped_in(page: Page) -> None:
    table_of(page, "large.csv")
    assert page.locator(".grid-count").inner_text() == "300,000 rows"
    assert page.locator("table-view .grid-row").count() < 60
    page.get_by_label("Go to row").fill("250000")
    page.keyboard.press("Enter")
    page.get_by_role("cell", name="249999", exact=True).wait_for()
    page.locator(".grid-scroll").evaluate("grid => { grid.scrollTop = grid.scrollHeight }")
    page.get_by_role("cell", name="299999", exact=True).wait_for()
    page.get_by_role("button", name="double").click()
    page.get_by_role("button", name="double").click()
    page.locator('[data-column="double"][aria-sort="descending"]').wait_for()
    page.locator('.grid-row[data-row="0"]', has_text="299999").wait_for()
    page.get_by_label("Filter rows").fill("i < 10; double > 3")
    page.locator(".grid-count", has_text="8 of 300,000 rows").wait_for()
    page.get_by_label("Filter rows").fill("nonsense")
    page.locator(".table-says.fault", has_text="is not a condition").wait_for()


def test_a_table_is_read_by_keyboard_and_copied(page: Page, context: BrowserContext, server: Server) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.place.services.address)
    table_of(page, "tracks.csv")
    page.locator(".grid-scroll").focus()
    for key in ("End", "Home", "ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert page.locator(".grid-row[data-chosen]").count() == 2
    page.keyboard.press("Control+c")
    page.locator(".message", has_text="Copied").first.wait_for()
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied[0].split("\t")[:2] == ["track_id", "time_s"]
    assert copied[1].split("\t")[:2] == ["0", "0.1"]
    assert len(copied) == 3
    assert looked_at(page, "results-table") == []


def test_a_chart_is_drawn_saved_and_shown_with_the_next_attempt(page: Page, server: Server) -> None:
    table_of(page, "tracks.csv")
    page.get_by_role("button", name="Draw a chart").click()
    form = page.locator(".chart-form")
    form.get_by_label("Across", exact=True).select_option("time_s")
    form.get_by_label("Up", exact=True).select_option(["speed_kmh"])
    form.get_by_label("One per", exact=True).select_option("kind")
    page.locator(".u-legend .u-label", has_text="truck").wait_for()
    for kind, drawn in (("points", "canvas"), ("histogram", "canvas"), ("box", "svg.boxes rect"), ("line", "canvas")):
        form.get_by_label("Kind", exact=True).select_option(kind)
        page.locator(f".chart-area {drawn}").first.wait_for()
    form.get_by_label("Name of the chart").fill("Speeds <b>")
    assert looked_at(page, "results-chart-made") == []
    form.get_by_role("button", name="Save for this stage").click()
    page.locator(".message", has_text="is shown with the results").wait_for()
    server.winslow.project("made").redo("make").ended()
    page.goto("/projects/made/stages/make/result")
    saved = page.locator(".charts chart-view")
    saved.locator(".u-legend .u-label", has_text="car").wait_for()
    assert saved.locator("h3").inner_text() == "Speeds <b>"
    page.on("dialog", lambda dialog: dialog.accept())
    saved.get_by_role("button", name="Delete").click()
    saved.wait_for(state="detached")
    assert server.winslow.charts.of("results") == ()


def test_a_deleted_chart_does_not_come_back_with_a_refresh_that_was_under_way(page: Page, server: Server) -> None:
    query = ChartQuery(kind="histogram", y=("speed_kmh",))
    server.winslow.charts.save("results", "make", "Short-lived", "tracks.csv", query)
    page.goto("/projects/made/stages/make/result")
    saved = page.locator(".charts chart-view")
    saved.locator(".u-legend").wait_for()
    # What the server says before the chart is deleted arrives after that.
    before = page.request.get(page.locator("#project").get_attribute("hx-get") or "")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/projects/made" in request.url else None)
    page.route("**/projects/made**", hold, times=1)
    with page.expect_request("**/projects/made**"):
        page.locator("#project").dispatch_event("refresh")
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        page.once("dialog", lambda dialog: dialog.accept())
        saved.get_by_role("button", name="Delete").click()
    saved.wait_for(state="detached")
    (route,) = held
    route.fulfill(response=before)
    # The page asks once more, at once or after that answer.
    while len(asked) < 2:
        page.wait_for_timeout(20)
    saved.wait_for(state="detached")


def test_what_is_judged_first_is_first_and_numbers_have_their_units(page: Page) -> None:
    page.goto("/projects/made/stages/make/result")
    page.locator("map-view[data-ready]").first.wait_for()
    order = page.locator("#tab-result > *, #tab-result figure").evaluate_all(
        "all => all.map(each => each.dataset.kind ?? each.className)"
    )
    assert order.index("trajectories") < order.index("picture") < order.index("numbers") < order.index("table")
    assert page.locator(".numbers tr", has_text="mean speed").inner_text().split("\t") == ["mean speed", "63.25 km/h"]
    assert looked_at(page, "results-all") == []


def test_a_vehicle_is_chosen_on_the_map_and_shows_its_track_and_speed(page: Page) -> None:
    page.goto("/projects/made/stages/make/result")
    view = page.locator('[data-kind="trajectories"] map-view[data-ready]')
    view.locator(".map-kind", has_text="truck").wait_for()
    assert "8 car" in view.locator(".map-kind").first.inner_text().replace("\n", " ")
    # The first track begins at (100, 80 px) of a picture of 1400 by 500.
    canvas = view.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    scale = min(box["width"] / 1400, box["height"] / 500)
    left, top = box["width"] / 2 - 700 * scale, box["height"] / 2 - 250 * scale
    canvas.click(position={"x": left + 100 * scale, "y": top + 80 * scale})
    view.locator(".map-details h3", has_text="car 0").wait_for()
    assert "km/h" in view.locator(".map-facts").inner_text()
    view.locator(".map-details canvas").wait_for()
    assert looked_at(page, "results-map") == []
    view.get_by_label("Track", exact=True).select_option("9")
    view.locator(".map-details h3", has_text="truck 9").wait_for()
    view.get_by_label("Time", exact=True).fill("12.5")
    assert view.locator("output").inner_text() == "12.5 s"
    canvas.focus()
    for key in ("+", "ArrowLeft", "-", "0", "Tab"):
        page.keyboard.press(key)


def test_a_film_that_the_browser_does_not_play_is_copied_and_follows_the_time_of_its_map(page: Page) -> None:
    page.goto("/projects/made/stages/make/result")
    view = page.locator('[data-kind="trajectories"] map-view[data-ready]')
    film = view.locator("video")
    until(
        lambda: film.evaluate("film => film.currentSrc.includes('/proxy/film') && film.readyState >= 2"),
        "the browser has the copy",
    )
    assert view.get_by_text("does not play the film").count() == 0
    view.get_by_label("Time", exact=True).fill("1.5")
    until(lambda: abs(film.evaluate("film => film.currentTime") - 1.5) < 0.05, "the film shows the same time")
    film.evaluate("film => { film.currentTime = 2 }")
    view.locator("output", has_text="2.0 s").wait_for()


def test_shapes_are_drawn_and_a_click_shows_their_properties(page: Page) -> None:
    page.goto("/projects/made/stages/make/files?file=lanes.geojson")
    view = page.locator("map-view[data-ready]")
    view.wait_for()
    canvas = view.locator("canvas")
    box = canvas.bounding_box()
    assert box is not None
    # The box of all lanes fills the height or the width; its middle is between the lanes L4 and L5. Y counts upwards.
    k = min((box["width"] - 48) / 1180, (box["height"] - 48) / 360)
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] / 2 - 20 * k})
    view.locator(".map-facts", has_text="L5 <i>").wait_for()
    assert looked_at(page, "results-shapes") == []


def test_a_file_that_cannot_be_shown_has_facts(page: Page) -> None:
    page.goto("/projects/made/stages/make/files?file=weights.npz")
    facts = page.locator(".facts-of-file")
    assert "kernel.npy\t<f4 (3, 4)" in facts.inner_text()
    page.goto("/projects/made/stages/make/files?file=model.pt")
    assert "Python pickle" in page.locator(".facts-of-file").inner_text()
    assert looked_at(page, "results-facts") == []


def test_a_file_that_is_no_table_says_why(page: Page) -> None:
    for file, said in (("broken.csv", "zero bytes"), ("broken.geojson", "not JSON")):
        page.goto(f"/projects/made/stages/make/files?file={file}")
        page.locator("table-view .fault, map-view .fault", has_text=said).first.wait_for()


def test_a_chart_follows_a_file_while_its_stage_runs(page: Page, server: Server) -> None:
    server.shut_gate()
    run = server.winslow.run("growing", "live")
    server.winslow.charts.save("growing", "grow", "Loss", "metrics.csv", ChartQuery(x="step", y=("loss",)))
    until(lambda: server.winslow.status("live").stage("grow").state == "running", "the stage runs")
    until(lambda: bool(server.winslow.project("live").growing_tables("grow")), "the file is there")
    page.goto("/projects/live/stages/grow/result")
    chart = page.locator("chart-view", has_text="Loss")
    chart.locator("canvas").wait_for()
    before = int(chart.get_attribute("data-rows") or 0)
    page.wait_for_function(
        "before => Number(document.querySelector('chart-view[data-name]').dataset.rows) > before", arg=before
    )
    assert looked_at(page, "results-live") == []
    server.open_gate()
    assert run.ended().state == "succeeded"
    page.locator('[data-kind="table"] table-view').first.wait_for()
    page.locator(".charts chart-view", has_text="Loss").locator("canvas").wait_for()
