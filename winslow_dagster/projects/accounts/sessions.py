"""The table of sessions: browsers that are logged in."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from winslow_dagster.errors import NotFound
from winslow_dagster.projects.accounts.keys import hash_of, new_key
from winslow_dagster.projects.accounts.model import Identity, Method, Opened, Session
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database

SEEN_EVERY = timedelta(minutes=1)
"""How exactly a session knows when it was last used."""
REMEMBERED = timedelta(days=90)
"""How long ended sessions stay in the table."""
LONGEST_USER_AGENT = 300
LONGEST_ADDRESS = 64
SHOWN = tuple(schema.sessions.c[name] for name in Session.model_fields)


class Sessions:
    """Every method is one transaction."""

    def __init__(self, database: Database, lifetime: timedelta) -> None:
        self._database = database
        self._lifetime = lifetime

    def open(self, person: str, method: Method, address: str, user_agent: str, now: datetime) -> Opened:
        """Log a person in: a new session, and its key."""
        table, key = schema.sessions, new_key()
        row = {
            "person": person,
            "method": method,
            "address": address[:LONGEST_ADDRESS],
            "user_agent": user_agent[:LONGEST_USER_AGENT],
            "created_at": now,
            "seen_at": now,
            "expires_at": now + self._lifetime,
        }
        with self._database.writing() as connection:
            connection.execute(table.delete().where(table.c.expires_at < now - REMEMBERED))
            done = connection.execute(table.insert().values(key_hash=hash_of(key), **row))
            if done.inserted_primary_key is None:
                raise RuntimeError("the database returned no key for a new row")
            number = done.inserted_primary_key[0]
        return Opened(Session(id=number, **row), key)

    def identify(self, key: str, now: datetime) -> Identity | None:
        """Who the key's session belongs to. None if it has ended or expired, or the person is disabled."""
        table, people = schema.sessions, schema.people
        query = (
            select(table.c.id, table.c.seen_at, people.c.name, people.c.display_name, people.c.role)
            .join(people, people.c.name == table.c.person)
            .where(
                table.c.key_hash == hash_of(key),
                table.c.ended_at.is_(None),
                table.c.expires_at > now,
                people.c.disabled_at.is_(None),
            )
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if now - row.seen_at >= SEEN_EVERY:
            seen = table.update().where(table.c.id == row.id, table.c.ended_at.is_(None))
            with self._database.writing() as connection:
                connection.execute(seen.values(seen_at=now, expires_at=now + self._lifetime))
        return Identity(row.name, row.display_name, row.role, session=row.id)

    def list(self, now: datetime, person: str | None = None) -> tuple[Session, ...]:
        """The sessions that have not ended, of one person or all, the one used last first."""
        table = schema.sessions
        query = select(*SHOWN).where(table.c.ended_at.is_(None), table.c.expires_at > now)
        if person is not None:
            query = query.where(table.c.person == person)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.seen_at.desc(), table.c.id.desc())).mappings()
            return tuple(Session(**row) for row in rows)

    def get(self, number: int) -> Session:
        """One session. Raises NotFound."""
        with self._database.reading() as connection:
            row = connection.execute(select(*SHOWN).where(schema.sessions.c.id == number)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no session {number}")
        return Session(**row)

    def end(
        self, now: datetime, number: int | None = None, *, person: str | None = None, but: int | None = None
    ) -> int:
        """End one session, or all of a person but one. Returns how many were ended."""
        table = schema.sessions
        chosen = table.c.id == number if person is None else table.c.person == person
        ended = table.update().where(chosen, table.c.ended_at.is_(None)).values(ended_at=now)
        if but is not None:
            ended = ended.where(table.c.id != but)
        with self._database.writing() as connection:
            return connection.execute(ended).rowcount
