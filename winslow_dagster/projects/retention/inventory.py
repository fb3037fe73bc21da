"""What all attempts left, as the tables know it: nothing of the store is walked through."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from winslow_dagster.errors import NotFound, PipelineInvalid
from winslow_dagster.pipelines import Pipeline, load_version
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.retention.pins import Pins
from winslow_dagster.projects.retention.rules import History, Made, stored_at
from winslow_dagster.settings import Settings
from winslow_dagster.storage.manifest import Manifest

ATTEMPT_COLUMNS = [schema.attempts.c[name] for name in Attempt.__dataclass_fields__]
PICK_COLUMNS = [schema.picks.c[name] for name in Pick.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class Gone:
    """What was removed: trees as a whole, and files of others."""

    trees: Collection[str]
    files: Collection[tuple[str, str]]

    def left_of(self, manifest: Manifest) -> Manifest | None:
        """What there still is of a manifest; None where there is nothing."""
        left = tuple(
            entry
            for entry in manifest.files
            for place in (stored_at(manifest, entry),)
            if place[0] not in self.trees and place not in self.files
        )
        return manifest.model_copy(update={"files": left}) if left else None


def histories(records: ProjectRecords, settings: Settings, projects: Collection[str] | None) -> tuple[History, ...]:
    """One for each project and pipeline; of all projects or of these."""
    rules = Pins(records.database).rules()
    pinned = {pin.task_id for pin in Pins(records.database).pins()}
    with records.database.reading() as connection:
        made = _made(connection, settings.tasks_dir, projects)
        swept = select(schema.runs.c.run_id).where(schema.runs.c.sweep.is_not(None))
        sweeps = frozenset(connection.execute(swept).scalars())
        open_runs = select(schema.runs.c.project).where(schema.runs.c.ended_at.is_(None)).distinct()
        busy = set(connection.execute(open_runs).scalars())
        query = select(*PICK_COLUMNS).order_by(schema.picks.c.id)
        picks: dict[tuple[str, str], list[Pick]] = {}
        for pick in (Pick(**row) for row in connection.execute(query).mappings()):
            picks.setdefault((pick.project, pick.pipeline), []).append(pick)
    busy |= {each.attempt.project for part in made.values() for each in part if each.attempt.ended_at is None}
    versions: dict[tuple[str, str], Pipeline | None] = {}

    def version(attempt: Attempt) -> Pipeline | None:
        key = (attempt.pipeline, attempt.pipeline_digest)
        if key not in versions:
            versions[key] = _version(settings.versions_dir, *key)
        return versions[key]

    return tuple(
        History(
            project=project,
            # The rules that hold are those of the version that ran last.
            pipeline=version(part[-1].attempt),
            made=tuple(part),
            picks=tuple(picks.get((project, pipeline), ())),
            sweep_runs=sweeps,
            pinned=pinned,
            own_rules=rules.get(project, ()),
            busy=project in busy,
        )
        for (project, pipeline), part in made.items()
    )


def referring_projects(records: ProjectRecords, project: str) -> frozenset[str]:
    """The projects with attempts that have the same outputs as one of this one's, which is among them.

    By the address, which stays the same however often outputs are taken over.
    """
    table, taken = schema.attempts, schema.attempts.alias()
    query = (
        select(table.c.project)
        .join(taken, table.c.output_address == taken.c.output_address)
        .where(taken.c.project == project)
        .distinct()
    )
    with records.database.reading() as connection:
        return frozenset({project, *connection.execute(query).scalars()})


def bytes_below(directory: Path) -> int:
    """What the files in a directory take, each counted once however many names it has there."""
    sizes: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                status = Path(parent, name).lstat()
            except FileNotFoundError:
                continue  # removed meanwhile
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def gone(connection: Connection) -> Gone:
    """Everything that housekeeping decided to remove, whether it is done or not."""
    rows = connection.execute(select(schema.removals.c.address, schema.removals.c.paths)).all()
    return Gone(
        frozenset(row.address for row in rows if row.paths is None),
        frozenset((row.address, path) for row in rows if row.paths is not None for path in row.paths),
    )


def _made(
    connection: Connection, tasks_dir: Path, projects: Collection[str] | None
) -> Mapping[tuple[str, str], list[Made]]:
    table = schema.attempts
    query = select(*ATTEMPT_COLUMNS, table.c.manifest, table.c.result["log_manifest"].label("log")).order_by(
        table.c.started_at, table.c.task_id
    )
    if projects is not None:
        query = query.where(table.c.project.in_(projects))
    removed = gone(connection)
    here = {path.name: path for path in tasks_dir.iterdir()} if tasks_dir.is_dir() else {}
    made: dict[tuple[str, str], list[Made]] = {}
    for row in connection.execute(query).mappings():
        attempt = Attempt(**{name: row[name] for name in Attempt.__dataclass_fields__})
        outputs, log = (
            None if kept is None else removed.left_of(Manifest.model_validate(kept))
            for kept in (row["manifest"], row["log"])
        )
        at = here.get(attempt.task_id)
        leftover_bytes = None if at is None or attempt.ended_at is None else bytes_below(at)
        made.setdefault((attempt.project, attempt.pipeline), []).append(Made(attempt, outputs, log, leftover_bytes))
    return made


def _version(versions_dir: Path, name: str, digest: str) -> Pipeline | None:
    """The kept version; None where it cannot be read any more: then nothing goes."""
    try:
        return load_version(versions_dir, name, digest)
    except (NotFound, PipelineInvalid):
        return None
