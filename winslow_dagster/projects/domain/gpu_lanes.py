"""Who held which GPU, and when."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from winslow_dagster.stages.task.model import Outcome


class GpuHold(BaseModel):
    """One attempt on one GPU. `until` and `outcome` are None while it holds it."""

    model_config = ConfigDict(frozen=True)

    gpu: str
    node: str
    project: str
    pipeline: str
    stage: str
    task_id: str
    since: datetime
    until: datetime | None = None
    outcome: Outcome | None = None
