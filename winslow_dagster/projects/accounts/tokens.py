"""The tables of tokens, which are the keys of programs, and of links that log in once."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy import or_, select

from winslow_dagster.errors import NotFound
from winslow_dagster.projects.accounts.keys import hash_of, new_key
from winslow_dagster.projects.accounts.model import Identity, NewToken, Token
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.actor import ROLES, Role

TOKEN_PREFIX = "winslow_"  # noqa: S105  # not a secret: what scanners look for
LINK_PATH = "/login/link"
USED_EVERY = timedelta(minutes=1)
SHOWN = tuple(schema.tokens.c[name] for name in Token.model_fields)


class Tokens:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, person: str, label: str, role: Role, expires_at: datetime | None, now: datetime) -> NewToken:
        """A new token, and its key."""
        key = new_key(TOKEN_PREFIX)
        row = {
            "person": person,
            "label": label,
            "role": role,
            "created_at": now,
            "expires_at": expires_at,
            "used_at": None,
            "used_from": "",
        }
        with self._database.writing() as connection:
            done = connection.execute(schema.tokens.insert().values(key_hash=hash_of(key), **row))
            if done.inserted_primary_key is None:
                raise RuntimeError("the database returned no key for a new row")
            number = done.inserted_primary_key[0]
        return NewToken(token=Token(id=number, **row), key=key)

    def identify(self, key: str, address: str, now: datetime) -> Identity | None:
        """Who the token acts as, with the lesser of its role and the person's. None if it is not valid any more."""
        table, people = schema.tokens, schema.people
        query = (
            select(table.c.id, table.c.role.label("limit"), table.c.used_at, people.c.name, people.c.display_name)
            .add_columns(people.c.role)
            .join(people, people.c.name == table.c.person)
            .where(
                table.c.key_hash == hash_of(key),
                or_(table.c.expires_at.is_(None), table.c.expires_at > now),
                people.c.disabled_at.is_(None),
            )
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.used_at is None or now - row.used_at >= USED_EVERY:
            used = table.update().where(table.c.id == row.id).values(used_at=now, used_from=address)
            with self._database.writing() as connection:
                connection.execute(used)
        return Identity(row.name, row.display_name, min(row.limit, row.role, key=ROLES.index), token=row.id)

    def list(self, person: str | None = None) -> tuple[Token, ...]:
        """The tokens of one person or all, the newest first."""
        query = select(*SHOWN).order_by(schema.tokens.c.id.desc())
        if person is not None:
            query = query.where(schema.tokens.c.person == person)
        with self._database.reading() as connection:
            return tuple(Token(**row) for row in connection.execute(query).mappings())

    def get(self, number: int) -> Token:
        """One token. Raises NotFound."""
        with self._database.reading() as connection:
            row = connection.execute(select(*SHOWN).where(schema.tokens.c.id == number)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no token {number}")
        return Token(**row)

    def delete(self, number: int) -> None:
        """Delete a token, which is then worth nothing."""
        with self._database.writing() as connection:
            connection.execute(schema.tokens.delete().where(schema.tokens.c.id == number))


class LoginLinks:
    """Links that log in once, made by those who have the installation's files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, person: str | None, expires_at: datetime, now: datetime) -> str:
        """The key of a new link, for a person or for the first one."""
        table, key = schema.login_links, new_key()
        with self._database.writing() as connection:
            connection.execute(table.delete().where(table.c.expires_at <= now))
            connection.execute(table.insert().values(key_hash=hash_of(key), person=person, expires_at=expires_at))
        return key

    def find(self, key: str, now: datetime) -> tuple[str | None] | None:
        """Who the link is for, in a tuple of one: a person, or None for the first one. None if it is not valid."""
        table = schema.login_links
        query = select(table.c.person).where(table.c.key_hash == hash_of(key), table.c.expires_at > now)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row.person,)

    def use(self, key: str, now: datetime) -> bool:
        """Use the link up. Returns whether it was valid."""
        table = schema.login_links
        with self._database.writing() as connection:
            used = connection.execute(table.delete().where(table.c.key_hash == hash_of(key), table.c.expires_at > now))
        return used.rowcount == 1


def link_address(server: str, key: str, page: str = "") -> str:
    """The address of a link on a web server. It leads to `page`, a path, or to the first page."""
    return f"{server}{LINK_PATH}?{urlencode({'key': key} | ({'next': page} if page else {}))}"
