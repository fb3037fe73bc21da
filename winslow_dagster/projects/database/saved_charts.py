"""Charts that people have saved for the files of a stage, for all who look at it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert
from winslow_dagster.projects.domain.charts import SavedChart

LONGEST_NAME = 63
LONGEST_FILE = 1000
MOST = 50


class SavedCharts:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, pipeline: str, stage: str | None = None) -> tuple[SavedChart, ...]:
        """The charts of a pipeline, or of one of its stages, by name."""
        table = schema.charts
        query = select(*[table.c[name] for name in SavedChart.model_fields]).where(table.c.pipeline == pipeline)
        if stage is not None:
            query = query.where(table.c.stage == stage)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.stage, table.c.name)).mappings().all()
        return tuple(SavedChart.model_validate(dict(row)) for row in rows)

    def save(self, chart: SavedChart) -> None:
        """Save a chart; one of the same name and stage is replaced. Raises InputRejected."""
        # A database takes no text with a zero in it.
        if not chart.name.strip() or len(chart.name) > LONGEST_NAME or "\0" in chart.name:
            raise InputRejected(f"{chart.name!r} is not a name of a chart", expected=f"1 to {LONGEST_NAME} characters")
        if len(chart.file) > LONGEST_FILE or "\\u0000" in chart.model_dump_json() or not chart.query.y:
            raise InputRejected("the chart has no file, or no column", expected="a path, and columns to draw")
        table = schema.charts
        values = chart.model_dump(mode="json") | {"saved_at": datetime.now(UTC)}
        key = ["pipeline", "stage", "name"]
        with self._database.writing() as connection:
            count = connection.execute(
                select(func.count()).where(table.c.pipeline == chart.pipeline, table.c.stage == chart.stage)
            ).scalar_one()
            if count >= MOST:
                raise InputRejected(
                    f"{chart.stage} has {count} charts", expected=f"at most {MOST}", remedy="Delete one first"
                )
            connection.execute(
                insert(connection, table).values(values).on_conflict_do_update(index_elements=key, set_=values)
            )

    def delete(self, pipeline: str, stage: str, name: str) -> None:
        """Delete a chart. Raises NotFound."""
        table = schema.charts
        with self._database.writing() as connection:
            done = connection.execute(
                table.delete().where(table.c.pipeline == pipeline, table.c.stage == stage, table.c.name == name)
            )
        if done.rowcount == 0:
            raise NotFound(f"{stage} has no chart {name!r}", where=f"pipeline {pipeline}")
