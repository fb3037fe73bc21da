"""Slows down those who guess passwords: after a few failures in a row, each further try has to wait longer.

The wait never exceeds a minute, so that nobody can lock another person out for good. Tries are counted by name and by
address. Those from an address from which the person has logged in before are counted apart: guesses from elsewhere do
not make the person wait there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Connection, select

from winslow_dagster.errors import TooManyTries
from winslow_dagster.projects.accounts.keys import hash_of
from winslow_dagster.projects.accounts.model import NAME
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert

FREE_TRIES = 5
"""Failures of one name before the first wait."""
FREE_TRIES_OF_ADDRESS = 20
"""Several people may share an address."""
LONGEST_WAIT = timedelta(seconds=60)
FORGOTTEN_AFTER = timedelta(hours=1)


class LoginLimit:
    """Failed tries, in the database: all web servers count together, and a restart forgets nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, name: str, address: str, now: datetime) -> None:
        """Count a try as failed until `succeeded`. Raises TooManyTries if it comes too early.

        Counted before the password is compared, so that many tries at once are no way around.
        """
        table = schema.login_tries
        with self._database.writing() as connection:
            connection.execute(table.delete().where(table.c.wait_until < now - FORGOTTEN_AFTER))
            keys = self._keys(connection, name, address)
            # In one order, so that two tries cannot wait for each other.
            for key, free in sorted(keys.items()):
                self._count(connection, key, free, now)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of the name and of the address."""
        table = schema.login_tries
        with self._database.writing() as connection:
            keys = self._keys(connection, name, address)
            connection.execute(table.delete().where(table.c.key_hash.in_(keys)))

    @staticmethod
    def _keys(connection: Connection, name: str, address: str) -> dict[str, int]:
        sessions = schema.sessions
        query = select(sessions.c.id).where(sessions.c.person == name, sessions.c.address == address).limit(1)
        known = NAME.fullmatch(name) is not None and connection.execute(query).first() is not None
        return {
            hash_of(f"name {name}" + (f" at {address}" if known else "")): FREE_TRIES,
            hash_of(f"address {address}"): FREE_TRIES_OF_ADDRESS,
        }

    @staticmethod
    def _count(connection: Connection, key: str, free: int, now: datetime) -> None:
        table = schema.login_tries
        empty = {"key_hash": key, "failures": 0, "wait_until": now}
        connection.execute(insert(connection, table).values(empty).on_conflict_do_nothing())
        query = select(table.c.failures, table.c.wait_until).where(table.c.key_hash == key).with_for_update()
        row = connection.execute(query).one()
        if row.wait_until > now:
            raise TooManyTries(ceil((row.wait_until - now).total_seconds()))
        failures = row.failures + 1
        values = {"failures": failures, "wait_until": now + wait_after(failures, free)}
        connection.execute(table.update().where(table.c.key_hash == key).values(values))


def wait_after(failures: int, free: int) -> timedelta:
    """How long the next try has to wait after so many failures in a row."""
    if failures < free:
        return timedelta()
    return min(LONGEST_WAIT, timedelta(seconds=2 ** min(failures - free, 10)))
