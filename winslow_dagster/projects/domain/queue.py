"""The run queue as people see it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from winslow_dagster.settings import ShareBy

QueueState = Literal["queued", "starting", "running", "cancelling"]


class QueueHold(BaseModel):
    """Somebody keeps a run from starting."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: datetime
    reason: str = ""


class ExpectedStart(BaseModel):
    """When a run is expected to start: as likely before as after `at`, and in eight of ten cases between the others.

    `late` is None where nobody can say.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    early: datetime
    late: datetime | None


class RunningStage(BaseModel):
    """A stage of a run that is in progress. `reason` says what it waits for; empty if it runs.

    `expected` is when a stage that waits for GPUs is expected to get them.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    phase: str
    reason: str = ""
    gpus: int = 0
    expected: ExpectedStart | None = None


class QueuedRun(BaseModel):
    """A run that waits or is in progress.

    `reason` says in one sentence why it waits; empty if it does not. `turn` says why others that were queued later go
    before it; empty if none do. `problem` names a stage that no machine can run. `sharer` is the owner or project whose
    turn it takes.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    project: str | None
    pipeline: str
    state: QueueState
    queued_at: datetime
    started_at: datetime | None = None
    requested_by: str = ""
    priority: int = 0
    needs_gpu: bool = False
    held: QueueHold | None = None
    sharer: str = ""
    reason: str = ""
    turn: str = ""
    problem: str = ""
    expected: ExpectedStart | None = None
    stages: tuple[RunningStage, ...] = ()


class QueueView(BaseModel):
    """The queue: what is in progress, in the order of its start, and what waits, in the order in which it is looked at.

    `waiting` begins with the run at the place `first`, and may end before the last of the `waiting_in_all` runs.
    `share_by` says who takes turns within a priority. `stopped` says why nothing starts at all; empty if runs start.
    The limits are how many runs, and how many that need a GPU, are in progress at most.
    """

    model_config = ConfigDict(frozen=True)

    waiting: tuple[QueuedRun, ...] = ()
    first: int = 0
    waiting_in_all: int = 0
    in_progress: tuple[QueuedRun, ...] = ()
    max_runs: int = 0
    max_gpu_runs: int = 0
    share_by: ShareBy = "none"
    stopped: str = ""
