"""Settings: where messages about projects are sent, what they are about, and what came of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import SentForm, changed, done
from winslow_dagster.console.caller import CallerOf, Front
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.projects.domain.notifications import (
    EVENTS,
    USUAL,
    ChannelView,
    Event,
    Subscription,
)

room = Room("/settings/notifications")
Text = Annotated[str, Form()]
Number = Annotated[int, Form(ge=0, le=2**31 - 1)]
SHOWN = 50
EVENT_WORDS: dict[Event, str] = {
    "action_required": "questions",
    "failed": "failures",
    "finished": "finished projects",
    "waiting_too_long": "waits of more than an hour",
    "disk_low": "a disk that is nearly full",
    "quota_near": "a quota that is nearly used up",
}


@room.route_for("", role="viewer")
def notifications(request: Request, front: Front, caller: CallerOf) -> HTMLResponse:
    """Channels of the reader and of everybody, and the messages to them."""
    listed = front.notifications.channels()
    return page(
        request,
        "settings/notifications.html",
        tab="notifications",
        listed=listed,
        own=[each for each in listed.channels if each.owner],
        shared=[each for each in listed.channels if not each.owner],
        messages=front.notifications.messages(SHOWN).messages,
        events=EVENT_WORDS,
        usual=USUAL,
        may_change_shared=caller.may("admin") and not listed.file_tracked,
    )


@room.route_for("/add", role="viewer", method="POST")
def add(form: SentForm, front: Front) -> Response:
    """Add a channel: the reader's own, or everybody's."""
    added = front.notifications.add(
        str(form.get("name", "")).strip(),
        str(form.get("address", "")),
        (_subscription(form, front),),
        own=_own(form),
    )
    return changed(f"The channel {added.name} was added. Send a test message to see whether it arrives.")


@room.route_for("/address", role="viewer", method="POST")
def set_address(front: Front, name: Text, version: Number, address: Text = "", whose: Text = "own") -> Response:
    """Give a channel another address."""
    front.notifications.change(name, own=whose != "all", version=version, address=address)
    return changed(f"The channel {name} has another address. Send a test message to see whether it arrives.")


@room.route_for("/subscribe", role="viewer", method="POST")
def subscribe(form: SentForm, front: Front) -> Response:
    """Have a channel get further messages."""
    channel = _channel(form, front)
    front.notifications.change(
        channel.name,
        own=_own(form),
        version=_version(form),
        subscriptions=(*channel.subscriptions, _subscription(form, front)),
    )
    return changed(f"The channel {channel.name} gets further messages from now on.")


@room.route_for("/unsubscribe", role="viewer", method="POST")
def unsubscribe(form: SentForm, front: Front) -> Response:
    """End one subscription of a channel."""
    channel = _channel(form, front)
    left = tuple(each for number, each in enumerate(channel.subscriptions) if str(number) != form.get("number"))
    front.notifications.change(channel.name, own=_own(form), version=_version(form), subscriptions=left)
    return changed(f"The channel {channel.name} gets these messages no more.")


@room.route_for("/remove", role="viewer", method="POST")
def remove(front: Front, name: Text, version: Number, whose: Text = "own") -> Response:
    """Remove a channel."""
    removed = front.notifications.remove(name, own=whose != "all", version=version)
    return changed(f"The channel {removed.name} is removed.")


@room.route_for("/test", role="viewer", method="POST")
def test(front: Front, channel: Text) -> Response:
    """Send a test message to a channel, by its id."""
    if "://" in channel:
        raise NotFound("there is no such channel", where="notification channels")
    sent = front.notifications.test(channel)
    return done(f"The test message was handed over to {sent.channel}. Look whether it has arrived.")


@room.route_for("/retry", role="viewer", method="POST")
def retry(front: Front, channel: Text, key: Text) -> Response:
    """Try to send a message again that was given up."""
    front.notifications.retry(channel, key)
    return changed("The message is tried again within a few seconds.")


def _own(form: SentForm) -> bool:
    return form.get("whose") != "all"


def _version(form: SentForm) -> int:
    text = str(form.get("version", ""))
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004  # what a column can hold
        raise InputRejected(f"{text[:20]!r} is not a version", where="the form", expected="a number")
    return int(text)


def _subscription(form: SentForm, front: Front) -> Subscription:
    """What the form says: events, whether only the reader's projects, and a filter."""
    sent = form.getlist("event")
    events: tuple[Event, ...] = tuple(event for event in EVENTS if event in sent)
    if not events:
        raise InputRejected("no event is chosen", where="the form", expected="at least one")
    words = [f"owner:{front.context.actor.who}"] if form.get("mine") else []
    line = str(form.get("filter", "")).strip()
    return Subscription(events=events, filter=" ".join([*words, *([line] if line else [])]))


def _channel(form: SentForm, front: Front) -> ChannelView:
    name, owner = str(form.get("name", "")), front.context.actor.who if _own(form) else ""
    for each in front.notifications.channels().channels:
        if (each.name, each.owner) == (name, owner) and not each.in_file:
            return each
    raise NotFound(f"there is no channel {name[:80]!r}", where="notification channels")
