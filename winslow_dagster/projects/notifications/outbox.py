"""What people are told, as plain calls: noted once, sent at least once, and given up after many failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import distinct, func, select, tuple_

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert

MOST_FAILURES = 10
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that one channel is told of. The first line of `text` is the title. `key` is what happened."""

    channel: str
    key: str
    project: str | None
    kind: str
    text: str
    noticed_at: datetime
    sent_at: datetime | None = None
    tried_at: datetime | None = None
    failures: int = 0
    last_failure: str = ""

    @property
    def title(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0]

    @property
    def given_up(self) -> bool:
        """Whether it is not tried again."""
        return self.sent_at is None and self.failures >= MOST_FAILURES

    def due(self, now: datetime) -> bool:
        """Whether it is time to try it: at once, and after failures ever later."""
        if self.tried_at is None:
            return True
        wait: timedelta = min(FIRST_WAIT * 2**self.failures, LONGEST_WAIT)
        return now >= self.tried_at + wait


class Notices:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, notices: Iterable[Notice]) -> int:
        """Keep what is to be told; what was kept before stays as it is. Gives how many were new."""
        new = 0
        with self._database.writing() as connection:
            for notice in notices:
                row = insert(connection, schema.notices).values(asdict(notice)).on_conflict_do_nothing()
                new += connection.execute(row).rowcount
        return new

    def known(self, channel: str, keys: Sequence[str]) -> frozenset[str]:
        """Those of these things that the channel is, or was, told of."""
        table = schema.notices
        query = select(table.c.key).where(table.c.channel == channel, table.c.key.in_(keys))
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def waiting(self, channel: str) -> tuple[Notice, ...]:
        """What has yet to be sent, the oldest first."""
        table = schema.notices
        query = (
            select(table)
            .where(table.c.channel == channel, table.c.sent_at.is_(None), table.c.failures < MOST_FAILURES)
            .order_by(table.c.noticed_at, table.c.key)
        )
        with self._database.reading() as connection:
            return tuple(Notice(**row) for row in connection.execute(query).mappings())

    def latest(self, limit: int = 100) -> tuple[Notice, ...]:
        """What was noted last, of all channels."""
        query = select(schema.notices).order_by(schema.notices.c.noticed_at.desc()).limit(limit)
        with self._database.reading() as connection:
            return tuple(Notice(**row) for row in connection.execute(query).mappings())

    def messages_since(self, channel: str, moment: datetime) -> int:
        """How many messages the channel was sent since; what was gathered into one counts once."""
        table = schema.notices
        query = select(func.count(distinct(table.c.sent_at))).where(
            table.c.channel == channel, table.c.sent_at > moment
        )
        with self._database.reading() as connection:
            count: int = connection.execute(query).scalar_one()
        return count

    def sent(self, notices: Sequence[Notice], at: datetime) -> None:
        """They were sent, in one message."""
        self._write(notices, {"sent_at": at, "tried_at": at})

    def failed(self, notices: Sequence[Notice], why: str) -> None:
        """They could not be sent; they are tried again later."""
        table = schema.notices
        self._write(notices, {"tried_at": datetime.now(UTC), "failures": table.c.failures + 1, "last_failure": why})

    def _write(self, notices: Sequence[Notice], values: dict[str, object]) -> None:
        table = schema.notices
        keys = [(notice.channel, notice.key) for notice in notices]
        with self._database.writing() as connection:
            connection.execute(table.update().where(tuple_(table.c.channel, table.c.key).in_(keys)).values(values))
