"""How much space everything takes, as the tables say it, and what was measured on the disk."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert
from winslow_dagster.projects.domain.space import (
    AGES_DAYS,
    AgeUsage,
    KindOfSpace,
    KindUsage,
    OwnerUsage,
    PinnedUsage,
    PipelineStageUsage,
    ProjectUsage,
    Space,
)

ATTEMPTS = schema.attempts
OWN_BYTES = ATTEMPTS.c.outputs_bytes + ATTEMPTS.c.log_bytes
ATTEMPTS_CONSIDERED = 20
OF_LIVE = ATTEMPTS.c.project.not_in(select(schema.projects.c.name).where(~schema.LIVE))


class SpaceUsage:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def space(self, now: datetime, most_projects: int) -> Space:
        """What takes space. `uploads` are not known to the tables."""
        with self._database.reading() as connection:
            deleted, projects = _by_project(connection)
            outputs, logs, inputs = (
                sum(getattr(each, name) for each in projects)
                for name in ("outputs_bytes", "logs_bytes", "inputs_bytes")
            )
            listed, trashed = _pool(connection)
            table = schema.measured_space
            measured = tuple(KindUsage(**row) for row in connection.execute(select(table)).mappings())
            return Space(
                kinds=(
                    KindUsage(kind="outputs", size_bytes=outputs),
                    KindUsage(kind="logs", size_bytes=logs),
                    KindUsage(kind="inputs", size_bytes=inputs),
                    KindUsage(kind="pool", size_bytes=listed),
                    KindUsage(kind="trash", size_bytes=trashed + deleted),
                    *measured,
                ),
                projects=tuple(projects[:most_projects]),
                projects_total=len(projects),
                owners=_by_owner(projects),
                stages=_by_stage(connection),
                ages=_by_age(connection, now),
                pins=_pinned(connection),
            )

    def of_project(self, project: str) -> int:
        """The space that a project takes."""
        with self._database.reading() as connection:
            own = select(func.sum(OWN_BYTES)).where(ATTEMPTS.c.project == project)
            stored = connection.execute(own).scalar() or 0
            return int(stored) + _inputs(connection, project).get(project, 0)

    def typical_outputs(self, pipeline: str, stages: Iterable[str]) -> dict[str, int]:
        """Stage -> the median size of what its latest attempts made, in any project of the pipeline."""
        found = {}
        with self._database.reading() as connection:
            for stage in stages:
                made = select(ATTEMPTS.c.outputs_bytes).where(
                    ATTEMPTS.c.pipeline == pipeline, ATTEMPTS.c.stage == stage, ATTEMPTS.c.outputs_bytes > 0
                )
                latest = made.order_by(ATTEMPTS.c.ended_at.desc()).limit(ATTEMPTS_CONSIDERED)
                sizes = connection.execute(latest).scalars().all()
                if sizes:
                    found[stage] = int(statistics.median(sizes))
        return found

    def note(self, measured: Mapping[KindOfSpace, int], at: datetime) -> None:
        """Keep what was measured."""
        table = schema.measured_space
        with self._database.writing() as connection:
            for kind, size_bytes in measured.items():
                values = {"size_bytes": size_bytes, "measured_at": at}
                row = insert(connection, table).values(kind=kind, **values)
                connection.execute(row.on_conflict_do_update(index_elements=[table.c.kind], set_=values))


def _by_project(connection: Connection) -> tuple[int, list[ProjectUsage]]:
    """The bytes of deleted projects, and the others, the largest first."""
    sums = select(
        ATTEMPTS.c.project,
        func.count().label("attempts"),
        func.sum(ATTEMPTS.c.outputs_bytes).label("outputs"),
        func.sum(ATTEMPTS.c.log_bytes).label("logs"),
        func.max(ATTEMPTS.c.ended_at).label("ended_at"),
    ).group_by(ATTEMPTS.c.project)
    stored = {row.project: row for row in connection.execute(sums)}
    inputs, deleted_bytes, found = _inputs(connection), 0, []
    table = schema.projects
    for name, owner, deleted_at in connection.execute(select(table.c.name, table.c.owner, table.c.deleted_at)):
        row, inputs_bytes = stored.get(name), inputs.get(name, 0)
        outputs_bytes, logs_bytes = (int(row.outputs), int(row.logs)) if row is not None else (0, 0)
        size_bytes = outputs_bytes + logs_bytes + inputs_bytes
        if deleted_at is not None:
            deleted_bytes += size_bytes
            continue
        found.append(
            ProjectUsage(
                project=name,
                owner=owner,
                attempts=0 if row is None else row.attempts,
                outputs_bytes=outputs_bytes,
                logs_bytes=logs_bytes,
                inputs_bytes=inputs_bytes,
                size_bytes=size_bytes,
                ended_at=None if row is None else row.ended_at,
            )
        )
    found.sort(key=lambda each: (-each.size_bytes, each.project))
    return deleted_bytes, found


def _inputs(connection: Connection, project: str | None = None) -> dict[str, int]:
    """Project -> bytes of inputs and answers of its own; what several projects share counts for one of them."""
    sizes: dict[str, int] = {}
    seen: set[str] = set()
    for table in (schema.inputs, schema.answers):
        query = select(table.c.project, table.c.manifest)
        if table is schema.inputs:
            query = query.where(table.c.pool_id.is_(None))
        if project is not None:
            query = query.where(table.c.project == project)
        for owner, manifest in connection.execute(query):
            address = manifest["address"]
            if address in seen or address.startswith(f"{schema.POOL_ADDRESS}/"):
                continue
            seen.add(address)
            sizes[owner] = sizes.get(owner, 0) + sum(file["size_bytes"] for file in manifest["files"])
    return sizes


def _pool(connection: Connection) -> tuple[int, int]:
    """The bytes of the pool, and of what was deleted from it."""
    table = schema.pool
    total = func.coalesce(func.sum(table.c.size_bytes), 0)
    listed, trashed = (
        connection.execute(select(total).where(condition)).scalar_one()
        for condition in (table.c.deleted_at.is_(None), table.c.deleted_at.is_not(None))
    )
    return int(listed), int(trashed)


def _by_owner(projects: list[ProjectUsage]) -> tuple[OwnerUsage, ...]:
    found: dict[str, list[int]] = {}
    for each in projects:
        found.setdefault(each.owner, []).append(each.size_bytes)
    owners = [OwnerUsage(owner=owner, projects=len(sizes), size_bytes=sum(sizes)) for owner, sizes in found.items()]
    return tuple(sorted(owners, key=lambda each: (-each.size_bytes, each.owner)))


def _by_stage(connection: Connection) -> tuple[PipelineStageUsage, ...]:
    # By project first, as the index has them: otherwise SQLite reads every row, with everything that is in it.
    keys = (ATTEMPTS.c.project, ATTEMPTS.c.pipeline, ATTEMPTS.c.stage)
    sums = select(*keys, func.count().label("attempts"), func.sum(OWN_BYTES).label("size_bytes")).where(OF_LIVE)
    part = sums.group_by(*keys).subquery()
    attempts, size_bytes = (func.sum(part.c[name]).label(name) for name in ("attempts", "size_bytes"))
    query = select(part.c.pipeline, part.c.stage, attempts, size_bytes).group_by(part.c.pipeline, part.c.stage)
    rows = connection.execute(query).mappings()
    found = [
        PipelineStageUsage(**{**row, **{name: int(row[name]) for name in ("attempts", "size_bytes")}}) for row in rows
    ]
    return tuple(sorted(found, key=lambda each: (-each.size_bytes, each.pipeline, each.stage)))


def _by_age(connection: Connection, now: datetime) -> tuple[AgeUsage, ...]:
    ended_at = ATTEMPTS.c.ended_at
    groups = []
    for from_days, to_days in zip(AGES_DAYS, (*AGES_DAYS[1:], None), strict=True):
        begins = ended_at <= now - timedelta(days=from_days)
        groups.append(begins if to_days is None else and_(begins, ended_at > now - timedelta(days=to_days)))
    columns: list[Any] = []
    for group in groups:
        columns += [func.sum(case((group, 1), else_=0)), func.sum(case((group, OWN_BYTES), else_=0))]
    sums = [int(each or 0) for each in connection.execute(select(*columns).where(OF_LIVE)).one()]
    return tuple(
        AgeUsage(from_days=from_days, attempts=attempts, size_bytes=size_bytes)
        for from_days, attempts, size_bytes in zip(AGES_DAYS, sums[::2], sums[1::2], strict=True)
    )


def _pinned(connection: Connection) -> tuple[PinnedUsage, ...]:
    pins = {row.task_id: row for row in connection.execute(select(schema.pins))}
    columns = (ATTEMPTS.c.project, ATTEMPTS.c.stage, ATTEMPTS.c.task_id, OWN_BYTES.label("size_bytes"))
    rows = connection.execute(select(*columns).where(ATTEMPTS.c.task_id.in_(list(pins)), OF_LIVE)).mappings()
    found = [
        PinnedUsage(**row, pinned_by=pins[row["task_id"]].pinned_by, reason=pins[row["task_id"]].reason) for row in rows
    ]
    return tuple(sorted(found, key=lambda each: (-each.size_bytes, each.task_id)))
