"""The channels that people add to the installation, beside those of the notification file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import RowMapping, func, select

from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database, insert
from winslow_dagster.projects.domain.notifications import MOST_CHANNELS, ChannelView, Subscription, channel_id
from winslow_dagster.projects.notifications.apprise import scheme
from winslow_dagster.projects.notifications.config import Channel

SUBSCRIPTIONS = TypeAdapter(tuple[Subscription, ...])


@dataclass(frozen=True, slots=True)
class StoredChannel:
    """One row. `url` may have secrets in it."""

    owner: str
    name: str
    url: str
    subscriptions: tuple[Subscription, ...]
    version: int
    changed_at: datetime
    changed_by: str

    @property
    def id(self) -> str:
        """What names it among those of all people."""
        return channel_id(self.owner, self.name)

    def view(self) -> ChannelView:
        """It without its secrets."""
        return ChannelView(
            id=self.id,
            name=self.name,
            owner=self.owner,
            service=scheme(self.url),
            subscriptions=self.subscriptions,
            version=self.version,
            changed_at=self.changed_at,
            changed_by=self.changed_by,
        )

    def channel(self, *, trusted: bool) -> Channel:
        """It as messages are sent to it."""
        return Channel(
            name=self.name,
            url=self.url,
            in_file=False,
            owner=self.owner,
            subscriptions=self.subscriptions,
            trusted=trusted,
        )


class StoredChannels:
    """Every method is one transaction. All raise ServiceUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[StoredChannel, ...]:
        """All channels, everybody's first, then by owner and name."""
        table = schema.channels
        with self._database.reading() as connection:
            rows = connection.execute(select(table).order_by(table.c.owner, table.c.name)).mappings().all()
        return tuple(_channel(row) for row in rows)

    def get(self, owner: str, name: str) -> StoredChannel:
        """One channel. Raises NotFound."""
        table = schema.channels
        query = select(table).where(table.c.owner == owner, table.c.name == name)
        row = None
        if name.isprintable():  # a database may refuse others
            with self._database.reading() as connection:
                row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound(f"there is no channel {channel_id(owner, name)[:130]!r}", where="notification channels")
        return _channel(row)

    def to_send(self) -> tuple[Channel, ...]:
        """The channels that get messages: everybody's, and those of people who may log in.

        The addresses of people who are no administrators are checked again before each message. Somebody who is not
        among the people has added the channel in a shell of the installation.
        """
        people = schema.people
        query = select(people.c.name, people.c.role, people.c.disabled_at)
        with self._database.reading() as connection:
            known = {name: (role, disabled_at) for name, role, disabled_at in connection.execute(query)}
        found = []
        for each in self.all():
            role, disabled_at = known.get(each.owner, ("admin", None))
            if disabled_at is None:
                found.append(each.channel(trusted=not each.owner or role == "admin"))
        return tuple(found)

    def add(self, channel: StoredChannel) -> None:
        """Add a channel. Raises ProjectConflict if there is one of its name, InputRejected if there are too many."""
        table = schema.channels
        with self._database.writing() as connection:
            count = connection.execute(
                select(func.count()).select_from(table).where(table.c.owner == channel.owner)
            ).scalar_one()
            added = connection.execute(insert(connection, table).values(_row(channel)).on_conflict_do_nothing())
            if channel.owner and count >= MOST_CHANNELS:
                raise InputRejected(f"{channel.owner} has {count} channels", expected=f"at most {MOST_CHANNELS}")
        if added.rowcount == 0:
            raise ProjectConflict(
                f"there is a channel {channel.id!r}", where="notification channels", expected="another name"
            )

    def replace(self, channel: StoredChannel) -> None:
        """Replace the version before this one. Raises ProjectConflict if it is not the latest, NotFound."""
        table = schema.channels
        condition = (table.c.owner == channel.owner, table.c.name == channel.name)
        with self._database.writing() as connection:
            done = connection.execute(
                table.update().where(*condition, table.c.version == channel.version - 1).values(_row(channel))
            )
        if done.rowcount == 0:
            raise changed_meanwhile(self.get(channel.owner, channel.name))

    def remove(self, owner: str, name: str, version: int) -> None:
        """Remove a channel and what still waits to be sent to it. Raises ProjectConflict, NotFound."""
        table, messages = schema.channels, schema.messages
        condition = (table.c.owner == owner, table.c.name == name, table.c.version == version)
        with self._database.writing() as connection:
            done = connection.execute(table.delete().where(*condition))
            if done.rowcount:
                connection.execute(
                    messages.delete().where(messages.c.channel == channel_id(owner, name), messages.c.sent_at.is_(None))
                )
        if done.rowcount == 0:
            raise changed_meanwhile(self.get(owner, name))


def changed_meanwhile(channel: StoredChannel) -> ProjectConflict:
    """The error for a change of a version that is not the latest."""
    return ProjectConflict(
        f"{channel.changed_by} has changed the channel {channel.id!r} meanwhile, and your change was not kept",
        where="notification channels",
        remedy="Load the page again to see the change, then make yours",
    )


def _channel(row: RowMapping) -> StoredChannel:
    return StoredChannel(**{**row, "subscriptions": SUBSCRIPTIONS.validate_python(row["subscriptions"])})


def _row(channel: StoredChannel) -> dict[str, object]:
    return {
        "owner": channel.owner,
        "name": channel.name,
        "url": channel.url,
        "subscriptions": SUBSCRIPTIONS.dump_python(channel.subscriptions, mode="json"),
        "version": channel.version,
        "changed_at": channel.changed_at,
        "changed_by": channel.changed_by,
    }
