"""The pool: files that any project may take as an input, and the trash of those that were deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.domain.pool import (
    PoolAct,
    PoolDetails,
    PoolEffect,
    PoolEntry,
    PoolPage,
    PoolPurge,
    PoolQuery,
    TrashedFile,
)

room = Room(tags=["pool"])

LONGEST_NAME = 63


class NewPoolFile(BaseModel):
    """A file or a directory of the server, and its name in the pool: by default its own."""

    path: str = Field(min_length=1, max_length=4096)
    name: str | None = Field(default=None, max_length=LONGEST_NAME)


class NewName(BaseModel):
    """Another name in the pool."""

    name: str = Field(max_length=LONGEST_NAME)


class NewContent(BaseModel):
    """What takes the place of a file: a path on the server, or `pool:OTHER`."""

    source: str = Field(min_length=1, max_length=4096)


class RestoredName(BaseModel):
    """The name under which a file is restored: by default its own."""

    name: str | None = Field(default=None, max_length=LONGEST_NAME)


class PoolTrash(BaseModel):
    """The deleted files, the last one first."""

    files: tuple[TrashedFile, ...]


@room.route_for("/pool", role="viewer")
def find(front: Front, query: Annotated[PoolQuery, Query()]) -> PoolPage:
    """The files that match the query, with the projects that have them."""
    return front.pool.find(query)


@room.route_for("/pool", role="operator", method="POST", status_code=201)
def add(front: Front, new: NewPoolFile) -> PoolEntry:
    """Copy a file of the server into the pool. `/uploads` takes files from elsewhere."""
    added = front.pool.add(new.path, new.name)
    return front.pool.details(added.name).file


@room.route_for("/pool/{name}", role="viewer")
def details(front: Front, name: str) -> PoolDetails:
    """A file, the projects and attempts that have it, and earlier files that it replaced."""
    return front.pool.details(name)


@room.route_for("/pool/{name}/effect", role="viewer")
def effect(front: Front, name: str, act: PoolAct) -> PoolEffect:
    """What it would mean to remove, rename or replace the file."""
    return front.pool.effect(act, name)


@room.route_for("/pool/{name}", role="operator", method="PATCH")
def rename(front: Front, name: str, new: NewName) -> PoolEntry:
    """Give the file another name. Projects that have it keep it."""
    return front.pool.rename(name, new.name)


@room.route_for("/pool/{name}", role="operator", method="PUT")
def replace(front: Front, name: str, new: NewContent) -> TrashedFile:
    """Have another file take its place. Projects keep the earlier one, which goes to the trash."""
    return front.pool.replace(name, new.source)


@room.route_for("/pool/{name}", role="operator", method="DELETE")
def remove(front: Front, name: str) -> TrashedFile:
    """Delete the file. It can be restored for a while, and projects that have it keep it."""
    return front.pool.remove(name)


@room.route_for("/pool-trash", role="viewer")
def trash(front: Front) -> PoolTrash:
    """The deleted files, and when the content of each is removed."""
    return PoolTrash(files=front.pool.trash())


@room.route_for("/pool-trash/{file}/restore", role="operator", method="POST")
def restore(front: Front, file: str, restored: RestoredName) -> PoolEntry:
    """Restore a deleted file, named by its id or its name."""
    return front.pool.restore(file, restored.name)


@room.route_for("/pool-trash/{file}", role="admin", method="DELETE")
def purge(front: Front, file: str) -> PoolPurge:
    """Remove the content of a deleted file for good. Refused while a project has it."""
    return front.pool.purge(file)
