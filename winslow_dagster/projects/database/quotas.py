"""Quotas, and whether there is room in them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, QuotaExceeded
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert
from winslow_dagster.projects.domain.quotas import EVERYBODY, Quota, QuotaKind, QuotaUse

TABLE = schema.quotas
ATTEMPTS = schema.attempts
PROJECTS = schema.projects


class Quotas:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[Quota, ...]:
        """All quotas."""
        with self._database.reading() as connection:
            return _all(connection)

    def set(self, quota: Quota) -> None:
        """Set a quota, or change it."""
        row = quota.model_dump()
        with self._database.writing() as connection:
            written = insert(connection, TABLE).values(row)
            connection.execute(written.on_conflict_do_update(index_elements=["kind", "name"], set_=row))

    def clear(self, kind: QuotaKind, name: str) -> None:
        """Remove a quota. Raises NotFound."""
        with self._database.writing() as connection:
            done = connection.execute(TABLE.delete().where(TABLE.c.kind == kind, TABLE.c.name == name))
        if done.rowcount == 0:
            raise NotFound(f"{name} has no quota of its own", where=f"quota of {kind} {name}")

    def use(self, kind: QuotaKind, name: str) -> QuotaUse | None:
        """How much of its quota is used; None if it has none."""
        with self._database.reading() as connection:
            limit_bytes = _limit(connection, kind, name)
            if limit_bytes is None:
                return None
            used_bytes = _used_by_project(connection, name) if kind == "project" else _used_by_owner(connection, name)
        return QuotaUse(kind=kind, name=name, limit_bytes=limit_bytes, used_bytes=used_bytes)

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


def _all(connection: Connection) -> tuple[Quota, ...]:
    query = select(TABLE).order_by(TABLE.c.kind, TABLE.c.name)
    return tuple(Quota(**row) for row in connection.execute(query).mappings())


def _limit(connection: Connection, kind: QuotaKind, name: str) -> int | None:
    """The limit of its own, or else that of everybody."""
    limits = {quota.name: quota.limit_bytes for quota in _all(connection) if quota.kind == kind}
    return limits.get(name, limits.get(EVERYBODY))


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
        for (manifest,) in connection.execute(select(table.c.manifest).where(which(table))):
            if not manifest["address"].startswith(f"{schema.POOL_ADDRESS}/"):
                sizes[manifest["address"]] = sum(file["size_bytes"] for file in manifest["files"])
    return sum(sizes.values())
