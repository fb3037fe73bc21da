"""Files found in watched folders, and the folders themselves, as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

IngestState = Literal[
    "receiving", "ready", "importing", "starting", "running", "done", "rejected", "failed", "dismissed"
]
"""receiving: may still change. ready: complete, and in line. importing: has a project name, and the project is being
created. starting: a run was requested. running: its run has not ended. done: nothing is left to do. rejected: not a
valid input. failed: something else is wrong, and a person has to fix it. dismissed: one of the last two, of which
somebody has taken note: it waits for nobody."""
STATES: tuple[IngestState, ...] = get_args(IngestState)
IN_PROGRESS: frozenset[IngestState] = frozenset({"importing", "starting", "running"})
"""The states that count towards a watch's `max_concurrent`."""
WAITING_FOR_PERSON: frozenset[IngestState] = frozenset({"rejected", "failed"})
RETRYABLE: frozenset[IngestState] = WAITING_FOR_PERSON | {"dismissed"}
MOST_LISTED = 1000
HIGHEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class IngestFile:
    """One file. `path` is relative to the watched source; `modified` is a time or another mark of its content.

    `unchanged_since`: when it was first seen with its size and mark. `state_since` is None while it is received.
    """

    id: int
    watch: str
    path: str
    size_bytes: int
    modified: str
    state: IngestState
    reason: str
    project: str | None
    run_id: str | None
    seen_at: datetime
    unchanged_since: datetime
    state_since: datetime | None

    def to(self, state: IngestState, at: datetime, reason: str = "") -> IngestFile:
        """Copy it with another state."""
        return replace(self, state=state, reason=reason, state_since=None if state == "receiving" else at)

    def received(self, size_bytes: int, modified: str, at: datetime) -> IngestFile:
        """Copy it as a file whose content has just changed."""
        changed = replace(self, size_bytes=size_bytes, modified=modified, unchanged_since=at)
        return changed.to("receiving", at)


class IngestQuery(BaseModel):
    """Which files to find: of one watch, in one state, with ids below `before`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    watch: str | None = None
    state: IngestState | None = None
    before: int | None = Field(default=None, ge=0, le=HIGHEST_ID)
    limit: int = Field(default=100, ge=1, le=MOST_LISTED)


class IngestPage(BaseModel):
    """Files, the latest first. `before` finds the next page; None on the last one."""

    model_config = ConfigDict(frozen=True)

    files: tuple[IngestFile, ...]
    before: int | None = None


class WatchFolder(BaseModel):
    """One watch, with the number of its files in each state that some are in.

    `problem` is why it cannot be used as it is, and `problem_since` when a scan first met that. A watch whose files are
    listed but which is no longer in the watch file is not `watched`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    watched: bool = True
    source: str = ""
    pipeline: str = ""
    glob: tuple[str, ...] = ()
    stable_for_s: float = 0.0
    max_concurrent: int = 0
    auto_start: bool = True
    quarantine_dir: str | None = None
    counts: dict[IngestState, int] = Field(default_factory=dict)
    problem: str = ""
    problem_since: datetime | None = None


class WatchFolders(BaseModel):
    """All watches, in the order of the watch file. `problem` is why that cannot be read."""

    model_config = ConfigDict(frozen=True)

    watch_file: str
    folders: tuple[WatchFolder, ...]
    problem: str = ""
