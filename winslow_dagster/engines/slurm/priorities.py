"""Reorders waiting jobs. Only those whose number has changed are told to Slurm."""

from __future__ import annotations

from collections.abc import Mapping

from winslow_dagster.engines.slurm.commands import SlurmRefused, slurm
from winslow_dagster.engines.slurm.job_request import BASE_PRIORITY

BEGUN = ("no longer pending", "Invalid job id", "already completed")
"""What Slurm says of a job that has left the queue meanwhile."""


class JobPriorities:
    """What Slurm was told by this process."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def tell(self, numbers: Mapping[str, int]) -> None:
        """Job id -> number, of all jobs that wait. Raises SlurmAway, SlurmRefused."""
        changed: dict[int, list[str]] = {}
        for job_id, number in numbers.items():
            if self._told.get(job_id) != number:
                changed.setdefault(number, []).append(job_id)
        self._told = {job_id: number for job_id, number in self._told.items() if numbers.get(job_id) == number}
        for number, job_ids in changed.items():
            priority = max(1, BASE_PRIORITY + number)
            try:
                slurm("scontrol", "update", f"JobId={','.join(job_ids)}", f"Priority={priority}")
            except SlurmRefused as error:
                if not any(text in error.what for text in BEGUN):
                    raise
            self._told |= dict.fromkeys(job_ids, number)
