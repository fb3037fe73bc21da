"""What people have entered for a question and not sent yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.formatting import format_time
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project
from winslow_dagster.projects.domain.views import Draft


@dataclass(frozen=True, slots=True)
class DraftKey:
    """A question: that of a stage, with this form."""

    project: str
    pipeline: str
    stage: str
    form_digest: str


class Drafts:
    """Every method is one transaction. All raise ServiceUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, key: DraftKey, author: str, values: dict[str, Any], at: datetime, *, after: int) -> Draft:
        """Keep the values as the author's draft. `after` is the version that they were made from, 0 for none.

        Raises ProjectConflict if the author has saved another version since, in another window.
        """
        table = schema.drafts
        row = _row(key, author)
        with self._database.writing() as connection:
            hold_project(connection, key.project)
            found = connection.execute(
                select(table.c.version, table.c.form_digest, table.c.saved_at).where(*row)
            ).one_or_none()
            same = found is not None and found.form_digest == key.form_digest
            if found is not None and same and found.version != after:
                raise ProjectConflict(
                    f"you saved a newer draft at {format_time(found.saved_at)}, in another window",
                    where=f"project {key.project}, question of {key.stage}",
                    remedy="Load the newer draft, or save over it",
                )
            saved = {"version": after + 1, "values": values, "saved_at": at, "form_digest": key.form_digest}
            if found is None:
                place = {"project": key.project, "pipeline": key.pipeline, "stage": key.stage, "author": author}
                connection.execute(table.insert().values(place | saved))
            else:
                connection.execute(table.update().where(*row).values(saved))
        return Draft(author=author, version=after + 1, saved_at=at, values=values)

    def of_question(self, key: DraftKey) -> tuple[Draft, ...]:
        """The drafts of everybody, the newest first."""
        table = schema.drafts
        columns = [table.c[name] for name in Draft.model_fields]
        query = select(*columns).where(
            table.c.project == key.project,
            table.c.pipeline == key.pipeline,
            table.c.stage == key.stage,
            table.c.form_digest == key.form_digest,
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.saved_at.desc(), table.c.author)).mappings()
            return tuple(Draft(**row) for row in rows)

    def remove(self, key: DraftKey, author: str) -> None:
        """Forget the author's draft."""
        with self._database.writing() as connection:
            hold_project(connection, key.project)
            connection.execute(schema.drafts.delete().where(*_row(key, author)))


def _row(key: DraftKey, author: str) -> tuple[ColumnElement[bool], ...]:
    table = schema.drafts
    return (
        table.c.project == key.project,
        table.c.pipeline == key.pipeline,
        table.c.stage == key.stage,
        table.c.author == author,
    )
