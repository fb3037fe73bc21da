"""Files of the shared pool, who uses them, and what was deleted from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from winslow_dagster.formatting import format_size
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.storage.manifest import Manifest

PoolSort = Literal["name", "size", "added", "by", "uses"]
PoolAct = Literal["remove", "rename", "replace"]
MOST_NAMED = 5
"""As many projects are named in a sentence; of more, the number is said."""


@dataclass(frozen=True, slots=True)
class PooledFile:
    """One file (or directory) of the pool. Its content stays at its address, whatever its name is."""

    name: str
    manifest: Manifest
    original_path: str
    added_at: datetime
    added_by: str

    @property
    def id(self) -> str:
        """What tells it from every other file, also of the same name: the last part of its address."""
        return self.manifest.address.rpartition("/")[2]

    @property
    def file_name(self) -> str:
        """The name the file has in the store."""
        return self.manifest.files[0].path if len(self.manifest.files) == 1 else self.name


class PoolEntry(Frozen):
    """One file of the pool, or a directory of several `files`. `used_by` are the projects that have it as an input.

    `file_name` is the name that stages see.
    """

    id: str
    name: str
    file_name: str
    size_bytes: int
    files: int
    original_path: str
    added_at: datetime
    added_by: str
    used_by: tuple[str, ...] = ()

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, perhaps with one file only."""
        return self.files != 1 or "/" in self.file_name


class PoolQuery(Frozen):
    """Which files of the pool to list: those with this text in their name, file name or in who added them."""

    text: str = ""
    sort: PoolSort = "name"
    descending: bool = False
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=10**9)


class PoolPage(Frozen):
    """One page of the files that match a query, how many match, and how much space these take."""

    files: tuple[PoolEntry, ...]
    total: int
    size_bytes: int


class PoolReader(Frozen):
    """An attempt that had the file. `number` counts the attempts of the stage from 1."""

    stage: str
    number: int
    task_id: str


class PoolUse(Frozen):
    """A project that has the file as an input. Not `current`: it has another file as that input by now."""

    project: str
    input: str
    current: bool
    readers: tuple[PoolReader, ...] = ()


class TrashedFile(PoolEntry):
    """A deleted file. Its content is removed at `purge_at`, unless it is restored before, or a project uses it.

    `replaced_by` is the id of the file that took its place. From `purged_at` on it is being removed.
    """

    deleted_at: datetime
    deleted_by: str
    purge_at: datetime
    replaced_by: str | None = None
    purged_at: datetime | None = None


class PoolDetails(Frozen):
    """A file of the pool with the projects and attempts that have it, and earlier files that it replaced."""

    file: PoolEntry
    uses: tuple[PoolUse, ...]
    earlier: tuple[TrashedFile, ...] = ()


class PoolEffect(Frozen):
    """What it means to remove, rename or replace a file. `kept_days`: how long the trash keeps what goes.

    `used_by` are the projects that have it as an input, and keep it. `text` says all that in sentences.
    """

    act: PoolAct
    id: str
    name: str
    size_bytes: int
    used_by: tuple[str, ...]
    kept_days: float
    text: str


class PoolPurge(Frozen):
    """What was removed from the trash for good."""

    id: str
    name: str
    freed_bytes: int


def effect_of(act: PoolAct, entry: PoolEntry, kept_days: float) -> PoolEffect:
    """What the act means for the projects that have the file, and for its content."""
    text = {"remove": _removal, "rename": _renaming, "replace": _replacement}[act](entry, kept_days)
    return PoolEffect(
        act=act,
        id=entry.id,
        name=entry.name,
        size_bytes=entry.size_bytes,
        used_by=entry.used_by,
        kept_days=kept_days,
        text=text,
    )


def _removal(entry: PoolEntry, kept_days: float) -> str:
    if not entry.used_by:
        return (
            f"No project uses it. It can be restored for {kept_days:g} days; then its content "
            f"({format_size(entry.size_bytes)}) is removed."
        )
    return (
        f"{_users(entry)} it, and can run again with it: its content stays as long as they do. No other project can "
        f"take it, unless it is restored within {kept_days:g} days."
    )


def _renaming(entry: PoolEntry, _kept_days: float) -> str:
    keep = f"{_users(entry)} it, and nothing of theirs is out of date. " if entry.used_by else ""
    return f"{keep}Commands that name it as pool:{entry.name} do not find it any more."


def _replacement(entry: PoolEntry, kept_days: float) -> str:
    earlier = f"The earlier content can be restored for {kept_days:g} days."
    if not entry.used_by:
        return f"No project uses it. {earlier}"
    return (
        f"{_users(entry)} the earlier content, and nothing of theirs is out of date. To have the new one, give it to "
        f"them as their input again, and start from their first stages: all outputs are then made anew. {earlier}"
    )


def _users(entry: PoolEntry) -> str:
    names = entry.used_by
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more projects keep"
    *before, last = names
    return f"{', '.join(before)} and {last} keep" if before else f"{last} keeps"
