"""The values that a filter line can have: for completion."""

from __future__ import annotations

from typing import get_args

from sqlalchemy import func, select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.views import FilterWords, ProjectMark
from winslow_dagster.projects.status.state_queries import STATES, tags_of

MOST_VALUES = 500


def filter_words(database: Database) -> FilterWords:
    """States and marks, and the most used tags, pipelines and owners of projects."""
    projects = schema.projects
    with database.reading() as connection:
        tags = tags_of(connection)
        columns = {"tags": tags.c.value, "pipelines": projects.c.pipeline, "owners": projects.c.owner}
        found = {}
        for field, column in columns.items():
            source = projects.join(tags, schema.projects.c.name.is_not(None)) if field == "tags" else projects
            query = (
                select(column)
                .select_from(source)
                .where(schema.LIVE)
                .group_by(column)
                .order_by(func.count().desc(), column)
            )
            found[field] = tuple(connection.execute(query.limit(MOST_VALUES)).scalars())
    return FilterWords(states=STATES, marks=get_args(ProjectMark), **found)
