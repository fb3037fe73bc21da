"""What was found when videos were read to their end."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.upload import CheckedFootage


class FootageChecks:
    """Every method is one transaction. All raise ServiceUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, checked: CheckedFootage) -> None:
        """Keep what was found. The same content is never checked differently."""
        try:
            with self._database.writing() as connection:
                connection.execute(schema.footage_checks.insert().values(checked.model_dump()))
        except IntegrityError:
            return  # another process was first

    def of_pool(self, ids: Collection[str] | None = None) -> dict[str, CheckedFootage]:
        """File of the pool -> its check: of all that are one file and were checked, or of those with these ids."""
        pool, checks = schema.pool, schema.footage_checks
        content = pool.c.manifest["files", 0, "blake3"].as_string()
        # Lists of many files are not even looked into.
        query = select(pool.c.id, *checks.c).join(checks, checks.c.blake3 == content).where(pool.c.files == 1)
        if ids is not None:
            query = query.where(pool.c.id.in_(ids))
        with self._database.reading() as connection:
            rows = connection.execute(query.where(pool.c.deleted_at.is_(None))).mappings().all()
        return {row["id"]: CheckedFootage(**{name: row[name] for name in CheckedFootage.model_fields}) for row in rows}

    def any_problem(self, since: datetime) -> bool:
        """Whether something was found to be wrong since then."""
        table = schema.footage_checks
        query = select(table.c.blake3).where(table.c.checked_at >= since, table.c.problem != "").limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def of(self, blake3: str) -> CheckedFootage | None:
        """The check of this content."""
        query = select(schema.footage_checks).where(schema.footage_checks.c.blake3 == blake3)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else CheckedFootage(**row)
