"""What takes space, and when a disk will be full."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from winslow_dagster.pipelines.model.frozen import Frozen

KindOfSpace = Literal[
    "outputs",
    "logs",
    "inputs",
    "pool",
    "trash",
    "uploads",
    "leftovers",
    "cache",
    "footage",
    "tables",
    "images",
    "dagster",
]
AGES_DAYS = (0, 7, 30, 90, 365)
"""Where each group of attempts by their age begins."""


class KindUsage(Frozen):
    """The space that one kind of files takes. `measured_at` is None where the tables say it, as of now."""

    kind: KindOfSpace
    size_bytes: int
    measured_at: datetime | None = None


class ProjectUsage(Frozen):
    """The space that one project takes. `owner` is who it belongs to, `ended_at` when its last attempt ended."""

    project: str
    owner: str
    attempts: int
    outputs_bytes: int
    logs_bytes: int
    inputs_bytes: int
    size_bytes: int
    ended_at: datetime | None = None


class OwnerUsage(Frozen):
    """The space that the projects of one person take."""

    owner: str
    projects: int
    size_bytes: int


class PipelineStageUsage(Frozen):
    """The space that outputs and logs of one stage take, in all projects."""

    pipeline: str
    stage: str
    attempts: int
    size_bytes: int


class AgeUsage(Frozen):
    """The space of attempts that ended at least so many days ago, up to where the next group begins."""

    from_days: int
    attempts: int
    size_bytes: int


class PinnedUsage(Frozen):
    """The space of an attempt that no rule removes."""

    project: str
    stage: str
    task_id: str
    pinned_by: str
    reason: str
    size_bytes: int


class Space(Frozen):
    """What takes space, from the tables. `projects` are the largest of `projects_total`; deleted ones are `trash`.

    Outputs, logs and inputs count once, for the project that made or brought them.
    """

    kinds: tuple[KindUsage, ...]
    projects: tuple[ProjectUsage, ...]
    projects_total: int
    owners: tuple[OwnerUsage, ...]
    stages: tuple[PipelineStageUsage, ...]
    ages: tuple[AgeUsage, ...]
    pins: tuple[PinnedUsage, ...]

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(each.size_bytes for each in self.kinds)


class DiskSample(Frozen):
    """The free space of a node's disk at a moment."""

    node: str
    at: datetime
    free_bytes: int
    total_bytes: int


class DiskForecast(Frozen):
    """How a node's disk fills. `full_at` is when it is full at its recent rate; None if it does not fill.

    `warns`: a person should act, because that is soon, or little is free. `text` says why.
    """

    node: str
    free_bytes: int
    total_bytes: int
    full_at: datetime | None = None
    bytes_per_hour: int = 0
    warns: bool = False
    text: str
