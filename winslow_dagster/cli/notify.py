"""`winslow notify`."""

from __future__ import annotations

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table, say


@click.group("notify")
def command() -> None:
    """Test notification channels, and list sent messages."""


@command.command("test")
@click.argument("channel")
@json_option
def test(channel: str, *, as_json: bool) -> None:
    """Send a test message to CHANNEL: the name of a channel in the notification file, or an Apprise URL.

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

    With --json, {"messages": [{"channel", "project", "event", "title", "state", "created_at", "sent_at", "failures",
    "last_failure"}, …]}.
    """
    from winslow_dagster.formatting import format_time

    with open_installation() as winslow:
        channels = winslow.notifications.channels()
        found = winslow.notifications.messages()
        notify_file = winslow.settings.notify_file
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if not channels:
        say(f"no notification channels configured; add some to {notify_file}")
    print_table(
        ("channel", "title", "state", "created", "last failure"),
        [
            (each.channel, each.title, each.state, format_time(each.created_at), each.last_failure)
            for each in found.messages
        ],
    )
