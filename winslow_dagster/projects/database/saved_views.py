"""Lists of projects that people have saved under a name."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import or_, select

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert
from winslow_dagster.projects.domain.views import SavedView

LONGEST_NAME = 63
LONGEST_FILTER = 2000


class SavedViews:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, owner: str) -> tuple[SavedView, ...]:
        """The views of a person and those that others share, by name."""
        table = schema.saved_views
        columns = [table.c[name] for name in SavedView.model_fields]
        query = select(*columns).where(or_(table.c.owner == owner, table.c.shared.is_(True)))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.name, table.c.owner)).mappings().all()
        return tuple(SavedView.model_validate(dict(row)) for row in rows)

    def save(self, view: SavedView) -> None:
        """Save a view; one of the same name and owner is replaced. Raises InputRejected."""
        if not view.name.strip() or len(view.name) > LONGEST_NAME:
            raise InputRejected(f"{view.name!r} is not a name of a view", expected=f"1 to {LONGEST_NAME} characters")
        if len(view.filter) > LONGEST_FILTER:
            raise InputRejected("the filter is too long", expected=f"at most {LONGEST_FILTER} characters")
        values = view.model_dump() | {"saved_at": datetime.now(UTC)}
        with self._database.writing() as connection:
            connection.execute(
                insert(connection, schema.saved_views)
                .values(values)
                .on_conflict_do_update(index_elements=["owner", "name"], set_=values)
            )

    def delete(self, owner: str, name: str) -> None:
        """Delete a view of a person. Raises NotFound."""
        table = schema.saved_views
        with self._database.writing() as connection:
            done = connection.execute(table.delete().where(table.c.owner == owner, table.c.name == name))
        if done.rowcount == 0:
            raise NotFound(f"{owner} has no view {name!r}", where="saved views")
