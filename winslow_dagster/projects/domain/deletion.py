"""Deleted projects, and what it means to delete one."""

from __future__ import annotations

from datetime import datetime

from winslow_dagster.pipelines.model.frozen import Frozen


class Deletion(Frozen):
    """That a project was deleted. From `purged_at` on it is being removed for good."""

    project: str
    pipeline: str
    owner: str
    deleted_at: datetime
    deleted_by: str
    reason: str = ""
    purged_at: datetime | None = None


class DeletedProject(Deletion):
    """A deleted project. It is removed for good at `purge_at`, unless it is restored before.

    `used_by` are the projects that use its outputs: these files, and what is known of them, stay as long as they do.
    """

    purge_at: datetime
    size_bytes: int
    used_by: tuple[str, ...] = ()


class DeletionEffect(Frozen):
    """What it means to delete a project: what it has, and who uses its outputs. `kept_days`: how long it is kept."""

    project: str
    attempts: int
    size_bytes: int
    used_by: tuple[str, ...]
    kept_days: float


class PurgeResult(Frozen):
    """What came of removing a project for good. `gone`: nothing is left, and its name is free.

    Otherwise the retention sensor removes the rest, once the projects `used_by` no longer use it.
    """

    project: str
    freed_bytes: int
    gone: bool
    used_by: tuple[str, ...] = ()
