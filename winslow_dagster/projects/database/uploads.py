"""The uploads that were begun, and how they ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.upload import Upload, UploadState

ENDED_SHOWN = 20


class Uploads:
    """Every method is one transaction. All raise ServiceUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, upload: Upload) -> None:
        """Record a new one. Raises ProjectConflict if another of this name has not ended."""
        row = upload.model_dump(exclude={"received_bytes"})
        try:
            with self._database.writing() as connection:
                connection.execute(schema.uploads.insert().values(row))
        except IntegrityError as error:
            raise ProjectConflict(
                f"a file named {upload.name!r} is being sent already",
                remedy="Go on with that upload, cancel it, or choose another name",
            ) from error

    def find(self, upload_id: str) -> Upload:
        """One of them. `received_bytes` is not known here. Raises NotFound."""
        with self._database.reading() as connection:
            query = select(schema.uploads).where(schema.uploads.c.id == upload_id)
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no upload {upload_id!r}")
        return _upload(row)

    def unfinished(self) -> tuple[Upload, ...]:
        """Those that have not ended, the oldest first."""
        table = schema.uploads
        query = select(table).where(table.c.ended_at.is_(None)).order_by(table.c.begun_at)
        with self._database.reading() as connection:
            return tuple(map(_upload, connection.execute(query).mappings()))

    def ended(self) -> tuple[Upload, ...]:
        """Those that ended last, the latest first."""
        table = schema.uploads
        query = select(table).where(table.c.ended_at.is_not(None)).order_by(table.c.ended_at.desc()).limit(ENDED_SHOWN)
        with self._database.reading() as connection:
            return tuple(map(_upload, connection.execute(query).mappings()))

    def has_ended(self, upload_id: str) -> bool:
        """Whether it was recorded, and has ended."""
        table = schema.uploads
        query = select(table.c.id).where(table.c.id == upload_id, table.c.ended_at.is_not(None))
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def tell(self, upload_id: str, message: str) -> None:
        """Say why one that has not ended waits."""
        table = schema.uploads
        change = table.update().where(table.c.id == upload_id, table.c.ended_at.is_(None))
        with self._database.writing() as connection:
            connection.execute(change.values(message=message))

    def end(self, upload_id: str, state: UploadState, message: str, at: datetime) -> bool:
        """Record the end. Returns False if it has ended already."""
        table = schema.uploads
        change = table.update().where(table.c.id == upload_id, table.c.ended_at.is_(None))
        with self._database.writing() as connection:
            return connection.execute(change.values(state=state, message=message, ended_at=at)).rowcount > 0


def _upload(row: Any) -> Upload:
    return Upload(**row, received_bytes=row["size_bytes"] if row["state"] == "stored" else 0)
