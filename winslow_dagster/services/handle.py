"""A handle on the services: check whether they are running, where, and run them temporarily."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.dagster_api.connection import dagster_client
from winslow_dagster.projects.dagster_api.serving import serving_address, supervised
from winslow_dagster.services.instance import code_socket, installation_id
from winslow_dagster.services.readiness import LOG_TAIL_CHARACTERS, Report, StartWatch, log_of, read_state
from winslow_dagster.services.socket_probe import listens
from winslow_dagster.services.supervisor import Supervisor, appended_to, service_environment
from winslow_dagster.settings import Settings

POLL_S = 0.2
LOOK_TIMEOUT_S = 10.0


class Services:
    """The services of one installation."""

    def __init__(
        self,
        settings: Settings,
        report: Report = lambda _text: None,
        installation: Callable[[], str] | None = None,
    ) -> None:
        """`report` is called with a line for people when services are started here, and while their start lasts.

        `installation` is for those who have the database open, and tells its id; otherwise it is opened here.
        """
        self._settings = settings
        self._report = report
        self._installation = installation or (lambda: installation_id(settings))

    @property
    def address(self) -> str:
        """URL of the web server."""
        return serving_address(self._settings)

    def running(self) -> bool:
        """Whether this installation's web server answers, has loaded the pipelines, and has a code server.

        The code server is checked, too: while a killed one restarts, the web server still shows what it had loaded. And
        while a supervisor starts, those of one that was killed may still answer.
        """
        if supervised(self._settings):
            starting = read_state(self._settings).get("awaits", "its state") is not None
            if starting or not listens(code_socket(self._settings)):
                return False
        return dagster_client(self._settings, self._installation_id, timeout_s=LOOK_TIMEOUT_S).pipelines_loaded()

    def dagster(self, installation_id: str) -> DagsterClient:
        """The client of the web server."""
        return dagster_client(self._settings, installation_id)

    @cached_property
    def _installation_id(self) -> str:
        return self._installation()

    def serve(self, on_ready: Callable[[str], None]) -> None:
        """Run the services in this process until TERM or INT. Calls `on_ready` with the address once they answer."""
        Supervisor(self._settings, self._report).serve(on_ready)

    @contextlib.contextmanager
    def for_a_while(self) -> Iterator[str]:
        """The address of the running services; otherwise starts services that end with this block.

        If a supervisor is running but its services do not all answer yet, waits for them.
        """
        if self.running():
            yield self.address
            return
        if supervised(self._settings):
            self.wait_until_ready()
            yield self.address
            return
        self._report("starting the services ...")
        log_path = log_of(self._settings, "supervisor")
        with appended_to(log_path) as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "winslow_dagster.services"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=service_environment(self._settings),
                start_new_session=True,
            )
        try:
            self.wait_until_ready(supervisor, log_path)
            yield self.address
        finally:
            supervisor.terminate()
            supervisor.wait()

    def wait_until_ready(self, supervisor: subprocess.Popen[bytes] | None = None, log_path: Path | None = None) -> None:
        """Wait until the services answer, however long that takes on a busy machine, and report what is awaited.

        Raises ServiceUnavailable if their supervisor exits, or one of them exits again and again.
        """

        def supervisor_runs() -> bool:
            return supervised(self._settings) if supervisor is None else supervisor.poll() is None

        watch = StartWatch(self._settings, self._report)
        while not (supervised(self._settings) and self.running()):
            if not supervisor_runs():
                log = log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:] if log_path else ""
                raise ServiceUnavailable("the services exited during their start", where=self.address, remedy=log)
            watch.look()
            time.sleep(POLL_S)
