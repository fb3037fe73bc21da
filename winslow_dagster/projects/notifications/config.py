"""The file that says who is told what, and how (WINSLOW_NOTIFY_FILE)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

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

Event = Literal["finished", "failed", "needs_you", "waits_longer"]
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


class Channel(Frozen):
    """Where messages go, and which. `url` is a template: its variables are those of the services' environment."""

    name: str
    url: str
    events: tuple[Event, ...] = ("finished", "failed", "needs_you")
    projects: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ()
    waits_longer_s: float = 3600.0
    at_most: int = 20
    per_s: float = 3600.0

    def wants(self, project: str, tags: tuple[str, ...]) -> bool:
        """Whether it is told of this project at all."""
        named = any(matches(project, pattern) for pattern in self.projects)
        return named and (not self.tags or bool(set(self.tags) & set(tags)))

    def address(self) -> str:
        """The URL with its variables filled in. Raises VariableMissing."""
        return substitute(self.url, os.environ, where=f"url of channel {self.name}")


class Channels(Frozen):
    """All channels, and the address that links in messages begin with; empty: that of the web server."""

    channels: tuple[Channel, ...] = ()
    link: str = ""


def read_url(value: Any) -> str:
    """An address as Apprise writes them."""
    text = read_template(value)
    if not ADDRESS.fullmatch(text):
        raise refusal(f"{shown(text)} is no address", "an Apprise URL such as mailto://, slack:// or json://")
    return text


def read_link(value: Any) -> str:
    """An http address."""
    text = text_of(value, "an address")
    if not re.fullmatch(r"https?://\S+", text):
        raise refusal(f"{shown(text)} is no address", "http://… or https://…")
    return text.rstrip("/")


class ChannelDocument(Document):
    """One channel."""

    model = Channel
    noun = "a channel"

    name: Name = Field(description="Names it in `winslow notify status`.")
    url: Annotated[str, Written(read_url)] = Field(
        description="An Apprise URL. `${VAR}` is filled in from the environment of the services: secrets stay out."
    )
    events: Annotated[list[Event], Field(min_length=1), Written(one_or_list)] | None = Field(
        default=None, description="Of `finished`, `failed`, `needs_you`, `waits_longer`; by default the first three."
    )
    projects: Annotated[list[Glob], Field(min_length=1), Written(one_or_list)] | None = Field(
        default=None, description="Only projects whose names match one of these patterns."
    )
    tags: Annotated[list[str], Written(one_or_list)] | None = Field(
        default=None, description="Only projects with one of these tags."
    )
    waits_longer: Timeout | None = Field(
        default=None, description="How long a project may be queued, or wait for a person, before it is told."
    )
    at_most: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="So many messages in a window; what is beyond is gathered into one."
    )
    per: Timeout | None = Field(default=None, description="How long the window is.")


class NotifyDocument(Document):
    """The file."""

    model = Frozen
    noun = "the file of channels"

    channels: list[ChannelDocument] = Field(description="Who is told.")
    link: Annotated[str, Written(read_link)] | None = Field(default=None, description="What links begin with.")


def load_channels(path: Path) -> Channels:
    """The channels of the file; none where there is no such file, or only comments in it.

    Raises NotifyFileInvalid with everything that is wrong with it.
    """
    document = load_config(path, NotifyDocument, NotifyFileInvalid, _check_whole)
    if document is None:
        return Channels()
    channels = tuple(Channel.model_validate(channel.resolved()) for channel in document.channels)
    return Channels(channels=channels, link=document.link or "")


def _check_whole(tree: Tree, document: NotifyDocument | None) -> None:
    """No two channels have one name."""
    names: set[str] = set()
    for index, channel in enumerate(document.channels if document else ()):
        if channel.name in names:
            mark = tree.mark(("channels", index, "name"))
            tree.note(mark, f"two channels are called {shown(channel.name)}", "another name")
        names.add(channel.name)
