"""The log of an attempt, in a real browser, of real stages."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from installation import Installation, until

from winslow_dagster import Winslow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

LINES = 20_000
LARGE_LINES = 3_000_000
STAGES = {
    "hostile": r"""
import sys
def put(data): sys.stdout.buffer.write(data)
put(b"\x1b[1;31mERROR\x1b[0m in colour\n")
put(b"<script>window.hacked=1</script><img src=x onerror='window.hacked=1'> &amp;\n")
put("RTL \u202eevil\u202c \u05e9\u05dc\u05d5\u05dd end\n".encode())
put(b"binary \x00\x01\xff\xfe\x7f end\n")
put(b"long " + b"x" * 1_000_000 + b" end\n")
put(b"10%\r50%\r100%\n")
put(b"\x1b]0;title\x07shown \x1b[2Kstill\n")
for n in range(LINES):
    level = b"ERROR" if n % 5000 == 4321 else b"WARN" if n % 700 == 3 else b"DEBUG"
    put(b"%b tracker.Detector - tile %d scored 0.%06d in 12 ms\n" % (level, n, n))
put(b"the last line has no line feed")
sys.stdout.flush()
sys.exit(3)
""".replace("LINES", str(LINES)),
    "growing": r"""
import os, pathlib, sys, time
folder = pathlib.Path(os.environ["FOLDER"])
count = 0
while not (folder / "stop").exists():
    wanted = int((folder / "lines").read_text() or 0)
    while count < wanted:
        count += 1
        print("growing", count, flush=True)
    time.sleep(0.05)
""",
    "large": r"""
import sys
text = "DEBUG tracker.Detector - tile %d scored 0.123456 in 12 ms, of a picture of 4096 by 2160, in pass 2\n"
for first in range(0, LINES, 10_000):
    sys.stdout.write("".join([text % n for n in range(first, first + 10_000)]))
    if first == 1_500_000: sys.stdout.write("ERROR in the middle\n")
""".replace("LINES", str(LARGE_LINES)),
}


def pipeline(name: str, folder: Path) -> str:
    return json.dumps(
        {
            "name": name,
            "command": [sys.executable, "-c"],
            "env": {"FOLDER": str(folder)},
            "stages": [{"name": "talk", "args": [STAGES[name]], "errors": [r"\bERROR\b"], "warnings": [r"\bWARN\b"]}],
        }
    )


class Logs:
    """An installation with logs of several kinds."""

    def __init__(self, there: Installation, folder: Path) -> None:
        self.there = there
        self.folder = folder
        self.address = f"http://127.0.0.1:{there.port}"

    @cached_property
    def cookie(self) -> Any:
        """What a browser needs to be logged in."""
        return self.there.cookie().of(self.address)

    def run(self, name: str) -> None:
        with Winslow(self.there.settings) as winslow:
            winslow.run(name, name)

    def ended(self, name: str) -> bool:
        with Winslow(self.there.settings) as winslow:
            return winslow.project(name).attempts()[-1].ended_at is not None if self.started(name) else False

    def started(self, name: str) -> bool:
        with Winslow(self.there.settings) as winslow:
            return bool(winslow.project(name).attempts())

    def outcomes(self, name: str) -> list[str | None]:
        with Winslow(self.there.settings) as winslow:
            return [attempt.outcome for attempt in winslow.project(name).attempts()]

    def path(self, name: str, **query: object) -> str:
        """The log in a window of its own."""
        return f"{self.address}/projects/{name}/stages/talk/log?{urlencode({'full': 1, **query})}"

    def get(self, name: str, what: str = "", **query: object) -> tuple[int, bytes]:
        address = f"{self.address}/api/v1/projects/{name}/stages/talk/log{what}?{urlencode(query)}"
        try:
            request = urllib.request.Request(address, headers=self.there.authorization)
            with urllib.request.urlopen(request) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def ask(self, name: str, what: str = "", **query: object) -> Any:
        status, body = self.get(name, what, **query)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    folder = tmp_path_factory.mktemp("logs")
    (folder / "lines").write_text("3")
    there = Installation(folder, None, {f"{name}": pipeline(name, folder) for name in STAGES})
    there.up()
    made = Logs(there, folder)
    try:
        for name in STAGES:
            made.run(name)
        until(lambda: made.ended("hostile") and made.started("growing"), "the stage has ended")
        yield made
        (folder / "stop").touch()
        until(lambda: made.ended("growing") and made.ended("large"), "all stages have ended")
    finally:
        there.down()


@pytest.fixture
def page(browser: Browser, logs: Logs) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
        context.add_cookies([logs.cookie])
        context.set_default_timeout(60_000)
        opened = context.new_page()
        errors: list[object] = []
        opened.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108  # playwright takes no built-in method
        opened.on("console", lambda message: errors.append(message.text) if is_mistake(message) else None)
        yield opened
        assert errors == []


def is_mistake(message: ConsoleMessage) -> bool:
    """The browser also reports a search that the server has refused, which the page shows."""
    return message.type == "error" and "status of 422" not in message.text


def lines(page: Page) -> list[int]:
    """The numbers of the lines that can be seen, at least partly."""
    shown: list[int] = page.evaluate("""() => {
        const view = document.querySelector(".log-view").getBoundingClientRect();
        return [...document.querySelectorAll(".log-line:not(.log-pinned)")].filter((line) => {
            const box = line.getBoundingClientRect();
            return box.bottom > view.top + 1 && box.top < view.bottom - 1;
        }).map((line) => Number(line.dataset.line));
    }""")
    return shown


def shown(page: Page, line: int) -> None:
    """Returns once the line's text is there."""
    page.locator(f'.log-line[data-line="{line}"] .log-text').wait_for()


