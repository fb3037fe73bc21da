"""What people write about a project: tags, notes and to-dos."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import select

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project
from winslow_dagster.projects.domain.todo import Todo

LONGEST_TEXT = 100_000
LONGEST_TAG = 63


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags, sorted and without duplicates. Raises InputRejected."""
    kept = tuple(sorted({tag.strip() for tag in tags} - {""}))
    for tag in kept:
        if len(tag) > LONGEST_TAG or "," in tag:
            raise InputRejected(f"{tag!r} is not a valid tag", expected=f"at most {LONGEST_TAG} characters, no comma")
    return kept


def checked_notes(notes: str) -> str:
    """The notes, if they are not too long. Raises InputRejected."""
    if len(notes) > LONGEST_TEXT:
        raise InputRejected(f"the notes have {len(notes)} characters", expected=f"at most {LONGEST_TEXT}")
    return notes


class Annotations:
    """Every method is one transaction. All raise NotFound for a project that does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_tags(self, project: str, tags: Iterable[str]) -> tuple[str, ...]:
        """Replace the project's tags. Returns them sorted, without duplicates. Raises InputRejected."""
        kept = checked_tags(tags)
        self._write(project, tags=list(kept))
        return kept

    def change_tags(self, project: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[str, ...]:
        """Add tags and remove others. Returns all that the project has now. Raises InputRejected."""
        added, removed = set(checked_tags(add)), set(checked_tags(remove))
        row = schema.projects.c.name == project
        with self._database.writing() as connection:
            hold_project(connection, project)
            before = connection.execute(select(schema.projects.c.tags).where(row)).scalar_one()
            kept = tuple(sorted({*before, *added} - removed))
            connection.execute(schema.projects.update().where(row).values(tags=list(kept)))
        return kept

    def set_notes(self, project: str, notes: str) -> None:
        """Replace the project's notes. Raises InputRejected if they are too long."""
        self._write(project, notes=checked_notes(notes))

    def add_todo(self, project: str, text: str, by: str) -> Todo:
        """Add a to-do. Raises InputRejected if the text is empty or too long."""
        text = text.strip()
        if not text or len(text) > LONGEST_TEXT:
            raise InputRejected("the text is empty" if not text else "the text is too long")
        row = {"project": project, "text": text, "created_at": datetime.now(UTC), "created_by": by}
        with self._database.writing() as connection:
            hold_project(connection, project)
            key = connection.execute(schema.todos.insert().values(row)).inserted_primary_key
        if key is None:
            raise RuntimeError("the database returned no key for a new row")
        return Todo(number=key[0], text=text, created_at=row["created_at"], created_by=by)

    def finish_todo(self, project: str, number: int, by: str, *, done: bool = True) -> None:
        """Mark a to-do as done, or as open again. Raises NotFound."""
        values = {"done_at": datetime.now(UTC), "done_by": by} if done else {"done_at": None, "done_by": None}
        table = schema.todos
        mine = (table.c.project == project, table.c.id == number)
        with self._database.writing() as connection:
            hold_project(connection, project)
            changed = connection.execute(table.update().where(*mine).values(values))
        if changed.rowcount == 0:
            raise NotFound(f"the project has no to-do {number}", where=f"project {project}")

    def todos(self, project: str) -> tuple[Todo, ...]:
        """The project's to-dos, in the order in which they were added."""
        table = schema.todos
        columns = [table.c.id.label("number"), *(table.c[name] for name in Todo.model_fields if name != "number")]
        query = select(*columns).where(table.c.project == project).order_by(table.c.id)
        with self._database.reading() as connection:
            return tuple(Todo(**row) for row in connection.execute(query).mappings())

    def _write(self, project: str, **values: object) -> None:
        with self._database.writing() as connection:
            hold_project(connection, project)
            connection.execute(schema.projects.update().where(schema.projects.c.name == project).values(values))
