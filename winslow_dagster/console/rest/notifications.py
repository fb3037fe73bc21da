"""Notification channels, subscriptions, and the messages that were sent."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from winslow_dagster.console.caller import CallerOf, Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.domain.notifications import (
    ChannelList,
    ChannelTest,
    ChannelView,
    MessageList,
    Subscription,
    channel_id,
)

room = Room(tags=["notifications"])

Version = Annotated[int, Query(ge=1, le=2**31 - 1, description="The version that is removed.")]


class Body(BaseModel):
    """What a request brings; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class NewChannel(Body):
    """A channel to add. Its address is an Apprise URL, which no answer has."""

    name: str
    address: SecretStr
    subscriptions: tuple[Subscription, ...] = (Subscription(),)


class ChannelChange(Body):
    """What is to change of `version`; everything else stays."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    address: SecretStr | None = None
    subscriptions: tuple[Subscription, ...] | None = None


class MessageKey(Body):
    """Which message: that of a channel about something that happened."""

    channel: str
    key: str


def text_of(secret: SecretStr | None) -> str | None:
    """What is not to be shown."""
    return None if secret is None else secret.get_secret_value()


@room.route_for("/channels", role="viewer")
def channels(front: Front) -> ChannelList:
    """Everybody's channels, and one's own."""
    return front.notifications.channels()


@room.route_for("/channels", role="admin", method="POST", status_code=HTTPStatus.CREATED)
def add_channel(body: NewChannel, front: Front) -> ChannelView:
    """Add one of everybody's channels."""
    return front.notifications.add(body.name, body.address.get_secret_value(), body.subscriptions, own=False)


@room.route_for("/channels/{name}", role="admin", method="PATCH")
def change_channel(name: str, body: ChannelChange, front: Front) -> ChannelView:
    """Change one of everybody's channels."""
    return front.notifications.change(
        name, own=False, version=body.version, address=text_of(body.address), subscriptions=body.subscriptions
    )


@room.route_for("/channels/{name}", role="admin", method="DELETE")
def remove_channel(name: str, front: Front, version: Version) -> ChannelView:
    """Remove one of everybody's channels, and what waits to be sent to it."""
    return front.notifications.remove(name, own=False, version=version)


@room.route_for("/channels/{name}/test", role="admin", method="POST")
def test_channel(name: str, front: Front) -> ChannelTest:
    """Send a test message to one of everybody's channels, also to one of the notification file."""
    return front.notifications.test(name)


@room.route_for("/me/channels", role="viewer", method="POST", status_code=HTTPStatus.CREATED)
def add_own_channel(body: NewChannel, front: Front) -> ChannelView:
    """Add a channel of one's own."""
    return front.notifications.add(body.name, body.address.get_secret_value(), body.subscriptions)


@room.route_for("/me/channels/{name}", role="viewer", method="PATCH")
def change_own_channel(name: str, body: ChannelChange, front: Front) -> ChannelView:
    """Change a channel of one's own."""
    return front.notifications.change(
        name, version=body.version, address=text_of(body.address), subscriptions=body.subscriptions
    )


@room.route_for("/me/channels/{name}", role="viewer", method="DELETE")
def remove_own_channel(name: str, front: Front, version: Version) -> ChannelView:
    """Remove a channel of one's own, and what waits to be sent to it."""
    return front.notifications.remove(name, version=version)


@room.route_for("/me/channels/{name}/test", role="viewer", method="POST")
def test_own_channel(name: str, front: Front, caller: CallerOf) -> ChannelTest:
    """Send a test message to a channel of one's own."""
    return front.notifications.test(channel_id(caller.name, name))


@room.route_for("/messages", role="viewer")
def messages(front: Front, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> MessageList:
    """The newest messages to everybody's channels and one's own; for administrators, to all."""
    return front.notifications.messages(limit)


@room.route_for("/messages/retry", role="viewer", method="POST", status_code=HTTPStatus.NO_CONTENT)
def retry_message(body: MessageKey, front: Front) -> None:
    """Try to send a message again that was given up."""
    front.notifications.retry(body.channel, body.key)
