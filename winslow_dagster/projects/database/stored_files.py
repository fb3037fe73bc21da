"""Lists of stored files as text: those of 100,000 files are too large to be read as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, cast, func, select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database

COMPOSED = '"stored_at"'
ADDRESS = re.compile(r'"address": ?"([^"\\]+)"')


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """The JSON of a manifest, and since when its files are there. `removed`: address -> paths, or None for all."""

    manifest: str
    stored_at: datetime
    removed: dict[str, frozenset[str] | None]

    def is_removed(self, address: str, path: str) -> bool:
        """Whether retention has removed this file."""
        paths = self.removed.get(address, frozenset())
        return paths is None or path in paths


class StoredFileLists:
    """Lists never change but for what retention removes. All return None if nothing is stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stored_at(self, task_id: str) -> datetime | None:
        """Since when the outputs of an attempt are there. Does not read their list."""
        table = schema.attempts
        query = select(table.c.ended_at).where(table.c.task_id == task_id, table.c.output_address.is_not(None))
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def pool_id(self, name: str) -> str | None:
        """The id of a file or directory of the pool, whose content never changes. Does not read its list."""
        table = schema.pool
        query = select(table.c.id).where(table.c.name == name, table.c.deleted_at.is_(None))
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def last_removal(self) -> int | None:
        """Another number once retention has removed anything."""
        with self._database.reading() as connection:
            last: int | None = connection.execute(select(func.max(schema.removals.c.id))).scalar_one()
        return last

    def of_attempt(self, task_id: str) -> StoredFiles | None:
        """The outputs of an attempt."""
        table, removals = schema.attempts, schema.removals
        query = select(cast(table.c.manifest, Text), table.c.ended_at, table.c.output_address).where(
            table.c.task_id == task_id, table.c.manifest.is_not(None), table.c.ended_at.is_not(None)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            manifest, ended_at, address = row
            composed = COMPOSED in manifest
            trees = {address, *(ADDRESS.findall(manifest) if composed else ())}
            removed: dict[str, frozenset[str] | None] = {}
            wanted = select(removals.c.address, removals.c.paths).where(removals.c.address.in_(trees))
            for tree, paths in connection.execute(wanted.order_by(removals.c.id)):
                earlier = removed.get(tree, frozenset())
                removed[tree] = None if paths is None or earlier is None else earlier | frozenset(paths)
        return StoredFiles(manifest, ended_at, removed)

    def of_pool(self, file_id: str) -> StoredFiles | None:
        """A file or directory of the pool, by its id."""
        table = schema.pool
        query = select(cast(table.c.manifest, Text), table.c.added_at).where(table.c.id == file_id)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else StoredFiles(row[0], row[1], {})
