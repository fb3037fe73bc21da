"""Ingests files from watched folders: each tick runs one pass (projects/ingest/scan_pass.py).

The sensor launches runs itself instead of returning run requests: a run belongs to a project, and the project, its copy
of the file and the record of the run have to be written in an order that survives a kill. Dagster's `run_key` only
says whether there was a run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from threading import Thread

from dagster import DefaultSensorStatus, SensorDefinition, SensorEvaluationContext, SkipReason

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.dagster_api.connection import dagster_client
from winslow_dagster.projects.dagster_api.serving import serving_address
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.ingest.scan_pass import WatchResult, run_pass
from winslow_dagster.projects.installation import Installation
from winslow_dagster.settings import Settings

TICK_TIMEOUT_S = 40.0
"""Dagster gives a tick 60 s. Copying a large file takes longer, and continues after the tick."""
ACTOR = Actor(who="ingest sensor", via="sensor")


class SurroundingServices:
    """The services that this process is part of."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def address(self) -> str:
        """URL of the web server."""
        return serving_address(self._settings)

    def running(self) -> bool:
        """Whether the web server answers."""
        with contextlib.closing(ProjectRecords.open(self._settings.database_url)) as records:
            return self.dagster(records.database.installation_id).alive()

    @contextlib.contextmanager
    def for_a_while(self) -> Iterator[str]:
        """Provide their address. Raises ServiceUnavailable if the web server does not answer: a sensor starts none."""
        if not self.running():
            raise ServiceUnavailable("the web server does not answer yet", where=self.address)
        yield self.address

    def dagster(self, installation_id: str) -> DagsterClient:
        """The client of the web server."""
        return dagster_client(self._settings, installation_id)


def ingest_watched_files(_context: SensorEvaluationContext) -> SkipReason:
    """Run one pass, and report what it did."""
    outcome: Future[SkipReason] = Future()
    Thread(target=_pass, args=(Settings.read(), outcome), name="ingest", daemon=True).start()
    try:
        return outcome.result(TICK_TIMEOUT_S)
    except StillRunning:
        return SkipReason("still running: copying large files takes time")


def _pass(settings: Settings, outcome: Future[SkipReason]) -> None:
    try:
        with Installation(settings, SurroundingServices(settings), ACTOR) as installation:
            results = run_pass(installation.context)
        outcome.set_result(SkipReason(report(settings, results)))
    except Exception as error:  # noqa: BLE001  # whatever it is, the tick fails with it
        outcome.set_exception(error)


def report(settings: Settings, results: tuple[WatchResult, ...] | None) -> str:
    """Summarize a pass."""
    if results is None:
        return "the previous pass is still running"
    return "; ".join(map(str, results)) or f"no folders are watched: {settings.watch_file} is empty or does not exist"


ingest_sensor = SensorDefinition(
    name="ingest_watched_files",
    evaluation_fn=ingest_watched_files,
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Creates projects from files in watched folders, and starts their runs",
)
