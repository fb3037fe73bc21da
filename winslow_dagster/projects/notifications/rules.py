"""Decides which messages each channel gets, and sends them within its rate limit.

Delivery is at least once: a message is marked as sent after it was sent, so a crash in between sends it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from winslow_dagster.actions import Action, ActionName, command_text
from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.domain.notifications import Event, Occurrence, Subscription
from winslow_dagster.projects.domain.quotas import QuotaUse
from winslow_dagster.projects.domain.views import ProjectState
from winslow_dagster.projects.notifications.config import Channel
from winslow_dagster.projects.notifications.outbox import Message, Outbox

LOOK_BACK = timedelta(days=1)
"""Earlier events get no message: a channel added today gets nothing about last year."""
MAX_TITLES = 20
Send = Callable[[str, str, str], None]
"""Sends a message: address, title, body. Raises ServiceUnavailable."""
Select = Callable[[str, Collection[str]], frozenset[str]]
"""Which of these projects a filter line selects."""

_EVENTS: dict[ProjectState, Event] = {"succeeded": "finished", "failed": "failed", "awaiting_input": "action_required"}
_WAITING: dict[ProjectState, str] = {"queued": "queued", "awaiting_input": "waiting for input"}


def new_messages(
    channel: Channel, occurrences: Iterable[Occurrence], select: Select, base_url: str, now: datetime
) -> Iterator[Message]:
    """Yield the messages that the channel should have about these occurrences, also those that it has had before."""
    found = [
        (event, each) for each in occurrences for event in _events(channel, each, now) if channel.wants_event(event)
    ]
    for event, each in found if channel.in_file else _subscribed(channel, found, select):
        yield _message(channel, event, each, base_url, now)


def _events(channel: Channel, occurrence: Occurrence, now: datetime) -> Iterator[Event]:
    project = occurrence.project
    if channel.in_file and not channel.wants(project.project, project.tags):
        return
    event = _EVENTS.get(project.state)
    waited = now - project.changed_at
    if event is not None and waited < LOOK_BACK:
        yield event
    if project.state in _WAITING and waited >= timedelta(seconds=channel.waiting_too_long_s):
        yield "waiting_too_long"


def _subscribed(
    channel: Channel, found: Sequence[tuple[Event, Occurrence]], select: Select
) -> Iterator[tuple[Event, Occurrence]]:
    """Those that one of its subscriptions is about: each once, however many are."""
    wanted: set[int] = set()
    for subscription in channel.subscriptions:
        about = {
            number: each.project.project
            for number, (event, each) in enumerate(found)
            if number not in wanted and event in subscription.events and _is_new(subscription, event, each)
        }
        names = set(about.values())
        chosen = select(subscription.filter, names) if names and subscription.filter.strip() else names
        wanted.update(number for number, name in about.items() if name in chosen)
    return (each for number, each in enumerate(found) if number in wanted)


def _is_new(subscription: Subscription, event: Event, occurrence: Occurrence) -> bool:
    # A wait that began earlier may become too long later.
    return (
        event == "waiting_too_long" or subscription.since is None or occurrence.project.changed_at >= subscription.since
    )


def _message(channel: Channel, event: Event, occurrence: Occurrence, base_url: str, now: datetime) -> Message:
    project = occurrence.project
    # A run can ask several questions; everything else about it is said once.
    about = f":{occurrence.stage}" if event == "action_required" and occurrence.stage else ""
    return Message(
        channel=channel.id,
        key=f"{event}:{project.run_id}{about}",
        project=project.project,
        event=event,
        text=message_text(event, occurrence, base_url, now),
        created_at=now,
    )


NEXT: dict[Event, tuple[ActionName, ...]] = {
    "finished": ("list_files",),
    "failed": ("resume_project", "show_project"),
    "action_required": ("answer_question",),
    "waiting_too_long": ("show_project",),
}
"""What a person can do next."""


def message_text(event: Event, occurrence: Occurrence, base_url: str, now: datetime) -> str:
    """Write the title, the link, the reason, and commands for what to do next."""
    project = occurrence.project
    name = project.project
    titles = {
        "finished": f"{name} finished",
        "failed": f"{name} failed",
        "action_required": f"{name} needs your input",
        "waiting_too_long": f"{name} has been {_WAITING.get(project.state, 'waiting')} for "
        f"{_hours(now - project.changed_at)}",
    }
    actions = [Action(action, {"project": name}) for action in NEXT[event]]
    commands = [f"{action}: {command_text(action)}" for action in actions]
    lines = (titles[event], f"{base_url}{occurrence.path}", occurrence.reason, *commands)
    return "\n".join(line for line in lines if line)


def disk_messages(channel: Channel, low: Iterable[tuple[str, str]], base_url: str, now: datetime) -> Iterator[Message]:
    """Yield the messages about disks that are nearly full, one a day each. `low` are nodes, and what is wrong."""
    if not channel.wants_event("disk_low"):
        return
    for node, free in low:
        yield Message(
            channel=channel.id,
            key=f"disk_low:{node}:{now.date()}",
            project=None,
            event="disk_low",
            text=f"The disk of {node} is nearly full\n{base_url}/space\n{free}",
            created_at=now,
        )


def quota_messages(channel: Channel, uses: Iterable[QuotaUse], base_url: str, now: datetime) -> Iterator[Message]:
    """Yield the messages about quotas that are nearly used up or overrun, one a week each, and one for each change.

    A person's own channels get those about what belongs to that person.
    """
    if not channel.wants_event("quota_near"):
        return
    year, week, _ = now.isocalendar()
    for use in uses:
        if use.state == "ok" or channel.owner not in {"", use.owner}:
            continue
        whose = f"project {use.name}" if use.kind == "project" else use.name
        how = "used up" if use.state == "over" else "nearly used up"
        yield Message(
            channel=channel.id,
            key=f"quota_near:{use.kind}:{use.name}:{use.state}:{year}-W{week:02}",
            project=use.name if use.kind == "project" else None,
            event="quota_near",
            text=f"The quota of {whose} is {how}\n{base_url}/space\n{use.text}",
            created_at=now,
        )


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
    return f"{len(messages)} more messages", "\n".join([*lines, *([f"and {more} more"] if more else [])])


def send_waiting(outbox: Outbox, channel: Channel, send: Send, now: Callable[[], datetime]) -> Mapping[str, int]:
    """Send what is due within the channel's rate limit. Returns how many sends `sent` and `failed`."""
    began, limit = now(), channel.rate_limit
    waiting = [message for message in outbox.waiting(channel.id) if message.due(began)]
    allowed = limit.max - outbox.count_sent_since(channel.id, began - timedelta(seconds=limit.per_s))
    counts = {"sent": 0, "failed": 0}
    for batch in batches(waiting, allowed):
        title, body = combined(batch)
        try:
            send(channel.address(), title, body)
        except WinslowError as error:
            outbox.mark_failed(batch, str(error))
            counts["failed"] += 1
            # The next message would wait as long for the same answer, and other channels with it.
            break
        else:
            outbox.mark_sent(batch, now())
            counts["sent"] += 1
    return counts


def add_messages(outbox: Outbox, channel: Channel, messages: Iterable[Message]) -> int:
    """Add those of the channel's messages that it has not had to the outbox, and return how many these are."""
    found = {message.key: message for message in messages}
    known = outbox.known(channel.id, list(found))
    return outbox.add(message for key, message in found.items() if key not in known)
