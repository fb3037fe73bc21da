"""Keeps the stages that wait for GPUs in the order of priorities and shares, by the rule of `domain/gpu_line.py`."""

from __future__ import annotations

import logging
from collections import Counter

from winslow_dagster.engines.engine import Engine
from winslow_dagster.errors import EngineError
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.queue_entries import QueueEntries
from winslow_dagster.projects.database.recent_use import OpenAttempt, open_attempts
from winslow_dagster.projects.domain.gpu_line import WaitingStage, line_numbers
from winslow_dagster.projects.status.queue_sharing import Sharing

logger = logging.getLogger(__name__)


class GpuOrder:
    """Tells the engine the order whenever it has changed."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine
        self._first: str | None = None
        self._told: dict[str, int] = {}

    def update(self, sharing: Sharing) -> None:
        """Work the order out anew."""
        held: Counter[str] = Counter()
        waiting: list[OpenAttempt] = []
        for attempt in open_attempts(self._database):
            status = self._engine.status(attempt.task_id).status
            if status is not None and status.gpus and status.phase != "storing":
                held[sharing.sharer(attempt.project)] += len(status.gpus)
            elif attempt.gpus and (status is None or status.phase in {"submitted", "waiting"}):
                waiting.append(attempt)
        entries = QueueEntries(self._database).of_runs({attempt.run_id for attempt in waiting})
        priorities = {run_id: entry.priority or 0 for run_id, entry in entries.items()}
        stages = [
            WaitingStage(each.task_id, each.gpus, sharing.sharer(each.project), priorities.get(each.run_id, 0))
            for each in waiting
        ]
        numbers = line_numbers(stages, held, sharing.shares, self._first)
        # Of equal numbers, the one that came first.
        self._first = max(numbers, key=numbers.__getitem__, default=None)
        if numbers != self._told:
            self._tell(numbers)

    def _tell(self, numbers: dict[str, int]) -> None:
        try:
            self._engine.set_priorities(numbers)
        except EngineError as error:
            # The former order holds meanwhile. The next pass tries again.
            logger.warning("stages that wait for GPUs were not reordered: %s", error)
        else:
            self._told = numbers
