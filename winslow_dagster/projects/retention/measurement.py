"""Measures what only the disk knows: caches, leftovers, and what is on its way."""

from __future__ import annotations

from sqlalchemy import select

from winslow_dagster.engines.engine import Engine
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.space import KindOfSpace
from winslow_dagster.settings import Settings
from winslow_dagster.storage.directories import bytes_below


def measured(records: ProjectRecords, settings: Settings, engine: Engine) -> dict[KindOfSpace, int]:
    """The bytes of each kind. Walks over the directories of the home and of the nodes. Raises EngineError."""
    table = schema.attempts
    with records.database.reading() as connection:
        ended = connection.execute(select(table.c.task_id).where(table.c.ended_at.is_not(None))).scalars().all()
    return {
        "leftovers": sum(engine.leftovers(ended).values()),
        "cache": engine.cache_bytes(),
        "footage": bytes_below(settings.footage_dir),
        "tables": bytes_below(settings.tables_dir),
        "uploads": bytes_below(settings.home / "uploads") + bytes_below(settings.home / "incoming"),
        "dagster": bytes_below(settings.dagster_home),
    }
