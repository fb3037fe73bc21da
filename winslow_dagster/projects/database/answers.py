"""What people answered, as plain calls: each answer is kept with what was asked, by whom, and when."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import RowMapping

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, hold_project
from winslow_dagster.storage.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one stage's question; `version` counts from 1 in the project, pipeline and stage.

    `manifest` is what the stage reads: `answer.json` and the files that came along. `variables` are templates. An
    answer that is not `accepted` says that an earlier result was refused: no stage runs with it.
    """

    project: str
    pipeline: str
    stage: str
    manifest: Manifest
    given_by: str
    form: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    accepted: bool = True
    given_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    version: int = 0


class Answers:
    """Every method is one transaction. All raise ServiceUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, answer: Answer) -> Answer:
        """Keep an answer; what it is given back with is its version."""
        table = schema.answers
        mine = (
            table.c.project == answer.project,
            table.c.pipeline == answer.pipeline,
            table.c.stage == answer.stage,
        )
        with self._database.writing() as connection:
            hold_project(connection, answer.project)
            last = connection.execute(select(func.max(table.c.version)).where(*mine)).scalar_one_or_none() or 0
            row = {**asdict(answer), "manifest": answer.manifest.model_dump(mode="json"), "version": last + 1}
            connection.execute(table.insert().values(row))
        return _answer(row)

    def of_project(self, project: str) -> tuple[Answer, ...]:
        """All answers of a project, in the order in which they were given."""
        table = schema.answers
        query = select(table).where(table.c.project == project).order_by(table.c.given_at, table.c.version)
        with self._database.reading() as connection:
            return tuple(_answer(row) for row in connection.execute(query).mappings())


def _answer(row: RowMapping | dict[str, Any]) -> Answer:
    return Answer(**{**row, "manifest": Manifest.model_validate(row["manifest"])})
