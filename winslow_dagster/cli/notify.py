"""`winslow notify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table, say
from winslow_dagster.cli.streams import hidden_text

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.notifications import ChannelView, Event, Subscription

EVENTS = ("finished", "failed", "action_required", "waiting_too_long", "disk_low", "quota_near")

own_option = click.option("--own", is_flag=True, help="A channel of your own, and not one of everybody's.")
events_option = click.option(
    "--event", "events", multiple=True, type=click.Choice(EVENTS), help="What to send. By default the first three."
)
filter_option = click.option(
    "--filter", "line", default="", help="Only about projects that this line selects, such as 'owner:anna tag:ulm'."
)


@click.group("notify")
def command() -> None:
    """Add, test and remove notification channels, and list sent messages."""


@command.command("channels")
@json_option
def channels(*, as_json: bool) -> None:
    """List everybody's channels and your own, without the secrets of their addresses.

    With --json, {"channels": [{"id", "name", "owner", "service", "subscriptions": [{"events", "filter", "since"}, …],
    "in_file", "projects", "tags", "version", "changed_at", "changed_by"}, …], "file", "file_fault", "file_tracked",
    "link_base", "links_work_here_only"}.
    """
    with open_installation() as winslow:
        found = winslow.notifications.channels()
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if found.file_fault:
        say(found.file_fault)
    rows = [
        (each.id, each.service, str(number), ", ".join(subscription.events), _about(each, subscription))
        for each in found.channels
        for number, subscription in enumerate(each.subscriptions, 1)
    ]
    rows += [(each.id, each.service, "", "", "") for each in found.channels if not each.subscriptions]
    print_table(("channel", "service", "no.", "events", "projects"), sorted(rows))
    say(f"links in messages begin with {found.link_base}")


@command.command("add")
@click.argument("name")
@own_option
@events_option
@filter_option
@json_option
def add(name: str, *, own: bool, events: tuple[str, ...], line: str, as_json: bool) -> None:
    """Add the channel NAME. Its address, an Apprise URL, is read from stdin; on a terminal, it is asked for.

    With --json, the channel as in `winslow notify channels --json`.
    """
    address = hidden_text("address")
    with open_installation() as winslow:
        added = winslow.notifications.add(name, address, (_subscription(events, line),), own=own)
    _print(added, as_json=as_json, text=f"the channel {added.id} was added; try it: winslow notify test {added.id}")


@command.command("subscribe")
@click.argument("name")
@own_option
@events_option
@filter_option
@json_option
def subscribe(name: str, *, own: bool, events: tuple[str, ...], line: str, as_json: bool) -> None:
    """Have the channel NAME get further messages.

    With --json, the channel as in `winslow notify channels --json`.
    """
    with open_installation() as winslow:
        found = _channel(winslow.notifications.channels().channels, name, winslow.context.actor.who if own else "")
        changed = winslow.notifications.change(
            name,
            own=own,
            version=found.version,
            subscriptions=(*found.subscriptions, _subscription(events, line)),
        )
    _print(changed, as_json=as_json, text=f"the channel {changed.id} gets further messages")


@command.command("unsubscribe")
@click.argument("name")
@click.argument("number", type=click.IntRange(min=1))
@own_option
@json_option
def unsubscribe(name: str, number: int, *, own: bool, as_json: bool) -> None:
    """End a subscription of the channel NAME, by its number in `winslow notify channels`.

    With --json, the channel as in `winslow notify channels --json`.
    """
    with open_installation() as winslow:
        found = _channel(winslow.notifications.channels().channels, name, winslow.context.actor.who if own else "")
        if number > len(found.subscriptions):
            raise click.UsageError(f"{found.id} has {len(found.subscriptions)} subscriptions")
        left = tuple(each for count, each in enumerate(found.subscriptions, 1) if count != number)
        changed = winslow.notifications.change(name, own=own, version=found.version, subscriptions=left)
    _print(changed, as_json=as_json, text=f"subscription {number} of {changed.id} has ended")


@command.command("remove")
@click.argument("name")
@own_option
@json_option
def remove(name: str, *, own: bool, as_json: bool) -> None:
    """Remove the channel NAME, and what waits to be sent to it.

    With --json, the channel as in `winslow notify channels --json`.
    """
    with open_installation() as winslow:
        removed = winslow.notifications.remove(name, own=own)
    _print(removed, as_json=as_json, text=f"the channel {removed.id} is removed")


@command.command("test")
@click.argument("channel")
@json_option
def test(channel: str, *, as_json: bool) -> None:
    """Send a test message to CHANNEL: the id of a channel, or an Apprise URL.

    With --json, {"channel", "sent": true}.
    """
    with open_installation() as winslow:
        sent = winslow.notifications.test(channel)
    if as_json:
        print_json(sent.model_dump(mode="json"))
    else:
        say("sent")


@command.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """List the newest messages of all channels: sent, waiting, or given_up, and why.

    With --json, {"messages": [{"channel", "key", "project", "event", "title", "state", "created_at", "sent_at",
    "failures", "last_failure"}, …]}.
    """
    from winslow_dagster.formatting import format_time

    with open_installation() as winslow:
        listed = winslow.notifications.channels()
        found = winslow.notifications.messages()
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if listed.file_fault:
        say(listed.file_fault)
    elif not listed.channels:
        say(f"no notification channels configured; add some to {listed.file}, or with winslow notify add")
    print_table(
        ("channel", "title", "state", "created", "last failure"),
        [
            (each.channel, each.title, each.state, format_time(each.created_at), each.last_failure)
            for each in found.messages
        ],
    )


@command.command("retry")
@click.argument("channel")
@click.argument("key")
@json_option
def retry(channel: str, key: str, *, as_json: bool) -> None:
    """Try to send a message again that was given up. CHANNEL and KEY are as in `winslow notify status --json`.

    With --json, {"channel", "key"}.
    """
    with open_installation() as winslow:
        winslow.notifications.retry(channel, key)
    if as_json:
        print_json({"channel": channel, "key": key})
    else:
        say("it is tried again")


def _subscription(events: tuple[str, ...], line: str) -> Subscription:
    from winslow_dagster.projects.domain.notifications import USUAL, Subscription

    # Only what the option accepts gets here.
    return Subscription(events=cast("tuple[Event, ...]", events) or USUAL, filter=line)


def _channel(found: tuple[ChannelView, ...], name: str, owner: str) -> ChannelView:
    from winslow_dagster.errors import NotFound, ProjectConflict

    for each in found:
        if (each.name, each.owner) == (name, owner):
            if each.in_file:
                raise ProjectConflict(f"the channel {name!r} is changed in the notification file")
            return each
    raise NotFound(f"there is no channel {name!r}", where="notification channels")


def _about(channel: ChannelView, subscription: Subscription) -> str:
    if channel.in_file:
        tags = [f"tag:{tag}" for tag in channel.tags]
        return " ".join([*(each for each in channel.projects if each != "*"), *tags]) or "all"
    return subscription.filter or "all"


def _print(channel: ChannelView, *, as_json: bool, text: str) -> None:
    if as_json:
        print_json(channel.model_dump(mode="json"))
    else:
        say(text)
