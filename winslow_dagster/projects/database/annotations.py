"""What people write on a project: tags, notes, and a list of what is to be done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project

LONGEST_TEXT = 100_000
LONGEST_TAG = 63


class Todo(BaseModel):
    """Something to be done for a project; `number` names it in the project."""

    model_config = ConfigDict(frozen=True)

    number: int
    text: str
    created_at: datetime
    created_by: str
    done_at: datetime | None = None
    done_by: str | None = None


class Annotations:
    """Every method is one transaction. All raise NotFound for a project that does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_tags(self, project: str, tags: Iterable[str]) -> tuple[str, ...]:
        """Replace the project's tags; gives them in order, each once. Raises InputRejected."""
        kept = tuple(sorted({tag.strip() for tag in tags} - {""}))
        for tag in kept:
            if len(tag) > LONGEST_TAG or "," in tag:
                raise InputRejected(f"{tag!r} cannot be a tag", expected=f"at most {LONGEST_TAG} characters, no comma")
        self._write(project, tags=list(kept))
        return kept

    def set_notes(self, project: str, notes: str) -> None:
        """Replace the project's notes. Raises InputRejected for a text that is too long."""
        if len(notes) > LONGEST_TEXT:
            raise InputRejected(f"the notes have {len(notes)} characters", expected=f"at most {LONGEST_TEXT}")
        self._write(project, notes=notes)

    def add_todo(self, project: str, text: str, by: str) -> Todo:
        """Put something on the project's list. Raises InputRejected for an empty text."""
        text = text.strip()
        if not text or len(text) > LONGEST_TEXT:
            raise InputRejected("nothing is said to be done" if not text else "the text is too long")
        row = {"project": project, "text": text, "created_at": datetime.now(UTC), "created_by": by}
        with self._database.writing() as connection:
            hold_project(connection, project)
            key = connection.execute(schema.todos.insert().values(row)).inserted_primary_key
        if key is None:
            raise RuntimeError("the database gave no number for a row it took")
        return Todo(number=key[0], text=text, created_at=row["created_at"], created_by=by)

    def finish_todo(self, project: str, number: int, by: str, *, done: bool = True) -> None:
        """Tick it off, or open it again. Raises NotFound."""
        values = {"done_at": datetime.now(UTC), "done_by": by} if done else {"done_at": None, "done_by": None}
        table = schema.todos
        mine = (table.c.project == project, table.c.id == number)
        with self._database.writing() as connection:
            hold_project(connection, project)
            changed = connection.execute(table.update().where(*mine).values(values))
        if changed.rowcount == 0:
            raise NotFound(f"the project has no to-do {number}", where=f"project {project}")

    def todos(self, project: str) -> tuple[Todo, ...]:
        """The project's list, in the order in which it was written."""
        table = schema.todos
        columns = [table.c.id.label("number"), *(table.c[name] for name in Todo.model_fields if name != "number")]
        query = select(*columns).where(table.c.project == project).order_by(table.c.id)
        with self._database.reading() as connection:
            return tuple(Todo(**row) for row in connection.execute(query).mappings())

    def _write(self, project: str, **values: object) -> None:
        with self._database.writing() as connection:
            hold_project(connection, project)
            connection.execute(schema.projects.update().where(schema.projects.c.name == project).values(values))
