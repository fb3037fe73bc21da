"""The findings of a check are there as soon as they are found, and a second check joins one that goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from installation import until

from winslow_dagster.console.checkup import Checkups
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.commands.diagnosis import Finding

FIRST, SECOND = Finding("python", "ok", "3.13"), Finding("docker", "missing", "it does not answer")


def test_findings_can_be_read_while_the_check_goes_on() -> None:
    go_on, begun = threading.Event(), []

    def diagnose() -> Iterator[Finding]:
        begun.append(1)
        yield FIRST
        go_on.wait()
        yield SECOND

    checkups = Checkups(diagnose)
    checkup = checkups.begin()
    until(lambda: bool(checkup.findings), "the first finding is there")
    assert (checkup.findings, checkup.done) == ((FIRST,), False)
    assert checkups.begin() is checkups.read(checkup.number) is checkup
    go_on.set()
    until(lambda: checkup.done, "the check is done")
    assert checkup.findings == (FIRST, SECOND)
    assert len(begun) == 1
    another = checkups.begin()
    assert another.number == checkup.number + 1
    assert checkups.read(checkup.number) is another


def test_a_check_that_breaks_off_says_why_and_is_done() -> None:
    def diagnose() -> Iterator[Finding]:
        yield FIRST
        raise ServiceUnavailable("the engine does not answer")

    checkup = Checkups(diagnose).begin()
    until(lambda: checkup.done, "the check is done")
    assert (checkup.findings, checkup.problem) == ((FIRST,), "the engine does not answer")
