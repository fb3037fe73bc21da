"""What a process that serves runs does when the database is away: that never decides how a stage or a run ends.

Without the database a worker can neither record anything nor know what was recorded. It ends at once, as if it had been
killed, before anybody can take the error for a failure of the stage. Attempts go on without it. Once the database is
back, run monitoring resumes the run, whose ops find the results of the attempts that have ended meanwhile.
"""

from __future__ import annotations

import os
import sys

from sqlalchemy import Engine, ExceptionContext, event
from sqlalchemy.exc import InterfaceError, OperationalError

DATABASE_AWAY_EXIT_CODE = 75
"""EX_TEMPFAIL."""


def end_with_the_database() -> None:
    """From now on, this process ends when a PostgreSQL server that it uses does not answer."""
    event.listen(Engine, "handle_error", _end_if_away)


def _end_if_away(context: ExceptionContext) -> None:
    # A pool looks at a connection before it lends it, and replaces those that a restart of the server broke.
    if context.dialect.name != "postgresql" or context.is_pre_ping:
        return
    away = isinstance(context.sqlalchemy_exception, OperationalError | InterfaceError)
    if away or context.is_disconnect:
        text = f"the database does not answer; everything resumes when it does: {context.original_exception}"
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # the worker's own log
        os._exit(DATABASE_AWAY_EXIT_CODE)
