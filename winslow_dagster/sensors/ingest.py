"""Takes in what lands in watched places: one pass a tick (projects/watching.py).

The sensor launches runs itself instead of asking Dagster to: a run belongs to a project, whose tables, whose copy of
the file and whose note of the run have to be there with it, in an order that survives a kill. Dagster's `run_key`
would know only whether there was a run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillAtIt
from datetime import UTC, datetime
from functools import partial
from threading import Thread

from dagster import DefaultSensorStatus, SensorDefinition, SensorEvaluationContext, SkipReason

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.commands.installation import Installation
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.ingest.scan_pass import WatchPass, pass_over
from winslow_dagster.settings import Settings

ANSWER_WITHIN_S = 40.0
"""Dagster gives a tick 60 s; to copy a large file takes longer, and goes on behind the answer."""
ACTOR = Actor(who="landing sensor", via="sensor")


class ServicesAround:
    """The services that this process is one of: they run, or else nobody asks it anything."""

    def __init__(self, address: str) -> None:
        self.address = address

    def running(self) -> bool:
        """Whether the web server answers."""
        return DagsterClient(self.address).alive()

    @contextlib.contextmanager
    def for_a_while(self) -> Iterator[str]:
        """Their address. Raises ServiceUnavailable where the web server does not answer: a sensor starts none."""
        if not self.running():
            raise ServiceUnavailable("the web server does not answer yet", where=self.address)
        yield self.address


def take_in(_context: SensorEvaluationContext) -> SkipReason:
    """One pass; the answer says what it did."""
    outcome: Future[SkipReason] = Future()
    Thread(target=_pass, args=(Settings.read(), outcome), name="landings", daemon=True).start()
    try:
        return outcome.result(ANSWER_WITHIN_S)
    except StillAtIt:
        return SkipReason("still at it: large files take time to be copied")


def _pass(settings: Settings, outcome: Future[SkipReason]) -> None:
    try:
        with Installation(settings, ServicesAround(settings.address), ACTOR) as actions:
            outcome.set_result(SkipReason(said(settings, pass_over(actions, partial(datetime.now, UTC)))))
    except Exception as error:  # noqa: BLE001  # whatever it is, the tick fails with it
        outcome.set_exception(error)


def said(settings: Settings, passes: tuple[WatchPass, ...] | None) -> str:
    """A pass in words."""
    if passes is None:
        return "the pass before this one is still at it"
    return "; ".join(map(str, passes)) or f"nothing is watched: {settings.watch_file} names no place, or is not there"


landing_sensor = SensorDefinition(
    name="take_in_landings",
    evaluation_fn=take_in,
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Files that land in watched places become projects, and start",
)
