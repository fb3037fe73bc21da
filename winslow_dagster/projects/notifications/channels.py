"""All channels of an installation: those of the notification file, and those that people have added.

Where both have one of the same name, that of the file is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from winslow_dagster.errors import NotifyFileInvalid
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.notifications.config import Channel, load_channels
from winslow_dagster.projects.notifications.stored_channels import StoredChannels
from winslow_dagster.settings import Settings


@dataclass(frozen=True, slots=True)
class FoundChannels:
    """The channels that get messages. `base_url` is that of the file. `fault`: the file cannot be used."""

    channels: tuple[Channel, ...]
    base_url: str = ""
    fault: NotifyFileInvalid | None = None


def channels_to_send(settings: Settings, database: Database) -> FoundChannels:
    """The channels that get messages. A file with faults keeps no message from the channels that are not in it."""
    added = StoredChannels(database).to_send()
    try:
        in_file = load_channels(settings.notify_file)
    except NotifyFileInvalid as fault:
        return FoundChannels(added, fault=fault)
    names = {each.id for each in in_file.channels}
    return FoundChannels((*in_file.channels, *(each for each in added if each.id not in names)), in_file.base_url)
