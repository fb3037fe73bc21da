"""The services as the web server sees them: it is one of them, and asks Dagster without a request to itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from winslow_dagster.console.dagit import Dagit
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.services.instance import code_socket
from winslow_dagster.services.socket_probe import listens
from winslow_dagster.settings import Settings


class OwnServices:
    """The services that this process is one of."""

    def __init__(self, settings: Settings, dagit: Dagit) -> None:
        self._settings = settings
        self._dagit = dagit

    @property
    def address(self) -> str:
        """URL of the web server."""
        return self._settings.address

    def running(self) -> bool:
        """Whether the pipelines are loaded, and the code server answers."""
        return self._dagit.pipelines_loaded() and listens(code_socket(self._settings))

    @contextlib.contextmanager
    def for_a_while(self) -> Iterator[str]:
        """Provide their address. Raises ServiceUnavailable if they are not ready: the supervisor starts them."""
        if not self.running():
            raise ServiceUnavailable(
                "the services are not ready yet", where=self.address, remedy="Try again in a few seconds"
            )
        yield self.address

    def dagster(self, installation_id: str) -> DagsterClient:
        """A client that asks Dagster in this process."""
        return DagsterClient(self.address, installation_id, execute=self._dagit.execute)
