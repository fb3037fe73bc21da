"""Quotas, and whether there is room in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectConflict, QuotaExceeded
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert
from winslow_dagster.projects.database.quota_file import quotas_in
from winslow_dagster.projects.database.space_usage import SpaceUsage
from winslow_dagster.projects.domain.quotas import EVERYBODY, Quota, QuotaKind, QuotaUse

TABLE = schema.quotas
ATTEMPTS = schema.attempts
PROJECTS = schema.projects
EVERY = 1_000_000


class Quotas:
    """Every method is one transaction. All raise ServiceUnavailable, and QuotasInvalid for a file with problems."""

    def __init__(self, database: Database, file: Path) -> None:
        self._database = database
        self.file = file

    @property
    def in_file(self) -> bool:
        """Whether they are in the file, which wins over the tables."""
        return self.file.exists()

    def all(self) -> tuple[Quota, ...]:
        """All quotas."""
        if self.in_file:
            return quotas_in(self.file)
        query = select(TABLE).order_by(TABLE.c.kind, TABLE.c.name)
        with self._database.reading() as connection:
            return tuple(Quota(**row) for row in connection.execute(query).mappings())

    def set(self, quota: Quota) -> None:
        """Set a quota, or change it. Raises ProjectConflict if they are in a file."""
        self._require_changeable()
        row = quota.model_dump()
        with self._database.writing() as connection:
            written = insert(connection, TABLE).values(row)
            connection.execute(written.on_conflict_do_update(index_elements=["kind", "name"], set_=row))

    def clear(self, kind: QuotaKind, name: str) -> None:
        """Remove a quota. Raises NotFound, ProjectConflict if they are in a file."""
        self._require_changeable()
        with self._database.writing() as connection:
            done = connection.execute(TABLE.delete().where(TABLE.c.kind == kind, TABLE.c.name == name))
        if done.rowcount == 0:
            raise NotFound(f"{name} has no quota of its own", where=f"quota of {kind} {name}")

    def use(self, kind: QuotaKind, name: str) -> QuotaUse | None:
        """How much of its quota is used; None if it has none."""
        limits = {quota.name: quota.limit_bytes for quota in self.all() if quota.kind == kind}
        limit_bytes = limits.get(name, limits.get(EVERYBODY))
        if limit_bytes is None:
            return None
        with self._database.reading() as connection:
            used_bytes = _used_by_project(connection, name) if kind == "project" else _used_by_owner(connection, name)
        owner = name if kind == "owner" else ""
        return QuotaUse(kind=kind, name=name, owner=owner, limit_bytes=limit_bytes, used_bytes=used_bytes)

    def uses(self, now: datetime, growing: Mapping[str, int]) -> tuple[QuotaUse, ...]:
        """How much is used of all quotas. `growing`: project -> bytes that its running stages have written so far."""
        limits = {(quota.kind, quota.name): quota.limit_bytes for quota in self.all()}
        if not limits:
            return ()
        projects = SpaceUsage(self._database).space(now, EVERY).projects
        found = [
            QuotaUse(
                kind="project",
                name=each.project,
                owner=each.owner,
                limit_bytes=limit_bytes,
                used_bytes=each.size_bytes,
                growing_bytes=growing.get(each.project, 0),
            )
            for each in projects
            for limit_bytes in [limits.get(("project", each.project), limits.get(("project", EVERYBODY)))]
            if limit_bytes is not None
        ]
        owners = {each.project: each.owner for each in projects}
        by_owner: Counter[str] = Counter()
        for project, size_bytes in growing.items():
            by_owner[owners.get(project, "")] += size_bytes
        names = {name for kind, name in limits if kind == "owner" and name != EVERYBODY}
        if ("owner", EVERYBODY) in limits:
            names |= set(owners.values())
        uses = (self.use("owner", name) for name in sorted(names))
        found += [use.model_copy(update={"growing_bytes": by_owner[use.name]}) for use in uses if use is not None]
        return tuple(found)

    def require_room(self, project: str | None, owner: str, more_bytes: int) -> None:
        """Raise QuotaExceeded if the project or its owner would pass a quota, or has already.

        It adds up what is stored at this moment: two starts at once may pass a limit by what both bring. Uploads, which
        are begun one after the other, count from their beginning.
        """
        for kind, name in (("project", project), ("owner", owner)):
            use = None if name is None else self.use("project" if kind == "project" else "owner", name)
            if use is None or (use.used_bytes + more_bytes <= use.limit_bytes and use.used_bytes < use.limit_bytes):
                continue
            used = f"{format_size(use.used_bytes)} of {format_size(use.limit_bytes)} are used"
            more = f", and this brings {format_size(more_bytes)} more" if more_bytes else ""
            raise QuotaExceeded(
                f"the quota of {kind} {name} does not suffice: {used}{more}",
                where=f"{kind} {name}",
                remedy=Action("show_space"),
            )

    def _require_changeable(self) -> None:
        if self.in_file:
            raise ProjectConflict(
                "the quotas are in a file", where=str(self.file), remedy="Change the file, or move it away"
            )


def _used_by_project(connection: Connection, project: str) -> int:
    return _stored(connection, ATTEMPTS.c.project == project) + _inputs(
        connection, lambda table: table.c.project == project
    )


def _used_by_owner(connection: Connection, owner: str) -> int:
    """What the person's projects take, without deleted ones, and the person's files and uploads in the pool."""
    own = select(PROJECTS.c.name).where(PROJECTS.c.owner == owner, schema.LIVE)
    pool, uploads = schema.pool, schema.uploads
    listed = select(func.sum(pool.c.size_bytes)).where(pool.c.added_by == owner, pool.c.deleted_at.is_(None))
    coming = select(func.sum(uploads.c.size_bytes)).where(uploads.c.owner == owner, uploads.c.ended_at.is_(None))
    return (
        _stored(connection, ATTEMPTS.c.project.in_(own))
        + _inputs(connection, lambda table: table.c.project.in_(own))
        + sum(int(connection.execute(query).scalar() or 0) for query in (listed, coming))
    )


def _stored(connection: Connection, which: ColumnElement[bool]) -> int:
    total = func.sum(ATTEMPTS.c.outputs_bytes + ATTEMPTS.c.log_bytes)
    return int(connection.execute(select(total).where(which)).scalar() or 0)


def _inputs(connection: Connection, which: Any) -> int:
    sizes: dict[str, int] = {}
    for table in (schema.inputs, schema.answers):
        query = select(table.c.manifest).where(which(table))
        if table is schema.inputs:
            query = query.where(table.c.pool_id.is_(None))
        for (manifest,) in connection.execute(query):
            if not manifest["address"].startswith(f"{schema.POOL_ADDRESS}/"):
                sizes[manifest["address"]] = sum(file["size_bytes"] for file in manifest["files"])
    return sum(sizes.values())
