"""Creates the project tables, and upgrades those of an earlier release one numbered step at a time.

A new database gets the tables of `schema.py` as they are. A step upgrades an older database by one version; once it has
been released it is never changed, and it does not refer to `schema.py`, which is always the newest form. A test
compares the two. There is no way back: restore a backup instead.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.change_feed import create_triggers

Step = Callable[[Operations], None]
FIRST_VERSION = 1
STEPS: tuple[Step, ...] = ()
"""The first one leads from version 1 to version 2."""


def upgrade(connection: sa.Connection, version: int, steps: tuple[Step, ...] = STEPS) -> None:
    """Bring the tables from `version` (0: there are none) to the newest, in the connection's transaction."""
    if version == 0:
        schema.metadata.create_all(connection)
        create_triggers(connection)
        connection.execute(schema.installation.insert().values(id=uuid4().hex, created_at=datetime.now(UTC)))
        record(connection, FIRST_VERSION + len(steps))
        return
    operations = Operations(MigrationContext.configure(connection))
    for number, step in enumerate(steps[version - FIRST_VERSION :], start=version + 1):
        step(operations)
        record(connection, number)


def record(connection: sa.Connection, version: int) -> None:
    """Write down that the tables have this version now."""
    connection.execute(schema.schema_version.insert().values(version=version, applied_at=datetime.now(UTC)))
