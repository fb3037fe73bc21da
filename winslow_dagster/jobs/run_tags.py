"""The tags of many runs. Dagster's own calls read whole runs, which takes seconds for ten thousand of them.

Every private Dagster name in this file has a contract test.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dagster import DagsterInstance
from dagster._core.storage.runs.schema import RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy import select

READ_AT_ONCE = 500
"""A statement has a limited number of parameters."""


def tags_of_runs(instance: DagsterInstance, run_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """The tags of each of these runs, by its id; none of a run that does not exist."""
    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        raise TypeError(f"Dagster's runs are in a {type(storage).__name__}, which is not an SQL database")
    found: dict[str, dict[str, str]] = {run_id: {} for run_id in run_ids}
    with storage.connect() as connection:
        for chunk in _chunks(list(run_ids)):
            columns = RunTagsTable.c.run_id, RunTagsTable.c.key, RunTagsTable.c.value
            for run_id, key, value in connection.execute(select(*columns).where(RunTagsTable.c.run_id.in_(chunk))):
                found[run_id][key] = value
    return found


def _chunks(run_ids: list[str]) -> Iterator[list[str]]:
    return (run_ids[at : at + READ_AT_ONCE] for at in range(0, len(run_ids), READ_AT_ONCE))
