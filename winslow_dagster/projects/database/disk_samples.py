"""The free space of each node's disk over the last day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert
from winslow_dagster.projects.domain.space import DiskSample

KEPT = timedelta(days=1)


class DiskSamples:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, samples: Iterable[DiskSample]) -> None:
        """Keep samples, and forget those of more than a day before."""
        table = schema.disk_samples
        with self._database.writing() as connection:
            for sample in samples:
                row = insert(connection, table).values(sample.model_dump()).on_conflict_do_nothing()
                connection.execute(row)
                connection.execute(table.delete().where(table.c.node == sample.node, table.c.at < sample.at - KEPT))

    def by_node(self, since: datetime) -> dict[str, tuple[DiskSample, ...]]:
        """Node -> its samples since a moment, the oldest first."""
        table = schema.disk_samples
        query = select(table).where(table.c.at >= since).order_by(table.c.node, table.c.at)
        found: dict[str, list[DiskSample]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(query).mappings():
                found.setdefault(row["node"], []).append(DiskSample(**row))
        return {node: tuple(samples) for node, samples in found.items()}
