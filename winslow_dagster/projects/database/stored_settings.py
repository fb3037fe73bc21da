"""Settings of the installation that administrators change while it runs: YAML documents, each under a name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from winslow_dagster.errors import InputRejected, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert

LONGEST_TEXT = 200_000


@dataclass(frozen=True, slots=True)
class StoredSetting:
    """One document. `version` counts the changes; 0: there is none yet."""

    name: str
    text: str = ""
    version: int = 0
    changed_at: datetime | None = None
    changed_by: str = ""


class StoredSettings:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> StoredSetting:
        """The document of this name."""
        table = schema.settings
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(table.c.name == name)).mappings().first()
        return StoredSetting(name) if row is None else StoredSetting(**row)

    def save(self, setting: StoredSetting) -> None:
        """Keep a document in the place of the version before it.

        Raises ProjectConflict if that is not the latest, and InputRejected for a text that is too long.
        """
        table = schema.settings
        if len(setting.text) > LONGEST_TEXT or "\0" in setting.text:
            raise InputRejected("the text cannot be kept", expected=f"at most {LONGEST_TEXT} characters without NUL")
        row = {name: getattr(setting, name) for name in StoredSetting.__dataclass_fields__}
        with self._database.writing() as connection:
            if setting.version == 1:
                done = connection.execute(insert(connection, table).values(row).on_conflict_do_nothing())
            else:
                seen = (table.c.name == setting.name, table.c.version == setting.version - 1)
                done = connection.execute(table.update().where(*seen).values(row))
        if done.rowcount == 0:
            latest = self.get(setting.name)
            raise ProjectConflict(
                f"{latest.changed_by or 'Somebody'} has changed this meanwhile, and your change was not kept",
                where=setting.name,
                remedy="Load the page again to see the change, then make yours",
            )
