"""The answers that people gave, with the question, the person and the time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import RowMapping

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.storage.manifest import Manifest


class Answers:
    """Every method is one transaction. All raise ServiceUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, answer: Answer) -> Answer:
        """Store an answer. Returns it with its version."""
        table = schema.answers
        of_stage = (
            table.c.project == answer.project,
            table.c.pipeline == answer.pipeline,
            table.c.stage == answer.stage,
        )
        with self._database.writing() as connection:
            hold_project(connection, answer.project)
            last = connection.execute(select(func.max(table.c.version)).where(*of_stage)).scalar_one_or_none() or 0
            row = {**asdict(answer), "manifest": answer.manifest.model_dump(mode="json"), "version": last + 1}
            connection.execute(table.insert().values(row))
        return _answer(row)

    def of_project(self, project: str) -> tuple[Answer, ...]:
        """All answers of a project, the earliest first."""
        table = schema.answers
        query = select(table).where(table.c.project == project).order_by(table.c.given_at, table.c.version)
        with self._database.reading() as connection:
            return tuple(_answer(row) for row in connection.execute(query).mappings())


def _answer(row: RowMapping | dict[str, Any]) -> Answer:
    return Answer(**{**row, "manifest": Manifest.model_validate(row["manifest"])})
