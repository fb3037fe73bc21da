"""Who is told what, and where: channels, subscriptions and messages as values. None has an address with its secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import ConfigDict, Field

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.projects.domain.views import ProjectSummary

Event = Literal["finished", "failed", "action_required", "waiting_too_long", "disk_low", "quota_near"]
EVENTS: tuple[Event, ...] = get_args(Event)
USUAL: tuple[Event, ...] = ("finished", "failed", "action_required")
LONGEST_FILTER = 2000
MOST_SUBSCRIPTIONS = 20
MOST_CHANNELS = 20
"""Of one person."""
MessageState = Literal["sent", "waiting", "given_up"]


class Subscription(Frozen):
    """Which messages a channel gets: those about any of `events` of the projects that the line `filter` selects.

    An empty filter selects all projects. It has the words of the list of projects, such as `owner:anna tag:ulm`.
    A disk and a quota belong to no project: `disk_low` and `quota_near` ignore the filter. What happened before `since`
    leads to no message.
    """

    events: Annotated[tuple[Event, ...], Field(min_length=1)] = USUAL
    filter: Annotated[str, Field(max_length=LONGEST_FILTER)] = ""
    since: datetime | None = None


class ChannelView(Frozen):
    """A channel without the secrets of its address.

    `owner` is the person to whom it belongs; empty: it is everybody's, and administrators change it. `in_file`: it is
    written in the notification file, and only changed there; its subscription then has no filter, but `projects` (name
    patterns) and `tags` (any of them). `version` counts the changes.
    """

    id: str
    name: str
    owner: str
    service: str
    subscriptions: tuple[Subscription, ...]
    in_file: bool = False
    projects: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    version: int = 0
    changed_at: datetime | None = None
    changed_by: str = ""


class ChannelList(Frozen):
    """The channels that a person may see: everybody's, and the person's own.

    `file_fault` says why the notification file cannot be used. `file_tracked`: it is under version control, so that
    everybody's channels change in it only. Links in messages begin with `link_base`; `links_work_here_only` if other
    machines cannot follow them.
    """

    channels: tuple[ChannelView, ...]
    file: str
    file_fault: str = ""
    file_tracked: bool = False
    link_base: str
    links_work_here_only: bool


class MessageView(Frozen):
    """One message to one channel, which `key` tells from others.

    `sent_at` is None until it was sent; `last_failure` says why the last try failed.
    """

    model_config = ConfigDict(from_attributes=True)

    channel: str
    key: str
    project: str | None
    event: str
    title: str
    state: MessageState
    created_at: datetime
    sent_at: datetime | None
    failures: int
    last_failure: str


class MessageList(Frozen):
    """Messages that a person may see, the newest first."""

    messages: tuple[MessageView, ...]


class ChannelTest(Frozen):
    """A test message that was sent."""

    channel: str
    sent: Literal[True] = True


class Occurrence(NamedTuple):
    """Something about a project: the path of the page where a person goes on, the reason, and the stage it is about."""

    project: ProjectSummary
    path: str
    reason: str
    stage: str = ""


def channel_id(owner: str, name: str) -> str:
    """What names a channel among those of all people: `anna/phone`, or only `team` for one of everybody's."""
    return f"{owner}/{name}" if owner else name
