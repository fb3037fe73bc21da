"""What open pages are told about running stages."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from every_state import person
from project_server import Server

from winslow_dagster.console.live import PROGRESS_S, News, Running
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.stages.task.model import LogSummary, Phase, StageStatus

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ATTEMPT = Attempt("ulm.detect.1", "ulm", "p", "digest", "detect", 1, "run", NOW, None, None, "", "", None, None)
OTHER = replace(ATTEMPT, task_id="bonn.detect.1", project="bonn")

REFRESHES = 6


def status(lines: int, phase: Phase = "running", reason: str = "") -> StageStatus:
    return StageStatus(task_id="", phase=phase, reason=reason, updated_at=NOW, log=LogSummary(lines=lines))


class Looks:
    """Looks at what `seen` says, at the moments that a test chooses."""

    def __init__(self) -> None:
        self.seen: list[tuple[Attempt, StageStatus | None]] = []
        self._running = Running(lambda: self.seen)

    def at(self, now_s: float, *seen: tuple[Attempt, StageStatus | None]) -> News:
        self.seen = list(seen)
        return self._running.look(now_s)


def names(*each: str) -> frozenset[str]:
    return frozenset(each)


def test_an_attempt_that_begins_changes_its_project_and_one_that_stays_as_it_is_changes_nothing() -> None:
    looks = Looks()
    assert looks.at(0, (ATTEMPT, None)) == News(names("ulm"), names("ulm.detect.1"))
    assert looks.at(1, (ATTEMPT, None)) == News()
    assert looks.at(2, (ATTEMPT, status(1))) == News(names("ulm"), names("ulm.detect.1"))
    assert looks.at(3, (ATTEMPT, status(1))) == News()


@pytest.mark.parametrize("other", [status(1, "storing"), status(1, reason="Docker does not answer")])
def test_another_phase_or_reason_changes_the_project_at_once(other: StageStatus) -> None:
    looks = Looks()
    looks.at(0, (ATTEMPT, status(1)))
    looks.at(1, (ATTEMPT, status(2)))
    assert looks.at(1.1, (ATTEMPT, other)) == News(names("ulm"), names("ulm.detect.1"))


def test_a_log_that_grows_is_told_at_once_and_the_progress_of_its_project_only_so_often() -> None:
    looks = Looks()
    looks.at(0, (ATTEMPT, status(0)), (OTHER, status(0)))
    assert looks.at(1, (ATTEMPT, status(1)), (OTHER, status(0))) == News(
        attempts=names("ulm.detect.1"), progress=names("ulm")
    )
    soon = 1 + PROGRESS_S / 2
    assert looks.at(soon, (ATTEMPT, status(2)), (OTHER, status(1))) == News(
        attempts=names("ulm.detect.1", "bonn.detect.1")
    )
    # What was held back is told once it may be, though nothing has moved since.
    assert looks.at(1 + PROGRESS_S, (ATTEMPT, status(2)), (OTHER, status(1))) == News(progress=names("ulm", "bonn"))
    assert looks.at(9, (ATTEMPT, status(2)), (OTHER, status(1))) == News()


@pytest.mark.slow
def test_a_running_stage_tells_progress_and_no_change(every_state: Server) -> None:
    place = every_state.place
    request = urllib.request.Request(f"{place.services.address}/live", headers=place.authorization)
    with urllib.request.urlopen(request) as stream:
        told: dict[str, list[str]] = {"progress": []}
        while "under-way" not in told["progress"]:
            line = stream.readline()
            if line.startswith(b"data:"):
                told = json.loads(line.removeprefix(b"data:"))
    assert "under-way" not in told["projects"]


@pytest.mark.chromium
@pytest.mark.slow
def test_only_pages_that_show_progress_ask_for_themselves_when_a_stage_gets_further(
    browser: Browser, every_state: Server
) -> None:
    with person(browser, every_state) as context:
        shown, audit = context.new_page(), context.new_page()
        asked: list[str] = []
        for page, path in ((shown, "/projects/under-way"), (audit, "/audit")):
            page.on(
                "request", lambda request: asked.append(request.url.removeprefix(every_state.place.services.address))
            )
            page.goto(path, wait_until="load")
        for _ in range(REFRESHES):
            with shown.expect_response(lambda response: "part=1" in response.url):
                pass
        # Each page asks once when it opens, and may ask once more for what has changed meanwhile.
        assert len([each for each in asked if each.startswith("/audit")]) <= 2
        assert asked.count("/api/v1/counters") <= 4
