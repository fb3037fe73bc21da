"""The table of links to files. Rows stay: they say what was shared, by whom, and how often it was used."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import TypeAdapter
from sqlalchemy import or_, select

from winslow_dagster.errors import NotFound
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.shares import Share, SharedThing

USED_EVERY = timedelta(minutes=1)
"""Ranges that one address asks for sooner belong to the same download."""
SHOWN = tuple(schema.shares.c[name] for name in Share.model_fields)
THING: TypeAdapter[SharedThing] = TypeAdapter(SharedThing)


class Shares:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key_hash: str, share: Share, thing: SharedThing) -> Share:
        """Record a new link. The database gives it its id."""
        row = share.model_dump(exclude={"id"}) | {"key_hash": key_hash, "thing": thing.model_dump(mode="json")}
        with self._database.writing() as connection:
            done = connection.execute(schema.shares.insert().values(row))
            if done.inserted_primary_key is None:
                raise RuntimeError("the database returned no key for a new row")
            return share.model_copy(update={"id": done.inserted_primary_key[0]})

    def list(self, created_by: str | None = None) -> tuple[Share, ...]:
        """The links of one person or of all, the newest first."""
        query = select(*SHOWN).order_by(schema.shares.c.id.desc())
        if created_by is not None:
            query = query.where(schema.shares.c.created_by == created_by)
        with self._database.reading() as connection:
            return tuple(Share(**row) for row in connection.execute(query).mappings())

    def get(self, number: int) -> Share:
        """One link. Raises NotFound."""
        query = select(*SHOWN).where(schema.shares.c.id == number)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no link {number}")
        return Share(**row)

    def find(self, key_hash: str, now: datetime) -> tuple[Share, SharedThing] | None:
        """The link of this key; None unless it is valid, and whoever made it may still log in."""
        table, people = schema.shares, schema.people
        query = (
            select(*SHOWN, table.c.thing)
            .outerjoin(people, people.c.name == table.c.created_by)
            .where(
                table.c.key_hash == key_hash,
                table.c.expires_at > now,
                table.c.revoked_at.is_(None),
                people.c.disabled_at.is_(None),
            )
        )
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        return Share(**{name: row[name] for name in Share.model_fields}), THING.validate_python(row["thing"])

    def use(self, number: int, address: str, now: datetime) -> bool:
        """Count a download. Returns False if it is a part of the one before."""
        table = schema.shares
        new = or_(table.c.used_at.is_(None), table.c.used_from != address, table.c.used_at <= now - USED_EVERY)
        counted = table.update().where(table.c.id == number, new).values(uses=table.c.uses + 1)
        seen = table.update().where(table.c.id == number).values(used_at=now, used_from=address)
        with self._database.writing() as connection:
            is_new = connection.execute(counted).rowcount > 0
            connection.execute(seen)
            return is_new

    def revoke(self, number: int, by: str, now: datetime) -> bool:
        """End a link. Returns False if it had been revoked before."""
        table = schema.shares
        query = table.update().where(table.c.id == number, table.c.revoked_at.is_(None))
        with self._database.writing() as connection:
            return connection.execute(query.values(revoked_at=now, revoked_by=by)).rowcount > 0
