"""The notification file: which channels get which messages (WINSLOW_NOTIFY_FILE)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from winslow_dagster.errors import NotifyFileInvalid
from winslow_dagster.globs import matches
from winslow_dagster.pipelines import substitute
from winslow_dagster.pipelines.config_file import load_config
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.problems import shown
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import Glob, Name, Timeout, Written
from winslow_dagster.pipelines.schema.value_parsers import one_or_list, read_template, refusal, text_of
from winslow_dagster.pipelines.yaml.reader import Tree
from winslow_dagster.projects.domain.notifications import USUAL, Event, Subscription, channel_id
from winslow_dagster.projects.notifications.addresses import require_harmless

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


class RateLimit(Frozen):
    """At most `max` messages in any `per_s` seconds."""

    max: int = 20
    per_s: float = 3600.0


class Channel(Frozen):
    """Where to send messages, and which.

    One of the notification file has `events`, `projects` and `tags`, and variables of the services' environment in its
    `url`. One that was added to the installation (not `in_file`) has `subscriptions` instead, and is somebody's own if
    it has an `owner`. `trusted`: its address may be any.
    """

    name: str
    url: str
    events: tuple[Event, ...] = USUAL
    projects: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ()
    waiting_too_long_s: float = 3600.0
    rate_limit: RateLimit = RateLimit()
    in_file: bool = True
    owner: str = ""
    subscriptions: tuple[Subscription, ...] = ()
    trusted: bool = True

    @property
    def id(self) -> str:
        """What names it among those of all people."""
        return channel_id(self.owner, self.name)

    def wants_event(self, event: Event) -> bool:
        """Whether it gets messages about such an event, of some project at least."""
        return event in self.events if self.in_file else any(event in each.events for each in self.subscriptions)

    def wants(self, project: str, tags: tuple[str, ...]) -> bool:
        """Whether the notification file has it get messages about this project."""
        named = any(matches(project, pattern) for pattern in self.projects)
        return named and (not self.tags or bool(set(self.tags) & set(tags)))

    def address(self) -> str:
        """Return the URL with its variables filled in. Raises VariableMissing, and Forbidden if it may not be used."""
        if self.in_file:
            return substitute(self.url, os.environ, where=f"url of channel {self.name}")
        if not self.trusted:
            require_harmless(self.url)
        return self.url


class Channels(Frozen):
    """All channels, and the base of links in messages; empty: the web server's address."""

    channels: tuple[Channel, ...] = ()
    base_url: str = ""


def read_url(value: Any) -> str:
    """Read an Apprise URL."""
    text = read_template(value)
    if not ADDRESS.fullmatch(text):
        raise refusal(f"{shown(text)} is not a URL", "an Apprise URL such as mailto://, slack:// or json://")
    return text


def read_base_url(value: Any) -> str:
    """Read an http address."""
    text = text_of(value, "an address")
    if not re.fullmatch(r"https?://\S+", text):
        raise refusal(f"{shown(text)} is not a URL", "http://… or https://…")
    return text.rstrip("/")


class RateLimitDocument(Document):
    """How many messages a channel may get."""

    model = RateLimit
    noun = "a rate limit"

    max: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Maximum number of messages; further ones are combined into the last."
    )
    per: Timeout | None = Field(default=None, description="Time window that `max` applies to.")


class ChannelDocument(Document):
    """One channel."""

    model = Channel
    noun = "a channel"

    name: Name = Field(description="Name of the channel in listings.")
    url: Annotated[str, Written(read_url)] = Field(
        description="Apprise URL. `${VAR}` is read from the services' environment, so that the file holds no secrets."
    )
    events: Annotated[list[Event], Field(min_length=1), Written(one_or_list)] | None = Field(
        default=None,
        description="Any of `finished`, `failed`, `action_required`, `waiting_too_long`, `disk_low`, `quota_near`; by "
        "default the first three.",
    )
    projects: Annotated[list[Glob], Field(min_length=1), Written(one_or_list)] | None = Field(
        default=None, description="Only projects whose names match one of these patterns."
    )
    tags: Annotated[list[str], Written(one_or_list)] | None = Field(
        default=None, description="Only projects with one of these tags."
    )
    waiting_too_long: Timeout | None = Field(
        default=None, description="How long a project may be queued, or wait for a person, before a message is sent."
    )
    rate_limit: RateLimitDocument | None = Field(default=None, description="How many messages the channel may get.")


class NotifyDocument(Document):
    """The notification file."""

    model = Frozen
    noun = "the notification file"

    channels: list[ChannelDocument] = Field(description="Channels to send messages to.")
    base_url: Annotated[str, Written(read_base_url)] | None = Field(
        default=None, description="Base of the links in messages; by default the web server's address."
    )


def load_channels(path: Path) -> Channels:
    """Load the channels; none if the file does not exist or is empty. Raises NotifyFileInvalid with all problems."""
    document = load_config(path, NotifyDocument, NotifyFileInvalid, _check_whole)
    if document is None:
        return Channels()
    channels = tuple(Channel.model_validate(channel.resolved()) for channel in document.channels)
    return Channels(channels=channels, base_url=document.base_url or "")


def _check_whole(tree: Tree, document: NotifyDocument | None) -> None:
    """Check that names are unique."""
    names: set[str] = set()
    for index, channel in enumerate(document.channels if document else ()):
        if channel.name in names:
            mark = tree.mark(("channels", index, "name"))
            tree.note(mark, f"duplicate channel name {shown(channel.name)}", "another name")
        names.add(channel.name)