def keep_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("WINSLOW_TEST_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/log-{name}.png")


def holds(page: Page, condition: str) -> None:
    """Returns once a condition holds. The page's policy forbids what playwright itself does for this."""
    until(lambda: bool(page.evaluate(condition)), condition)


def copied_text(page: Page) -> str:
    """What a copy puts into the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('nothing yet')")
    page.keyboard.press("Control+C")
    until(lambda: page.evaluate("navigator.clipboard.readText()") != "nothing yet", "it is copied")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def number_of(logs: Logs, name: str, text: str) -> int:
    """The number of the first line with this text."""
    found = {"lines": [], "next_line": 1}
    while not found["lines"]:
        found = logs.ask(name, "/search", text=text, limit=1, start=found["next_line"])
    number: int = found["lines"][0]["number"]
    return number


# REST


def test_a_window_has_lines_with_their_levels_and_how_long_the_log_is(logs: Logs) -> None:
    begin = number_of(logs, "hostile", "in colour")
    found = logs.ask("hostile", first=begin, count=5)
    assert [line["number"] for line in found["lines"]] == list(range(begin, begin + 5))
    assert [line["level"] for line in found["lines"]] == ["error", None, None, None, None]
    assert found["lines"][1]["text"] == "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'> &amp;"
    assert found["lines"][3]["text"] == "binary \x00\x01\ufffd\ufffd\x7f end"
    long = found["lines"][4]
    assert len(long["text"]) == 4_000
    (whole,) = logs.ask("hostile", first=begin + 4, count=1, whole=True)["lines"]
    assert len(whole["text"]) == 4_000 + long["more"]
    assert whole["text"].endswith("more bytes of this line omitted]")
    assert found["shape"] == {"lines": begin + LINES + 7, "ended": True, "omitted_first": 0, "omitted_last": 0}


def test_the_last_line_is_there_without_its_line_feed_and_nothing_follows_it(logs: Logs) -> None:
    last = logs.ask("hostile")["shape"]["lines"]
    found = logs.ask("hostile", first=last, count=10)["lines"]
    assert [line["text"] for line in found] == ["the last line has no line feed"]
    assert logs.ask("hostile", first=last + 1)["lines"] == []


def test_density_search_and_count_agree(logs: Logs) -> None:
    density = logs.ask("hostile", "/density")
    for level in ("error", "warning"):
        counted = logs.ask("hostile", "/count", level=level, width=density["width"])
        assert counted["next_line"] is None
        assert counted["count"] == sum(density[f"{level}s"]) > 3
        bins = {int(place): count for place, count in counted["bins"].items()}
        assert bins == {place: count for place, count in enumerate(density[f"{level}s"]) if count}
        found = logs.ask("hostile", "/search", level=level)
        assert [line["number"] for line in found["lines"]] == counted["numbers"]
        last = logs.ask("hostile", "/search", level=level, direction="backward", start=10**9, limit=1)
        assert last["lines"][0]["number"] == counted["numbers"][-1]


def test_a_download_is_the_whole_log_plain_or_compressed_or_some_lines_of_it(logs: Logs) -> None:
    status, plain = logs.get("hostile", "/download")
    assert status == 200
    assert plain.count(b"\n") == logs.ask("hostile")["shape"]["lines"]
    assert plain.endswith(b"the last line has no line feed\n")
    assert gzip.decompress(logs.get("hostile", "/download", format="gz")[1]) == plain
    assert logs.get("hostile", "/download", first=2, last=3)[1].split(b"\n")[:2] == plain.split(b"\n")[1:3]
    assert b"binary \x00\x01\xff\xfe\x7f end\n" in plain, "as it was printed"


def test_curl_goes_on_with_the_log_of_an_attempt_that_has_ended(logs: Logs, tmp_path: Path) -> None:
    plain = logs.get("hostile", "/download")[1]
    target = tmp_path / "talk.log"
    target.write_bytes(plain[:123_457])
    address = f"{logs.address}/api/v1/projects/hostile/stages/talk/log/download"
    (authorization,) = logs.there.authorization.values()
    command = ["curl", "--silent", "--fail", "-C", "-", "-H", f"Authorization: {authorization}", "-o", target, address]
    subprocess.run(command, check=True)
    assert target.read_bytes() == plain


def test_a_mistake_in_a_search_is_a_problem_that_says_what_is_wrong(logs: Logs) -> None:
    status, body = logs.get("hostile", "/search", text="(", regex=True)
    assert (status, "missing )" in json.loads(body)["detail"]) == (422, True)
    status, body = logs.get("hostile", "/search", since="yesterday")
    assert (status, json.loads(body)["faults"][0]["field"]) == (422, "since")
    assert logs.get("hostile", "", attempt="9")[0] == 404
    assert logs.get("nobody")[0] == 404


# In the browser


@pytest.mark.parametrize("full", [0, 1])
def test_a_failed_log_opens_at_its_first_error(logs: Logs, page: Page, full: int) -> None:
    page.goto(logs.path("hostile", full=full))
    error = number_of(logs, "hostile", "in colour")
    shown(page, error)
    assert error in lines(page)
    keep_picture(page, "error" if full else "panel")


def test_whatever_a_line_contains_is_shown_as_text(logs: Logs, page: Page) -> None:
    page.goto(logs.path("hostile", line=1))
    begin = number_of(logs, "hostile", "in colour")
    shown(page, begin + 6)
    text = {row: page.locator(f'.log-line[data-line="{begin + row}"] .log-text').inner_text() for row in range(7)}
    assert text[0].endswith("ERROR in colour")
    assert text[1] == "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'> &amp;"
    assert text[2] == "RTL \u2426evil\u2426 \u05e9\u05dc\u05d5\u05dd end"
    assert text[3] == "binary \u2400\u2401\ufffd\ufffd\u2421 end"
    assert text[5] == "100%"
    assert text[6] == "shown still"
    assert page.locator(".log-line .sgr-red.sgr-bold").first.inner_text() == "ERROR"
    assert page.evaluate("window.hacked") is None
    page.locator("[data-more]").click()
    holds(page, "document.querySelector('[data-more]') === null")
    assert (
        "more bytes of this line omitted" in page.locator(f'.log-line[data-line="{begin + 4}"] .log-text').inner_text()
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_link_selects_lines_and_a_selection_is_a_link(logs: Logs, page: Page) -> None:
    page.goto(logs.path("hostile", line="10000-10002"))
    shown(page, 10_002)
    assert page.locator(".log-selected").count() == 3
    page.locator('.log-line[data-line="10004"] .log-number').click()
    page.locator('.log-line[data-line="10006"] .log-number').click(modifiers=["Shift"])
    assert page.url.endswith("line=10004-10006")
    page.locator(".log-view").focus()
    expected = [line["text"] for line in logs.ask("hostile", first=10_004, count=3)["lines"]]
    assert copied_text(page).split("\n") == expected
    page.goto(logs.path("hostile") + "#L500-L501")
    shown(page, 500)
    assert 500 in lines(page)


def test_keys_move_as_in_an_editor(logs: Logs, page: Page) -> None:
    page.goto(logs.path("hostile", line=5_000))
    shown(page, 5_000)
    page.locator(".log-view").focus()
    last = logs.ask("hostile")["shape"]["lines"]
    page.keyboard.press("End")
    shown(page, last)
    bottom = lines(page)
    assert bottom[-1] == last
    page.keyboard.press("PageUp")
    holds(page, f"Number(document.querySelector('.log-line').dataset.line) < {bottom[0] - len(bottom) // 2}")
    page.keyboard.press("Home")
    shown(page, 1)
    assert lines(page)[0] == 1
    page.keyboard.press("PageDown")
    holds(page, f"Number(document.querySelector('.log-line').dataset.line) > {len(bottom) // 2}")


def test_a_selection_over_many_screens_copies_every_line_of_it(logs: Logs, page: Page) -> None:
    page.goto(logs.path("hostile", line=3_000))
    shown(page, 3_000)
    first = lines(page)[2]
    page.evaluate(
        """(line) => {
            const text = document.querySelector(`.log-line[data-line="${line}"] .log-text`).lastChild;
            document.getSelection().setBaseAndExtent(text, 6, text, 6);
        }""",
        first,
    )
    view = page.locator(".log-view")
    view.hover()
    page.mouse.wheel(0, 3_000)
    holds(page, f"Number(document.querySelector('.log-line:not(.log-pinned)').dataset.line) > {first + 60}")
    # In one step: the wheel may still be rolling, and lines come and go. Those that are not loaded yet have no text.
    extended: list[int] = []

    def extend() -> bool:
        line = page.evaluate(
            """() => {
                const text = [...document.querySelectorAll(".log-line:not(.log-pinned) .log-text")].at(-3);
                if (!text) return null;
                document.getSelection().extend(text.lastChild, 5);
                return Number(text.closest(".log-line").dataset.line);
            }"""
        )
        extended.extend([] if line is None else [line])
        return line is not None

    until(extend, "some lines are loaded")
    (last,) = extended
    expected = [line["text"] for line in logs.ask("hostile", first=first, count=last - first + 1)["lines"]]
    expected[0], expected[-1] = expected[0][6:], expected[-1][:5]
    assert len(expected) > 100
    assert copied_text(page).split("\n") == expected


def test_a_search_goes_to_the_next_match_and_counts_all(logs: Logs, page: Page) -> None:
    page.goto(logs.path("hostile", line=1))
    page.keyboard.press("/")
    page.keyboard.type("tile 77")
    page.get_by_text("1 of 111").wait_for()
    match = number_of(logs, "hostile", "tile 77 ")
    assert match in lines(page)
    assert page.locator(".log-current mark").inner_text() == "tile 77"
    page.keyboard.press("Enter")
    page.get_by_text("2 of 111").wait_for()
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    page.get_by_text("111 of 111").wait_for()
    keep_picture(page, "search")
    page.get_by_label("Regular expression").check()
    page.locator("input[name=text]").fill("tile (123|456)4 scored$")
    page.get_by_text("No match").wait_for()
    page.locator("input[name=text]").fill("(")
    page.get_by_text("missing )").wait_for()


def test_errors_are_reached_one_after_the_other_and_from_the_rail(logs: Logs, page: Page) -> None:
    page.goto(logs.path("hostile", line=1))
    numbers = logs.ask("hostile", "/count", level="error")["numbers"]
    for number in [*numbers, numbers[0]]:
        page.get_by_title("Go to the next error").click()
        page.locator(f'.log-current[data-line="{number}"]').wait_for()
    box = page.locator(".log-rail").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 5, box["y"] + box["height"] * 0.75)
    holds(page, f"Number(document.querySelector('.log-line').dataset.line) > {LINES // 2}")
    assert min(lines(page)) < LINES * 0.75 + 50 < LINES + 50


def test_long_lines_wrap_and_times_are_shown_and_the_choice_is_kept(logs: Logs, page: Page) -> None:
    page.goto(logs.path("hostile", line=7))
    page.get_by_role("button", name="Wrap").click()
    page.locator("[data-log-times]").select_option("elapsed")
    page.locator(".log-time").first.wait_for()
    tall = "Math.max(...[...document.querySelectorAll('.log-line')].map((line) => line.offsetHeight))"
    assert page.evaluate(tall) > 200
    page.reload()
    page.locator(".log-time").first.wait_for()
    assert page.evaluate(tall) > 200
    page.locator(".log-view").focus()
    page.keyboard.press("End")
    last = logs.ask("hostile")["shape"]["lines"]
    shown(page, last)
    assert lines(page)[-1] == last
    page.keyboard.press("Home")
    shown(page, 1)
    page.locator(".log-view").hover()
    page.mouse.wheel(0, 5_000)
    holds(page, "Number(document.querySelector('.log-line').dataset.line) > 9")


def test_a_growing_log_is_followed_until_one_scrolls_up_and_again_at_its_end(logs: Logs, page: Page) -> None:
    page.goto(logs.path("growing"))

    def grow(count: int) -> None:
        (logs.folder / "lines.new").write_text(str(count))
        (logs.folder / "lines.new").replace(logs.folder / "lines")

    follow = page.get_by_role("button", name="Follow")
    assert follow.get_attribute("aria-pressed") == "true"
    grow(200)
    page.get_by_text("growing 200", exact=True).wait_for()
    page.locator(".log-view").hover()
    page.mouse.wheel(0, -600)
    holds(page, "document.querySelector('[data-log-follow]').ariaPressed === 'false'")
    before = lines(page)
    grow(400)
    until(lambda: bool(logs.ask("growing", "/search", text="growing 400")["lines"]), "it has grown")
    last = logs.ask("growing")["shape"]["lines"]
    holds(page, f"document.querySelector('[data-log-place]').textContent.endsWith('{last}')")
    assert lines(page) == before
    page.locator(".log-view").focus()
    page.keyboard.press("End")
    page.get_by_text("growing 400", exact=True).wait_for()
    assert follow.get_attribute("aria-pressed") == "true"
    grow(401)
    page.get_by_text("growing 401", exact=True).wait_for()


def test_a_large_log_is_scrolled_to_any_line_and_keeps_only_what_is_near(logs: Logs, page: Page) -> None:
    until(lambda: logs.ended("large"), "the stage has ended")
    page.goto(logs.path("large"))
    last = logs.ask("large")["shape"]["lines"]
    assert last > LARGE_LINES
    middle = number_of(logs, "large", "ERROR in the middle")
    shown(page, middle)
    keep_picture(page, "large")
    view = page.locator(".log-view")
    view.hover()
    before = lines(page)
    page.mouse.wheel(0, 100)
    holds(page, f"Number(document.querySelector('.log-line').dataset.line) === {before[0] + 5}")
    view.focus()
    page.keyboard.press("End")
    shown(page, last)
    assert lines(page)[-1] == last
    page.keyboard.press("PageUp")
    holds(page, f"Number(document.querySelector('.log-line').dataset.line) < {last - 40}")
    page.keyboard.press("Home")
    shown(page, 1)
    page.evaluate(
        "document.querySelector('.log-view').scrollTop = document.querySelector('.log-view').scrollHeight / 3"
    )
    holds(page, "Number(document.querySelector('.log-line').dataset.line) > 100000")
    shown(page, lines(page)[5])
    assert abs(lines(page)[0] - last / 3) < last / 100
    page.keyboard.press("/")
    page.keyboard.type("tile 2999999 ")
    page.get_by_text("1 of 1", exact=True).wait_for()
    assert number_of(logs, "large", "tile 2999999 ") in lines(page)
    assert page.evaluate("document.querySelectorAll('.log-line').length") < 200


def test_the_log_is_usable_on_a_phone_and_in_the_dark(logs: Logs, browser: Browser) -> None:
    with browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True, is_mobile=True
    ) as context:
        context.add_cookies([logs.cookie])
        page = context.new_page()
        page.goto(logs.path("hostile"))
        shown(page, number_of(logs, "hostile", "in colour"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        keep_picture(page, "phone-dark")


def test_a_page_without_a_log_says_so(logs: Logs) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(
            urllib.request.Request(logs.path("hostile", attempt=7), headers=logs.there.authorization)
        )
    assert caught.value.code == 404
    assert "no attempt 7" in caught.value.read().decode()


def test_attempts_are_tabs_and_each_has_its_own_log(logs: Logs, page: Page) -> None:
    logs.run("hostile")
    until(lambda: len(logs.outcomes("hostile")) == 2 and all(logs.outcomes("hostile")), "the second attempt has ended")
    page.goto(logs.path("hostile"))
    tabs = page.get_by_role("navigation", name="Attempts")
    assert tabs.locator("[aria-current]").inner_text().startswith("Attempt 2")
    tabs.get_by_role("link", name="Attempt 1").click()
    page.wait_for_url("**attempt=1**")
    assert tabs.locator("[aria-current]").inner_text().startswith("Attempt 1")
    assert "winslow logs hostile talk --attempt 1" in page.locator(".log-command").inner_text()
