"""The Python API: `from winslow_dagster import Winslow`."""

from __future__ import annotations

import atexit
from collections.abc import Callable

from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings


class Winslow(Installation):
    """An installation: by default the one that the WINSLOW_* variables of this process name.

    Where no services run, the first action that needs some starts them; they end with a `with` block around this, with
    `close`, or with the program.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        actor: Actor | None = None,
        report: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """`report` is called with a line for people when services are started, and while their start lasts."""
        settings = settings or Settings.read()
        services = Services(settings, report, lambda: self.context.resources.records.database.installation_id)
        super().__init__(settings, services, actor)
        atexit.register(self.close)

    def close(self) -> None:
        """Stop the services that were started for this, and close the database connections."""
        super().close()
        # The end of the program would otherwise be what frees it.
        atexit.unregister(self.close)
