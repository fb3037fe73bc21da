"""What is left of all attempts, according to the tables: the store is not searched."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, select

from winslow_dagster.engines.engine import Engine
from winslow_dagster.errors import NotFound, PipelineInvalid
from winslow_dagster.pipelines import Pipeline, load_version
from winslow_dagster.pipelines.model.pipeline import RetentionRule
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.retention.house_rules import HouseRules
from winslow_dagster.projects.retention.pins import Pins
from winslow_dagster.projects.retention.rules import History, StoredAttempt, stored_at
from winslow_dagster.settings import Settings
from winslow_dagster.storage.manifest import Manifest

ATTEMPT_COLUMNS = [schema.attempts.c[name] for name in Attempt.__dataclass_fields__]
PICK_COLUMNS = [schema.picks.c[name] for name in Pick.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class RemovedFiles:
    """Whole trees, and files of other trees, that were removed."""

    trees: Collection[str]
    files: Collection[tuple[str, str]]

    def remaining(self, manifest: Manifest) -> Manifest | None:
        """Return the manifest without removed files; None if no file is left."""
        files = tuple(
            entry
            for entry in manifest.files
            for place in (stored_at(manifest, entry),)
            if place[0] not in self.trees and place not in self.files
        )
        return manifest.model_copy(update={"files": files}) if files else None


@dataclass(frozen=True, slots=True)
class TriedRules:
    """Rules to plan with instead of those in force: of the installation, and by project those of its own."""

    house: tuple[RetentionRule, ...] | None = None
    own: Mapping[str, tuple[RetentionRule, ...]] = field(default_factory=dict)


def load_histories(
    records: ProjectRecords,
    settings: Settings,
    projects: Collection[str] | None,
    engine: Engine | None = None,
    tried: TriedRules | None = None,
) -> tuple[History, ...]:
    """Load one history for each project and pipeline: of all projects, or of these. Nodes are asked by `engine`.

    Raises RetentionRulesInvalid.
    """
    tried = tried or TriedRules()
    rules = Pins(records.database).rules() | dict(tried.own)
    house = HouseRules(records.database, settings).rules() if tried.house is None else tried.house
    pinned = {pin.task_id for pin in Pins(records.database).pins()}
    with records.database.reading() as connection:
        stored = _stored_attempts(connection, projects, engine)
        swept = select(schema.runs.c.run_id).where(schema.runs.c.sweep.is_not(None))
        sweeps = frozenset(connection.execute(swept).scalars())
        table = schema.projects
        deletions = select(table.c.name, table.c.purged_at).where(~schema.LIVE)
        deleted = {name: purged_at for name, purged_at in connection.execute(deletions)}  # noqa: C416  # rows are no pairs to mypy
        open_runs = select(schema.runs.c.project).where(schema.runs.c.ended_at.is_(None)).distinct()
        busy = set(connection.execute(open_runs).scalars())
        query = select(*PICK_COLUMNS).order_by(schema.picks.c.id)
        picks: dict[tuple[str, str], list[Pick]] = {}
        for pick in (Pick(**row) for row in connection.execute(query).mappings()):
            picks.setdefault((pick.project, pick.pipeline), []).append(pick)
    busy |= {each.attempt.project for part in stored.values() for each in part if each.attempt.ended_at is None}
    versions: dict[tuple[str, str], Pipeline | None] = {}

    def version(attempt: Attempt) -> Pipeline | None:
        key = (attempt.pipeline, attempt.pipeline_digest)
        if key not in versions:
            versions[key] = _version(settings.versions_dir, *key)
        return versions[key]

    return tuple(
        History(
            project=project,
            # The rules in force are those of the version that ran last.
            pipeline=version(part[-1].attempt),
            attempts=tuple(part),
            picks=tuple(picks.get((project, pipeline), ())),
            sweep_runs=sweeps,
            pinned=pinned,
            own_rules=rules.get(project, ()),
            house_rules=house,
            busy=project in busy,
            kept=project in deleted and deleted[project] is None,
            purged=deleted.get(project) is not None,
        )
        for (project, pipeline), part in stored.items()
    )


def referring_projects(records: ProjectRecords, project: str) -> frozenset[str]:
    """Find the projects that share outputs with this one, including itself.

    By address, which stays the same however often outputs are reused.
    """
    table, shared = schema.attempts, schema.attempts.alias()
    query = (
        select(table.c.project)
        .join(shared, table.c.output_address == shared.c.output_address)
        .where(shared.c.project == project)
        .distinct()
    )
    with records.database.reading() as connection:
        return frozenset({project, *connection.execute(query).scalars()})


def removed_files(connection: Connection) -> RemovedFiles:
    """Read what was decided to be removed, whether that is done or not."""
    rows = connection.execute(select(schema.removals.c.address, schema.removals.c.paths)).all()
    return RemovedFiles(
        frozenset(row.address for row in rows if row.paths is None),
        frozenset((row.address, path) for row in rows if row.paths is not None for path in row.paths),
    )


def _stored_attempts(
    connection: Connection, projects: Collection[str] | None, engine: Engine | None
) -> Mapping[tuple[str, str], list[StoredAttempt]]:
    table = schema.attempts
    query = select(*ATTEMPT_COLUMNS, table.c.manifest, table.c.result["log_manifest"].label("log")).order_by(
        table.c.started_at, table.c.task_id
    )
    if projects is not None:
        query = query.where(table.c.project.in_(projects))
    removed = removed_files(connection)
    rows = connection.execute(query).mappings().all()
    ended = {row["task_id"] for row in rows if row["ended_at"] is not None}
    leftovers = engine.leftovers(ended) if engine is not None else {}
    stored: dict[tuple[str, str], list[StoredAttempt]] = {}
    for row in rows:
        attempt = Attempt(**{name: row[name] for name in Attempt.__dataclass_fields__})
        outputs, log = (
            None if manifest is None else removed.remaining(Manifest.model_validate(manifest))
            for manifest in (row["manifest"], row["log"])
        )
        found = StoredAttempt(attempt, outputs, log, leftovers.get(attempt.task_id))
        stored.setdefault((attempt.project, attempt.pipeline), []).append(found)
    return stored


def _version(versions_dir: Path, name: str, digest: str) -> Pipeline | None:
    """Load the kept version; None if it cannot be read any more: then nothing is removed."""
    try:
        return load_version(versions_dir, name, digest)
    except (NotFound, PipelineInvalid):
        return None
