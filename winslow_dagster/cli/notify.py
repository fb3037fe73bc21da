"""`winslow notify`: try a channel, and see what was sent."""

from __future__ import annotations

import click

from winslow_dagster.cli.output import json_option, print_json, print_table, say


@click.group("notify")
def command() -> None:
    """Tell people what happens to projects, by mail, chat or webhook: try a channel, see what was sent."""


@command.command("test")
@click.argument("channel")
@json_option
def test(channel: str, *, as_json: bool) -> None:
    """Send a message to CHANNEL: one of the file of channels, or an Apprise URL.

    With --json, {"channel", "sent": true}.
    """
    from winslow_dagster.errors import NotFound
    from winslow_dagster.projects.notifications.apprise import send
    from winslow_dagster.projects.notifications.config import load_channels
    from winslow_dagster.settings import Settings

    address = channel
    if "://" not in channel:
        settings = Settings.read()
        channels = {each.name: each for each in load_channels(settings.notify_file).channels}
        if channel not in channels:
            raise NotFound(
                f"there is no channel {channel!r}",
                where=str(settings.notify_file),
                expected=f"one of {', '.join(channels)}, or an Apprise URL" if channels else "an Apprise URL",
            )
        address = channels[channel].address()
    send(address, "Winslow can reach you", "This is a test. Messages about projects come this way.")
    if as_json:
        print_json({"channel": channel, "sent": True})
    else:
        say("sent")


@command.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """What was noted last for all channels: sent, waiting, or given up, and why.

    With --json, {"notices": [{channel, project, kind, title, state, noticed_at, sent_at, failures, last_failure}, …]}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.notifications.config import load_channels
    from winslow_dagster.projects.notifications.outbox import Notice, Notices

    def state(notice: Notice) -> str:
        if notice.sent_at is not None:
            return "sent"
        return "given up" if notice.given_up else "waiting"

    with Winslow() as winslow:
        channels = load_channels(winslow.settings.notify_file)
        notices = Notices(winslow.records.database).latest()
    if as_json:
        print_json(
            {
                "notices": [
                    {
                        "channel": each.channel,
                        "project": each.project,
                        "kind": each.kind,
                        "title": each.title,
                        "state": state(each),
                        "noticed_at": each.noticed_at.isoformat(),
                        "sent_at": each.sent_at.isoformat() if each.sent_at else None,
                        "failures": each.failures,
                        "last_failure": each.last_failure,
                    }
                    for each in notices
                ]
            }
        )
        return
    if not channels.channels:
        say(f"nobody is told anything: say who in {winslow.settings.notify_file}")
    print_table(
        ("channel", "what", "state", "when (UTC)", "why not"),
        [
            (each.channel, each.title, state(each), f"{each.noticed_at:%Y-%m-%d %H:%M}", each.last_failure)
            for each in notices
        ],
    )
