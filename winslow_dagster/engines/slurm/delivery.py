"""The end of a serving: its result goes to the control plane, or to the store while that is away for long."""

from __future__ import annotations

import logging
import select
import time

from winslow_dagster.engines.slurm.job_environment import JobFacts, Signals
from winslow_dagster.engines.slurm.reporting import Reporter
from winslow_dagster.engines.slurm.stored import store_checkpoint, store_result
from winslow_dagster.errors import EngineError, Fenced, StoreError
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import Manifest

PATIENCE_S = 60.0
"""How long a result waits for the control plane before it is left in the store: its node is needed."""
STORE_PATIENCE_S = 3600.0
"""How long it is tried to get rid of a result at all."""
RETRY_S = 1.0

logger = logging.getLogger(__name__)


def deliver(task: StageTask, directory: TaskDirectory, reporter: Reporter, job: JobFacts, signals: Signals) -> None:
    """Deliver the result, or outcome, in the directory of a serving, whose task this is.

    Raises EngineError if nobody takes it.

    Where Slurm has ended the job, there is no result but a success: the control plane submits the task again.
    """
    result = directory.outcome() or directory.result()  # The one becomes the other, meanwhile perhaps.
    if result is None:
        return
    checkpoint = _stored_checkpoint(task, directory, result)
    delivered = None if signals.interrupted and result.outcome != "succeeded" else result
    begun_s = time.monotonic()
    while True:
        if _reported(reporter, delivered, checkpoint) or delivered is None:
            return
        waited_s = time.monotonic() - begun_s
        if (waited_s > PATIENCE_S or signals.interrupted) and _left_in_store(task, result, job):
            return
        if waited_s > STORE_PATIENCE_S:
            raise EngineError("neither the control plane nor the store takes the result", where=job.task_id)
        select.select([signals.reader], [], [], RETRY_S)
        signals.taken()


def _reported(reporter: Reporter, result: StageResult | None, checkpoint: Manifest | None) -> bool:
    """Whether the control plane has taken it, or does not want it."""
    try:
        reporter.report(result, checkpoint)
    except Fenced as error:
        logger.warning("fenced: %s", error)
    except EngineError as error:
        logger.warning("%s", error)
        return False
    return True


def _left_in_store(task: StageTask, result: StageResult, job: JobFacts) -> bool:
    try:
        store_result(task, result.model_copy(update={"task_id": job.task_id, "node": job.node}))
    except (StoreError, OSError) as error:
        logger.warning("%s", error)
        return False
    return True


def _stored_checkpoint(task: StageTask, directory: TaskDirectory, result: StageResult) -> Manifest | None:
    """What another attempt needs to continue, where the stage keeps something."""
    checkpoint = directory.checkpoint
    if result.outcome == "succeeded" or not checkpoint.exists() or not any(checkpoint.iterdir()):
        return None
    try:
        return store_checkpoint(task, checkpoint)
    except (StoreError, OSError) as error:
        logger.warning("the checkpoint was not stored: %s", error)
        return None
