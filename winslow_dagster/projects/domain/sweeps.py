"""A sweep: one stage, run once for each combination of values; a person picks one of the attempts."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from winslow_dagster.projects.domain.views import StageState, View


class SweepRun(View):
    """One run of a sweep. `values` are those of the variables that it was given.

    `number` and `task_id` are those of its attempt of the stage, None before that has started. `pickable`: it has
    succeeded, and still has its outputs.
    """

    run_id: str
    state: StageState
    message: str = ""
    values: dict[str, str] = Field(default_factory=dict)
    number: int | None = None
    task_id: str | None = None
    started_at: datetime | None = None
    duration_s: float | None = None
    results: dict[str, str] = Field(default_factory=dict)
    pickable: bool = False


class SweepSummary(View):
    """A sweep in a list. `ended` counts its runs that have ended; `picked` is the attempt that was picked of it."""

    sweep: str
    pipeline: str
    stage: str
    launched_at: datetime
    requested_by: str
    reason: str
    total: int
    ended: int
    succeeded: int
    picked: str | None = None


class Sweep(SweepSummary):
    """A sweep with its runs, in the order of their combinations.

    `variables` are those that differ between its runs. `in_use` is the attempt whose outputs the stage has now, and
    `goes_out_of_date` are the stages that would be out of date if another one were picked.
    """

    runs: tuple[SweepRun, ...]
    variables: tuple[str, ...]
    in_use: str | None = None
    goes_out_of_date: tuple[str, ...] = ()
