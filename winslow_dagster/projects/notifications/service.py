"""What a person can do with notifications: test a channel, and list messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.notifications.apprise import send
from winslow_dagster.projects.notifications.config import Channel, load_channels
from winslow_dagster.projects.notifications.outbox import MessageState, Outbox
from winslow_dagster.settings import Settings


class MessageView(Frozen):
    """One message to one channel. `sent_at` is None until it was sent; `last_failure` says why the last try failed."""

    model_config = ConfigDict(from_attributes=True)

    channel: str
    project: str | None
    event: str
    title: str
    state: MessageState
    created_at: datetime
    sent_at: datetime | None
    failures: int
    last_failure: str


class MessageList(Frozen):
    """Messages of all channels, the newest first."""

    messages: tuple[MessageView, ...]


class ChannelTest(Frozen):
    """A test message that was sent."""

    channel: str
    sent: Literal[True] = True


class NotificationService:
    """Channels are read from the notification file at each call. All methods raise NotifyFileInvalid.

    `database` is opened only to list messages: channels can be tested without it.
    """

    def __init__(self, database: Callable[[], Database], settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def channels(self) -> tuple[Channel, ...]:
        """List the channels."""
        return load_channels(self._settings.notify_file).channels

    def test(self, channel: str) -> ChannelTest:
        """Send a test message to a channel, by its name or as an Apprise URL.

        Raises NotFound, VariableMissing, InputRejected for an unsupported address, ServiceUnavailable.
        """
        send(self._address(channel), "Test message from Winslow", "Messages about projects are sent to this channel.")
        return ChannelTest(channel=channel)

    def messages(self, limit: int = 100) -> MessageList:
        """List the newest messages. Raises ServiceUnavailable."""
        return MessageList(messages=tuple(map(MessageView.model_validate, Outbox(self._database()).latest(limit))))

    def _address(self, channel: str) -> str:
        if "://" in channel:
            return channel
        channels = {each.name: each for each in self.channels()}
        if channel not in channels:
            raise NotFound(
                f"channel {channel!r} does not exist",
                where=str(self._settings.notify_file),
                expected=f"one of {', '.join(channels)}, or an Apprise URL" if channels else "an Apprise URL",
            )
        return channels[channel].address()
