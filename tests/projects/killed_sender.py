"""Sends what waits in the outbox DATABASE_URL to the webhook at PORT, as the services do. Its test kills it."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.notifications.apprise import send
from winslow_dagster.projects.notifications.config import Channel
from winslow_dagster.projects.notifications.outbox import Outbox
from winslow_dagster.projects.notifications.rules import send_waiting

with closing(Database(sys.argv[1])) as database:
    channel = Channel(name="hook", url=f"json://127.0.0.1:{sys.argv[2]}/")
    send_waiting(Outbox(database), channel, send, partial(datetime.now, UTC))
