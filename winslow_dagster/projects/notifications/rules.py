"""Decides which messages each channel gets, and sends them within its rate limit.

Delivery is at least once: a message is marked as sent after it was sent, so a crash in between sends it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.domain.views import ProjectState, ProjectSummary
from winslow_dagster.projects.notifications.config import Channel, Channels, Event
from winslow_dagster.projects.notifications.outbox import Message, Outbox

LOOK_BACK = timedelta(days=1)
"""Earlier events get no message: a channel added today gets nothing about last year."""
MAX_TITLES = 20
Send = Callable[[str, str, str], None]
"""Sends a message: address, title, body. Raises ServiceUnavailable."""

_EVENTS: dict[ProjectState, Event] = {"succeeded": "finished", "failed": "failed", "awaiting_input": "action_required"}
_WAITING: dict[ProjectState, str] = {"queued": "queued", "awaiting_input": "waiting for input"}


def new_messages(
    channel: Channel, projects: Iterable[ProjectSummary], base_url: str, now: datetime
) -> Iterator[Message]:
    """Yield the messages that the channel should have about these projects."""
    for project in projects:
        if project.run_id is None or not channel.wants(project.project, project.tags):
            continue
        event = _EVENTS.get(project.state)
        waited = now - project.changed_at
        if event in channel.events and waited < LOOK_BACK:
            yield _message(channel, event, project, base_url, now)
        if (
            "waiting_too_long" in channel.events
            and project.state in _WAITING
            and waited >= timedelta(seconds=channel.waiting_too_long_s)
        ):
            yield _message(channel, "waiting_too_long", project, base_url, now)


def _message(channel: Channel, event: Event, project: ProjectSummary, base_url: str, now: datetime) -> Message:
    return Message(
        channel=channel.name,
        key=f"{event}:{project.run_id}",
        project=project.project,
        event=event,
        text=message_text(event, project, base_url, now),
        created_at=now,
    )


def message_text(event: Event, project: ProjectSummary, base_url: str, now: datetime) -> str:
    """Write the title, the link, the reason, and commands for what to do next."""
    name = project.project
    titles = {
        "finished": f"{name} finished",
        "failed": f"{name} failed",
        "action_required": f"{name} needs your input",
        "waiting_too_long": f"{name} has been {_WAITING.get(project.state, 'waiting')} for "
        f"{_hours(now - project.changed_at)}",
    }
    commands = {
        "finished": (f"List its files: winslow files {name}",),
        "failed": (f"Resume it: winslow resume {name}", "Run a stage again with other parameters: winslow redo --help"),
        "action_required": (f"Answer: winslow answer {name}",),
        "waiting_too_long": (f"Show its status: winslow status {name}",),
    }
    lines = (titles[event], f"{base_url}/projects/{name}", project.reason, *commands[event])
    return "\n".join(line for line in lines if line)


def _hours(waited: timedelta) -> str:
    minutes = round(waited / timedelta(minutes=1))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004  # two hours


def batches(waiting: Sequence[Message], allowed: int) -> list[Sequence[Message]]:
    """Group messages for at most `allowed` sends: each alone, and all beyond the limit in the last one."""
    if allowed <= 0:
        return []
    if len(waiting) <= allowed:
        return [(message,) for message in waiting]
    return [*((message,) for message in waiting[: allowed - 1]), waiting[allowed - 1 :]]


def combined(messages: Sequence[Message]) -> tuple[str, str]:
    """Return the title and body to send for one batch."""
    if len(messages) == 1:
        title, _, body = messages[0].text.partition("\n")
        return title, body or title
    lines = [message.title for message in messages[:MAX_TITLES]]
    more = len(messages) - len(lines)
    return f"{len(messages)} more projects", "\n".join([*lines, *([f"and {more} more"] if more else [])])


def send_waiting(outbox: Outbox, channel: Channel, send: Send, now: Callable[[], datetime]) -> Mapping[str, int]:
    """Send what is due within the channel's rate limit. Returns how many sends `sent` and `failed`."""
    began, limit = now(), channel.rate_limit
    waiting = [message for message in outbox.waiting(channel.name) if message.due(began)]
    allowed = limit.max - outbox.count_sent_since(channel.name, began - timedelta(seconds=limit.per_s))
    counts = {"sent": 0, "failed": 0}
    for batch in batches(waiting, allowed):
        title, body = combined(batch)
        try:
            send(channel.address(), title, body)
        except WinslowError as error:
            outbox.mark_failed(batch, str(error))
            counts["failed"] += 1
        else:
            outbox.mark_sent(batch, now())
            counts["sent"] += 1
    return counts


def add_new_messages(
    outbox: Outbox, channels: Channels, projects: Sequence[ProjectSummary], base_url: str, now: datetime
) -> int:
    """Add each channel's new messages to the outbox, and return how many there are."""
    new = 0
    for channel in channels.channels:
        found = {
            message.key: message for message in new_messages(channel, projects, channels.base_url or base_url, now)
        }
        known = outbox.known(channel.name, list(found))
        new += outbox.add(message for key, message in found.items() if key not in known)
    return new
