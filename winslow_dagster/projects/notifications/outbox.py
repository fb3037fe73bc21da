"""The table of messages: each is recorded once, sent at least once, and given up after many failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import distinct, func, select, tuple_

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert
from winslow_dagster.projects.domain.notifications import MessageState

MAX_FAILURES = 10
FIRST_DELAY = timedelta(seconds=10)
MAX_DELAY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one channel. The first line of `text` is the title. `key` identifies what happened."""

    channel: str
    key: str
    project: str | None
    event: str
    text: str
    created_at: datetime
    sent_at: datetime | None = None
    tried_at: datetime | None = None
    failures: int = 0
    last_failure: str = ""

    @property
    def title(self) -> str:
        """The first line."""
        return self.text.partition("\n")[0]

    @property
    def state(self) -> MessageState:
        """Whether it was sent, will be tried again, or will not."""
        if self.sent_at is not None:
            return "sent"
        return "waiting" if self.failures < MAX_FAILURES else "given_up"

    def due(self, now: datetime) -> bool:
        """Whether to try it now: at once at first, after each failure with a longer delay."""
        if self.tried_at is None:
            return True
        delay: timedelta = min(FIRST_DELAY * 2**self.failures, MAX_DELAY)
        return now >= self.tried_at + delay


class Outbox:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, messages: Iterable[Message]) -> int:
        """Add messages, except those that exist, and return how many are new."""
        new = 0
        with self._database.writing() as connection:
            for message in messages:
                row = insert(connection, schema.messages).values(asdict(message)).on_conflict_do_nothing()
                new += connection.execute(row).rowcount
        return new

    def known(self, channel: str, keys: Sequence[str]) -> frozenset[str]:
        """Return those of these keys that the channel has messages for."""
        table = schema.messages
        query = select(table.c.key).where(table.c.channel == channel, table.c.key.in_(keys))
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def waiting(self, channel: str) -> tuple[Message, ...]:
        """List the messages still to be sent, the oldest first."""
        table = schema.messages
        query = (
            select(table)
            .where(table.c.channel == channel, table.c.sent_at.is_(None), table.c.failures < MAX_FAILURES)
            .where(schema.of_live_project(table.c.project))
            .order_by(table.c.created_at, table.c.key)
        )
        with self._database.reading() as connection:
            return tuple(Message(**row) for row in connection.execute(query).mappings())

    def latest(self, limit: int, person: str | None = None) -> tuple[Message, ...]:
        """List the newest messages, the newest first: of all channels, or of everybody's and those of a person."""
        table = schema.messages
        query = select(table).order_by(table.c.created_at.desc(), table.c.channel, table.c.key).limit(limit)
        if person is not None:
            own = table.c.channel.startswith(f"{person}/", autoescape=True)
            query = query.where(own | ~table.c.channel.contains("/"))
        with self._database.reading() as connection:
            return tuple(Message(**row) for row in connection.execute(query).mappings())

    def count_sent_since(self, channel: str, moment: datetime) -> int:
        """Count what the channel was sent since then; messages that were combined count once."""
        table = schema.messages
        query = select(func.count(distinct(table.c.sent_at))).where(
            table.c.channel == channel, table.c.sent_at > moment
        )
        with self._database.reading() as connection:
            count: int = connection.execute(query).scalar_one()
        return count

    def mark_sent(self, messages: Sequence[Message], at: datetime) -> None:
        """Record that these were sent together."""
        self._write(messages, {"sent_at": at, "tried_at": at})

    def mark_failed(self, messages: Sequence[Message], reason: str) -> None:
        """Record that these could not be sent; they are tried again later."""
        table = schema.messages
        self._write(messages, {"tried_at": datetime.now(UTC), "failures": table.c.failures + 1, "last_failure": reason})

    def retry(self, channel: str, key: str) -> bool:
        """Have a message tried again that was given up. False if there is none."""
        table = schema.messages
        given_up = (table.c.channel == channel, table.c.key == key, table.c.sent_at.is_(None))
        with self._database.writing() as connection:
            done = connection.execute(
                table.update()
                .where(*given_up, table.c.failures >= MAX_FAILURES)
                .values(failures=0, tried_at=None, last_failure="")
            )
        return done.rowcount > 0

    def _write(self, messages: Sequence[Message], values: dict[str, object]) -> None:
        table = schema.messages
        keys = [(message.channel, message.key) for message in messages]
        with self._database.writing() as connection:
            connection.execute(table.update().where(tuple_(table.c.channel, table.c.key).in_(keys)).values(values))
