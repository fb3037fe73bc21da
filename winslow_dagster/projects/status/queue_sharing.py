"""Reads who shares the queue: the owners of projects, and what each owner or project used lately."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from winslow_dagster.engines.engine import TaskState
from winslow_dagster.projects.database import recent_use
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.queue_shares import LATELY, QueueShares, RecentUse
from winslow_dagster.settings import QueueSettings


@dataclass(frozen=True, slots=True)
class Sharing:
    """The shares, and the owners of projects."""

    shares: QueueShares = field(default_factory=QueueShares)
    owners: Mapping[str, str] = field(default_factory=dict)

    def sharer(self, project: str | None) -> str:
        """Whose turn a run of this project takes; nobody's in particular without a project, or before it exists."""
        match self.shares.by:
            case "project":
                return project or ""
            case "owner":
                return self.owners.get(project or "", "")
            case _:
                return ""


def read_sharing(
    database: Database, settings: QueueSettings, task_state_of: Callable[[str], TaskState], now: datetime
) -> Sharing:
    """As it is now. Raises ServiceUnavailable."""
    by = settings.queue_share_by
    if by == "none":
        return Sharing()
    since = now - LATELY
    gpu_s: defaultdict[str, float] = defaultdict(float)
    stage_s: defaultdict[str, float] = defaultdict(float)

    def add(sharer: str, gpus: int, began_at: datetime, ended_at: datetime) -> None:
        used_s = max(0.0, (ended_at - max(began_at, since)).total_seconds())
        if gpus:
            gpu_s[sharer] += gpus * used_s
        else:
            stage_s[sharer] += used_s

    for ended in recent_use.ended_since(database, since):
        add(ended.project if by == "project" else ended.owner, ended.gpus, ended.began_at, ended.ended_at)
    for attempt in recent_use.open_attempts(database):
        status = task_state_of(attempt.task_id).status
        if status is not None and status.started_at is not None:
            sharer = attempt.project if by == "project" else attempt.owner
            add(sharer, len(status.gpus), status.started_at, now)
    recent = {sharer: RecentUse(gpu_s[sharer], stage_s[sharer]) for sharer in gpu_s.keys() | stage_s.keys()}
    return Sharing(QueueShares(by, settings.queue_weights, recent), recent_use.owners(database))
