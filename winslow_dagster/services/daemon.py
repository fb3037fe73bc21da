"""`python -m winslow_dagster.services.daemon`: Dagster's daemon, which ends when the database goes away.

It would take the error for one of the run that it is about to start, and mark that run as failed once the database is
back. The supervisor starts it again, and it waits for the database first.

The runs that it takes from the queue are our choice. A thread of it samples what is in use on this machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event

from winslow_dagster.engines.usage_sampler import UsageSampler
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.jobs.outage import end_with_the_database
from winslow_dagster.jobs.run_queue_daemon import serve
from winslow_dagster.services.instance import installation_id
from winslow_dagster.settings import Settings

POLL_S = 1.0


def wait_for_database(settings: Settings) -> None:
    """Return as soon as the database answers."""
    told = ""
    while True:
        try:
            installation_id(settings)
        except ServiceUnavailable as error:
            if str(error) != told:
                told = str(error)
                print(f"waiting for the database: {error}", file=sys.stderr, flush=True)  # noqa: T201  # its own log
            Event().wait(POLL_S)
        else:
            return


def main(arguments: list[str]) -> None:
    """Run the daemons for the code locations of a workspace file."""
    (workspace,) = arguments
    settings = Settings.read()
    # It has time to spare, and needs no database.
    UsageSampler(settings.node).start()
    wait_for_database(settings)
    end_with_the_database()
    serve(Path(workspace))


if __name__ == "__main__":
    main(sys.argv[1:])
