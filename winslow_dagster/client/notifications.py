"""Notification channels over HTTP."""

from __future__ import annotations

from collections.abc import Iterable

from winslow_dagster.client.http import Http, part
from winslow_dagster.projects.domain.notifications import (
    ChannelList,
    ChannelTest,
    ChannelView,
    MessageList,
    Subscription,
)


class NotificationClient:
    """Like `Winslow.notifications`. `own`: a channel of the person of the token, and not one of everybody's."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def channels(self) -> ChannelList:
        """Everybody's channels, and one's own."""
        return self._http.get(ChannelList, "/channels")

    def add(
        self, name: str, address: str, subscriptions: Iterable[Subscription] = (Subscription(),), *, own: bool = True
    ) -> ChannelView:
        """Add a channel. Only administrators may add one of everybody's."""
        body = {"name": name, "address": address, "subscriptions": _plain(subscriptions)}
        return self._http.post(ChannelView, _path(own=own), body)

    def change(
        self,
        name: str,
        *,
        own: bool = True,
        version: int,
        address: str | None = None,
        subscriptions: Iterable[Subscription] | None = None,
    ) -> ChannelView:
        """Change a channel, whose `version` one has seen. Without an address, it stays. Raises ProjectConflict."""
        body: dict[str, object] = {"version": version}
        if address is not None:
            body["address"] = address
        if subscriptions is not None:
            body["subscriptions"] = _plain(subscriptions)
        return self._http.patch(ChannelView, f"{_path(own=own)}/{part(name)}", body)

    def remove(self, name: str, *, own: bool = True, version: int) -> ChannelView:
        """Remove a channel, and what waits to be sent to it. Raises ProjectConflict if it has another version."""
        return self._http.delete(ChannelView, f"{_path(own=own)}/{part(name)}", version=version)

    def test(self, channel: str) -> ChannelTest:
        """Send a test message to a channel, by its id: `anna/phone` for anna's own one, or `team` for everybody's."""
        _, slash, name = channel.rpartition("/")
        return self._http.post(ChannelTest, f"{_path(own=bool(slash))}/{part(name)}/test", {})

    def messages(self, limit: int = 100) -> MessageList:
        """The newest messages to everybody's channels and one's own; for administrators, to all."""
        return self._http.get(MessageList, "/messages", limit=limit)

    def retry(self, channel: str, key: str) -> None:
        """Try to send a message again that was given up. Raises NotFound."""
        self._http.send("POST", "/messages/retry", body={"channel": channel, "key": key})


def _path(*, own: bool) -> str:
    return "/me/channels" if own else "/channels"


def _plain(subscriptions: Iterable[Subscription]) -> list[dict[str, object]]:
    return [each.model_dump(mode="json") for each in subscriptions]
