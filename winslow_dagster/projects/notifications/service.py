"""What a person can do with notifications: channels and subscriptions, tests, and the messages that were sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from winslow_dagster.errors import Forbidden, InputRejected, NotFound, NotifyFileInvalid, ProjectConflict
from winslow_dagster.hosts import is_loopback, split_authority
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.notifications import (
    MOST_SUBSCRIPTIONS,
    ChannelList,
    ChannelTest,
    ChannelView,
    MessageList,
    MessageView,
    Subscription,
)
from winslow_dagster.projects.domain.project_filter import parse_filter
from winslow_dagster.projects.notifications.addresses import check_address
from winslow_dagster.projects.notifications.apprise import scheme, send
from winslow_dagster.projects.notifications.config import Channel, Channels, load_channels
from winslow_dagster.projects.notifications.outbox import Outbox
from winslow_dagster.projects.notifications.stored_channels import StoredChannel, StoredChannels, changed_meanwhile
from winslow_dagster.projects.notifications.version_control import is_tracked
from winslow_dagster.settings import Settings

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
WHERE = "notification channels"
LONGEST_OWNER = 63


def _now() -> datetime:
    return datetime.now(UTC)


class NotificationService:
    """Channels, and the messages to them, for an actor.

    Everybody has channels of one's own. Everybody's channels are in the notification file, which is read at each call,
    or were added by an administrator. `database` is opened only where it is needed: channels of the file can be tested
    without it.
    """

    def __init__(
        self,
        database: Callable[[], Database],
        settings: Settings,
        actor: Actor | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._settings = settings
        self._actor = actor or Actor()
        self._clock = clock

    def channels(self) -> ChannelList:
        """The channels that the actor may see: everybody's, and the own ones."""
        fault = ""
        try:
            in_file = self._in_file()
        except NotifyFileInvalid as error:
            in_file, fault = Channels(), str(error)
        mine = [each.view() for each in self._stored.all() if each.owner in {"", self._actor.who}]
        names = {each.name for each in in_file.channels}
        base = in_file.base_url or self._settings.link_base
        return ChannelList(
            channels=(*map(_view, in_file.channels), *(each for each in mine if each.owner or each.name not in names)),
            file=str(self._settings.notify_file),
            file_fault=fault,
            file_tracked=is_tracked(self._settings.notify_file),
            link_base=base,
            links_work_here_only=_is_here(base),
        )

    def add(
        self, name: str, address: str, subscriptions: Iterable[Subscription] = (Subscription(),), *, own: bool = True
    ) -> ChannelView:
        """Add a channel: one of the actor's own, or everybody's, which only administrators may.

        Raises Forbidden, InputRejected, FilterInvalid, ProjectConflict if there is one of the name, or if everybody's
        channels are under version control.
        """
        owner = self._owner(own=own)
        if not NAME.fullmatch(name):
            raise InputRejected(
                f"{name!r:.80} is not a name of a channel",
                where=WHERE,
                expected="a lower-case letter, then letters, digits, - and _, at most 63",
            )
        check_address(address.strip(), trusted=self._trusted)
        if not own and name in {each.name for each in self._in_file().channels}:
            raise ProjectConflict(
                f"there is a channel {name!r}", where=str(self._settings.notify_file), expected="another name"
            )
        added = StoredChannel(
            owner, name, address.strip(), self._checked(subscriptions), 1, self._clock(), self._actor.who
        )
        self._stored.add(added)
        self._note("channel_add", added.id, after=added)
        return added.view()

    def change(
        self,
        name: str,
        *,
        own: bool = True,
        version: int,
        address: str | None = None,
        subscriptions: Iterable[Subscription] | None = None,
    ) -> ChannelView:
        """Change a channel, whose `version` the actor has seen. Without an address, it stays.

        Raises as `add` does, NotFound, and ProjectConflict if somebody has changed it since.
        """
        before = self._stored.get(self._owner(own=own), name)
        if before.version != version:
            raise changed_meanwhile(before)
        if address is not None:
            check_address(address.strip(), trusted=self._trusted)
        after = replace(
            before,
            url=before.url if address is None else address.strip(),
            subscriptions=(
                before.subscriptions if subscriptions is None else self._checked(subscriptions, before.subscriptions)
            ),
            version=version + 1,
            changed_at=self._clock(),
            changed_by=self._actor.who,
        )
        self._stored.replace(after)
        self._note("channel_change", after.id, before, after)
        return after.view()

    def remove(self, name: str, *, own: bool = True, version: int | None = None) -> ChannelView:
        """Remove a channel, and what waits to be sent to it. With `version`, only if it is still that one.

        Raises NotFound, ProjectConflict.
        """
        before = self._stored.get(self._owner(own=own), name)
        self._stored.remove(before.owner, name, before.version if version is None else version)
        self._note("channel_remove", before.id, before)
        return before.view()

    def test(self, channel: str) -> ChannelTest:
        """Send a test message to a channel, by its id or as an Apprise URL.

        Everybody may test the own channels, administrators all. Raises Forbidden, NotFound, VariableMissing,
        InputRejected for an unsupported address, ServiceUnavailable.
        """
        send(
            self._address(channel),
            "Test message from Winslow",
            "Messages about projects are sent to this channel. Their links look like this one:\n"
            f"{self._settings.link_base}/settings/notifications",
        )
        return ChannelTest(channel=channel)

    def messages(self, limit: int = 100) -> MessageList:
        """List the newest messages that the actor may see. Raises ServiceUnavailable."""
        person = None if self._actor.unlimited else self._actor.who
        return MessageList(
            messages=tuple(map(MessageView.model_validate, Outbox(self._database()).latest(limit, person)))
        )

    def retry(self, channel: str, key: str) -> None:
        """Try to send a message again that was given up. Raises Forbidden, and NotFound if there is no such one."""
        self._require_own(channel)
        if not (channel + key).isprintable() or not Outbox(self._database()).retry(channel, key):
            raise NotFound(f"no message {key!r:.220} to {channel!r:.130} was given up", where="messages")
        Audit(self._database()).note(self._actor, "message_retry", channel=channel, key=key)

    @property
    def _stored(self) -> StoredChannels:
        return StoredChannels(self._database())

    @property
    def _trusted(self) -> bool:
        return self._actor.unlimited

    def _in_file(self) -> Channels:
        return load_channels(self._settings.notify_file)

    def _owner(self, *, own: bool) -> str:
        """Whose channel it is that the actor changes. Raises Forbidden, ProjectConflict."""
        if own:
            if len(self._actor.who) > LONGEST_OWNER:
                raise InputRejected("the name of the owner is too long", expected=f"at most {LONGEST_OWNER} characters")
            return self._actor.who
        self._actor.require("admin", WHERE)
        if is_tracked(self._settings.notify_file):
            raise ProjectConflict(
                "everybody's channels are under version control",
                where=str(self._settings.notify_file),
                remedy="Change the file there",
            )
        return ""

    def _checked(
        self, subscriptions: Iterable[Subscription], before: tuple[Subscription, ...] = ()
    ) -> tuple[Subscription, ...]:
        """The subscriptions, new ones beginning now. Raises InputRejected, FilterInvalid."""
        since = {(each.events, each.filter): each.since for each in before}
        found: dict[tuple[object, str], Subscription] = {}
        for each in subscriptions:
            line = each.filter.strip()
            wanted = parse_filter(line)
            if wanted.states or wanted.not_states:
                raise InputRejected(
                    "a subscription says what happens, and not in which state a project is",
                    where=line,
                    expected="a filter without state:",
                )
            key = (each.events, line)
            found[key] = Subscription(events=each.events, filter=line, since=since.get(key, self._clock()))
        if len(found) > MOST_SUBSCRIPTIONS:
            raise InputRejected(f"there are {len(found)} subscriptions", expected=f"at most {MOST_SUBSCRIPTIONS}")
        return tuple(found.values())

    def _require_own(self, channel: str) -> None:
        if not self._actor.unlimited and not channel.startswith(f"{self._actor.who}/"):
            raise Forbidden(
                f"the channel {channel[:130]!r} is not one of {self._actor.who}",
                where=WHERE,
                remedy="Ask an administrator",
            )

    def _address(self, channel: str) -> str:
        self._require_own(channel)
        if "://" in channel:
            return channel
        owner, slash, name = channel.rpartition("/")
        if slash:
            return self._stored.get(owner, name).channel(trusted=self._trusted).address()
        channels = {each.name: each for each in self._in_file().channels}
        if channel not in channels:
            others = [each for each in self._stored.all() if not each.owner]
            for each in others:
                if each.name == channel:
                    return each.channel(trusted=True).address()
            known = [*channels, *(each.name for each in others)]
            raise NotFound(
                f"channel {channel!r} does not exist",
                where=str(self._settings.notify_file),
                expected=f"one of {', '.join(known)}, or an Apprise URL" if known else "an Apprise URL",
            )
        return channels[channel].address()

    def _note(
        self, action: str, channel: str, before: StoredChannel | None = None, after: StoredChannel | None = None
    ) -> None:
        changed = before is not None and after is not None and before.url != after.url
        Audit(self._database()).note(
            self._actor,
            action,
            channel=channel,
            before=_shown(before),
            after=_shown(after),
            address="changed" if changed else "",
        )


def _shown(channel: StoredChannel | None) -> dict[str, object]:
    """What the audit trail has of it: never its address."""
    if channel is None:
        return {}
    subscriptions = [each.model_dump(mode="json", exclude={"since"}) for each in channel.subscriptions]
    return {"service": scheme(channel.url), "subscriptions": subscriptions}


def _view(channel: Channel) -> ChannelView:
    """A channel of the file."""
    return ChannelView(
        id=channel.id,
        name=channel.name,
        owner="",
        service=scheme(channel.url),
        subscriptions=(Subscription(events=channel.events),),
        in_file=True,
        projects=channel.projects,
        tags=channel.tags,
    )


def _is_here(address: str) -> bool:
    found = split_authority(address.partition("://")[2].partition("/")[0])
    return found is not None and is_loopback(found[0])
