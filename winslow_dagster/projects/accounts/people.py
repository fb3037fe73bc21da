"""The tables of people and groups."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.projects.accounts.model import Group, Person
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database


class People:
    """Every method is one transaction. All raise NotFound for a person or a group that does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def any(self) -> bool:
        """Whether there is a person."""
        with self._database.reading() as connection:
            return connection.execute(select(schema.people.c.name).limit(1)).first() is not None

    def any_can_prove_identity(self) -> bool:
        """Whether somebody logs in by other means than a link from the shell."""
        table = schema.people
        proof = table.c.password_hash.is_not(None) | table.c.subject.is_not(None)
        with self._database.reading() as connection:
            return connection.execute(select(table.c.name).where(proof).limit(1)).first() is not None

    def all(self) -> tuple[Person, ...]:
        """All people, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.people).order_by(schema.people.c.name)).mappings().all()
            groups = _groups(connection)
        return tuple(_person(row, groups.get(row["name"], ())) for row in rows)

    def get(self, name: str) -> Person:
        """The person of that name."""
        found = self.find(name)
        if found is None:
            raise unknown_person(name)
        return found

    def find(self, name: str | None = None, *, subject: str | None = None) -> Person | None:
        """The same by name or by subject, or None."""
        table = schema.people
        matches = table.c.name == name if subject is None else table.c.subject == subject
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(matches)).mappings().one_or_none()
            return None if row is None else _person(row, _groups(connection, row["name"]).get(row["name"], ()))

    def password_hash(self, name: str) -> str | None:
        """What is stored of the person's password."""
        table = schema.people
        with self._database.reading() as connection:
            found: str | None = connection.execute(
                select(table.c.password_hash).where(table.c.name == name, table.c.disabled_at.is_(None))
            ).scalar_one_or_none()
        return found

    def add(self, row: dict[str, Any], *, first: bool = False) -> None:
        """Add a person. Raises ProjectConflict if the name or the subject is taken, or `first` is not true any more."""
        try:
            with self._database.writing() as connection:
                if first and connection.execute(select(schema.people.c.name).limit(1)).first() is not None:
                    raise ProjectConflict("somebody else was the first person", where="the link")
                connection.execute(schema.people.insert().values(row))
        except IntegrityError as error:
            raise ProjectConflict(f"there is a person {row['name']!r} already", where="people") from error

    def change(self, name: str, **values: Any) -> None:
        """Change columns of a person. Raises ProjectConflict if no administrator would be left who can log in."""
        table = schema.people
        try:
            with self._database.writing() as connection:
                # Locked, so that two administrators who remove each other do it one after the other.
                admins = select(table.c.name).where(table.c.role == "admin", table.c.disabled_at.is_(None))
                before = set(connection.execute(admins.with_for_update()).scalars())
                changed = connection.execute(table.update().where(table.c.name == name).values(values))
                if changed.rowcount == 0:
                    raise unknown_person(name)
                if before == {name} and connection.execute(admins).first() is None:
                    raise ProjectConflict(
                        f"{name} is the last administrator",
                        where=f"person {name}",
                        remedy="Make somebody else an administrator first",
                    )
        except IntegrityError as error:
            raise ProjectConflict("another person has this subject", where=f"person {name}") from error

    def groups(self) -> tuple[Group, ...]:
        """All groups, by name."""
        table, members = schema.groups, schema.memberships
        with self._database.reading() as connection:
            names = connection.execute(select(table.c.name).order_by(table.c.name)).scalars().all()
            rows = connection.execute(select(members.c.group, members.c.person).order_by(members.c.person)).all()
        return tuple(
            Group(name=name, members=tuple(person for group, person in rows if group == name)) for name in names
        )

    def set_groups(self, name: str, groups: Iterable[str], now: datetime) -> None:
        """Replace the groups of a person. A group exists from its first member on, and as long as anything needs it."""
        table, members = schema.groups, schema.memberships
        wanted = sorted(set(groups))
        with self._database.writing() as connection:
            known = select(schema.people.c.name).where(schema.people.c.name == name).with_for_update()
            if connection.execute(known).first() is None:
                raise unknown_person(name)
            there = set(connection.execute(select(table.c.name).where(table.c.name.in_(wanted))).scalars())
            for group in wanted:
                if group not in there:
                    connection.execute(table.insert().values(name=group, created_at=now))
            connection.execute(members.delete().where(members.c.person == name))
            for group in wanted:
                connection.execute(members.insert().values(group=group, person=name))
            used = schema.projects
            connection.execute(
                table.delete().where(
                    table.c.name.not_in(select(members.c.group)),
                    table.c.name.not_in(select(used.c.group).where(used.c.group.is_not(None))),
                )
            )

    def require_group(self, group: str) -> None:
        """Raise InputRejected if there is no such group."""
        names = [each.name for each in self.groups()]
        if group not in names:
            raise InputRejected(
                f"there is no group {group!r}",
                expected=f"one of {', '.join(names)}" if names else "the name of a group that somebody is in",
            )


def unknown_person(name: str) -> NotFound:
    """The error for a person who does not exist."""
    return NotFound(f"there is no person {name!r}", where="people")


def _groups(connection: Connection, person: str | None = None) -> dict[str, tuple[str, ...]]:
    table = schema.memberships
    query = select(table.c.person, table.c.group).order_by(table.c.group)
    if person is not None:
        query = query.where(table.c.person == person)
    found: dict[str, tuple[str, ...]] = {}
    for name, group in connection.execute(query):
        found[name] = (*found.get(name, ()), group)
    return found


def _person(row: RowMapping, groups: tuple[str, ...]) -> Person:
    return Person(
        name=row["name"],
        display_name=row["display_name"],
        role=row["role"],
        groups=groups,
        has_password=row["password_hash"] is not None,
        subject=row["subject"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
    )
