"""Who is told what, when: what happened is noted for each channel, and sent within the channel's measure.

A message is sent before it is noted as sent: who is killed in between tells it twice, and never not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.domain.views import ProjectState, ProjectSummary
from winslow_dagster.projects.notifications.config import Channel, Channels, Event
from winslow_dagster.projects.notifications.outbox import Notice, Notices

LOOK_BACK = timedelta(days=1)
"""What ended earlier is no news: a channel that is added today is not told of last year."""
MOST_NAMED = 20
Send = Callable[[str, str, str], None]
"""Sends a message: address, title, body. Raises ServiceUnavailable where that fails."""

_EVENTS: dict[ProjectState, Event] = {"succeeded": "finished", "failed": "failed", "awaiting_input": "needs_you"}
_WAITING: dict[ProjectState, str] = {"queued": "is queued", "awaiting_input": "waits for a person"}


def news(channel: Channel, standings: Iterable[ProjectSummary], link: str, now: datetime) -> Iterator[Notice]:
    """What the channel is to be told of these projects."""
    for standing in standings:
        if standing.run_id is None or not channel.wants(standing.project, standing.tags):
            continue
        event = _EVENTS.get(standing.state)
        if event in channel.events and now - standing.changed_at < LOOK_BACK:
            yield _notice(channel, event, standing, link, now)
        waited = now - standing.changed_at
        if (
            "waits_longer" in channel.events
            and standing.state in _WAITING
            and waited >= timedelta(seconds=channel.waits_longer_s)
        ):
            yield _notice(channel, "waits_longer", standing, link, now)


def _notice(channel: Channel, event: Event, standing: ProjectSummary, link: str, now: datetime) -> Notice:
    return Notice(
        channel=channel.name,
        key=f"{event}:{standing.run_id}",
        project=standing.project,
        kind=event,
        text=message(event, standing, link, now),
        noticed_at=now,
    )


def message(event: Event, standing: ProjectSummary, link: str, now: datetime) -> str:
    """The title, the reason, what can be done, and where to look."""
    project = standing.project
    titles = {
        "finished": f"{project} has finished",
        "failed": f"{project} failed",
        "needs_you": f"{project} needs you",
        "waits_longer": f"{project} {_WAITING.get(standing.state, 'waits')} since {_hours(now - standing.changed_at)}",
    }
    advice = {
        "finished": f"winslow files {project}",
        "failed": f"winslow resume {project}, or winslow redo {project} STAGE",
        "needs_you": f"winslow answer {project}",
        "waits_longer": f"winslow status {project}",
    }
    lines = [titles[event], standing.reason, advice[event], f"{link}/runs/{standing.run_id}"]
    return "\n".join(line for line in lines if line)


def _hours(waited: timedelta) -> str:
    minutes = round(waited / timedelta(minutes=1))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004  # two hours


def gathered(waiting: Sequence[Notice], allowed: int) -> list[Sequence[Notice]]:
    """The messages that may be sent now: one a notice, and what is beyond the measure in one last message."""
    if allowed <= 0:
        return []
    if len(waiting) <= allowed:
        return [(notice,) for notice in waiting]
    return [*((notice,) for notice in waiting[: allowed - 1]), waiting[allowed - 1 :]]


def as_text(notices: Sequence[Notice]) -> tuple[str, str]:
    """The title and the body of one message."""
    if len(notices) == 1:
        title, _, body = notices[0].text.partition("\n")
        return title, body or title
    lines = [notice.title for notice in notices[:MOST_NAMED]]
    more = len(notices) - len(lines)
    return f"{len(notices)} more projects", "\n".join([*lines, *([f"and {more} more"] if more else [])])


def send_waiting(notices: Notices, channel: Channel, send: Send, now: Callable[[], datetime]) -> Mapping[str, int]:
    """Send what the channel may be sent now. Gives how many messages were `sent`, and how many `failed`."""
    began = now()
    waiting = [notice for notice in notices.waiting(channel.name) if notice.due(began)]
    allowed = channel.at_most - notices.messages_since(channel.name, began - timedelta(seconds=channel.per_s))
    counts = {"sent": 0, "failed": 0}
    for together in gathered(waiting, allowed):
        title, body = as_text(together)
        try:
            send(channel.address(), title, body)
        except WinslowError as error:
            notices.failed(together, str(error))
            counts["failed"] += 1
        else:
            notices.sent(together, now())
            counts["sent"] += 1
    return counts


def note_news(
    notices: Notices, channels: Channels, standings: Sequence[ProjectSummary], link: str, now: datetime
) -> int:
    """Note what is new for each channel; how much that was."""
    new = 0
    for channel in channels.channels:
        found = {notice.key: notice for notice in news(channel, standings, channels.link or link, now)}
        known = notices.known(channel.name, list(found))
        new += notices.note(notice for key, notice in found.items() if key not in known)
    return new
