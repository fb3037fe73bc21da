"""The log in the browser: a log of 2 GB opens at once, and costs the tab little however far one scrolls."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psutil

from bench.figure import Figure
from bench.installation import services, winslow_home
from winslow_dagster.console.cookies import cookie_name
from winslow_dagster.projects.accounts.login import Browser
from winslow_dagster.projects.commands.attempt_log import AttemptLog
from winslow_dagster.projects.installation import Installation
from winslow_dagster.stages.log.search import LogQuery

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZE_BYTES = int(os.environ.get("BENCH_LOG_BYTES", "2000000000"))
ROUNDS = 7
JUMPS = 60
GOAL_FIRST_PAINT_S = 0.5
GOAL_TAB_BYTES = 100_000_000
STAGE = """
import random, sys
dice, size, number = random.Random(1), 0, 0
while size < SIZE:
    lines = []
    for _ in range(5000):
        number += 1
        score = dice.random()
        level = "ERROR" if score < 0.00001 else "WARN" if score < 0.001 else "DEBUG"
        lines.append(f"12:00:00,123 {level} de.uni.tracker.Detector - tile {number} scored {score:.9f} in 12 ms\\n")
    text = "".join(lines)
    size += len(text)
    sys.stdout.write(text)
"""
# When the first line of the log has been painted.
WATCH = """() => {
    const seen = new MutationObserver(() => {
        if (!document.querySelector(".log-text")) return;
        seen.disconnect();
        requestAnimationFrame(() => setTimeout(() => { window.shownMs = performance.now(); }));
    });
    seen.observe(document, { childList: true, subtree: true });
}"""


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark."""
    program = STAGE.replace("SIZE", str(SIZE_BYTES)).replace("\n", "\n        ")
    pipeline = (
        f"name: loud\ncommand: ['{sys.executable}', -c]\nstages:\n  - name: talk\n    errors: ['\\bERROR\\b']\n"
        f"    warnings: ['\\bWARN\\b']\n    args:\n      - |\n        {program}\n"
    )
    with winslow_home({"loud": pipeline}) as docker:
        os.environ["WINSLOW_STAGE_MODE"] = "process"
        home = docker.model_copy(update={"stage_mode": "process"})
        with services(home) as running, Installation(home, running) as winslow:
            winslow.run("loud", "loud").wait()
            log = winslow.project("loud").log("talk")
            yield Figure("log_view_size", log.summary().size_bytes / 1e9, "GB", "", None)
            yield from on_the_server(log)
            accounts = winslow.accounts
            accounts.add("bench", role="viewer")
            opened = accounts.login.by_link(accounts.login_link("bench"), Browser("127.0.0.1"))
            name = cookie_name(winslow, secure=False)
            yield from in_the_browser(running.address, {"name": name, "value": opened.key, "url": running.address})


def on_the_server(log: AttemptLog) -> Iterator[Figure]:
    """What a page, the rail and a search of everything cost the server."""
    last = log.shape().lines
    for name, act in (
        ("shape", log.shape),
        ("window_in_the_middle", lambda: log.window(last // 2, 256)),
        ("density", log.density),
    ):
        taken_s = statistics.median(timed(act) for _ in range(ROUNDS))
        yield Figure(f"log_view_{name}", taken_s, "s", "", None)

    def search_all() -> None:
        first: int | None = 1
        while first is not None:
            first = log.count(LogQuery("not in this log"), first, 1_000).next_line

    yield Figure("log_view_search_of_all_of_it", timed(search_all), "s", "", None)


def timed(act: Any) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def in_the_browser(address: str, cookie: dict[str, str]) -> Iterator[Figure]:
    """First paint, and the tab's own memory after it has been everywhere in the log."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
            context.add_cookies([cookie])  # type: ignore[list-item]  # of its typed dictionary
            page = context.new_page()
            page.add_init_script(f"({WATCH})()")
            path = f"{address}/projects/loud/stages/talk/log"
            shown = [shown_s(page, path) for _ in range(ROUNDS)]
            median_s = statistics.median(shown)
            goal = f"<= {GOAL_FIRST_PAINT_S}"
            yield Figure("log_view_first_paint", median_s, "s", goal, median_s <= GOAL_FIRST_PAINT_S)
        for name, shown_path, goal_bytes in (
            # What the browser takes for any page of the console.
            ("log_view_memory_of_a_tab_without_a_log", f"{address}/pipelines", None),
            ("log_view_memory_of_the_tab", f"{path}?full=1", GOAL_TAB_BYTES),
        ):
            with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
                context.add_cookies([cookie])  # type: ignore[list-item]  # of its typed dictionary
                page = context.new_page()
                page.goto(shown_path)
                if goal_bytes:
                    look_everywhere(page)
                used = tab_bytes()
                goal, holds = ("", None) if goal_bytes is None else ("<= 100", used <= goal_bytes)
                yield Figure(name, used / 1e6, "MB", goal, holds)
        browser.close()


def shown_s(page: Page, path: str) -> float:
    """Seconds from the click until the first line is on the screen."""
    page.goto("about:blank")
    page.goto(path)
    while (shown_ms := page.evaluate("window.shownMs ?? 0")) == 0:
        time.sleep(0.05)
    return float(shown_ms) / 1000


def look_everywhere(page: Page) -> None:
    """Go to many places of the log, and wait at each until its lines are there."""
    for jump in range(JUMPS):
        share = (jump * 37 % 100) / 100
        page.evaluate(
            """(share) => {
                const view = document.querySelector(".log-view");
                view.scrollTop = share * view.scrollHeight;
            }""",
            share,
        )
        time.sleep(0.2)
        while page.evaluate("document.querySelectorAll('.log-line:not(:has(.log-text))').length"):
            time.sleep(0.05)


def tab_bytes() -> int:
    """The memory that only the tab's process has: code that it shares with the browser is not its own."""
    renderers = [
        each
        for each in psutil.Process().children(recursive=True)
        if "--type=renderer" in each.cmdline() and "--extension-process" not in each.cmdline()
    ]
    return max(each.memory_full_info().uss for each in renderers)
