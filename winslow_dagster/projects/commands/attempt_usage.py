"""What an attempt uses of its node: its processors, its memory and its GPUs."""

from __future__ import annotations

from winslow_dagster.engines.engine import UsageHistory
from winslow_dagster.projects.commands.context import Context


def attempt_usage(context: Context, task_id: str) -> UsageHistory:
    """The curves of an attempt that runs or has ended; empty if nothing is known of it. Raises NotFound.

    Its own are `series` (`cpus`, `memory_used_bytes`). Those of its GPUs are of other moments: they are a history of
    their own, with one point for each of the nearest moments of `at`.
    """
    attempt = context.records.attempt(task_id)
    result = context.records.result(task_id) if attempt.outcome is not None else None
    curve = result.usage if result is not None else context.engine.attempt_usage(task_id)
    status = None if result is not None else context.engine.status(task_id).status
    gpus = result.gpus if result is not None else status.gpus if status is not None else ()
    begin = status.started_at if status is not None and status.started_at else attempt.started_at
    node = attempt.node or (status.node if status is not None else "")
    of_gpus = context.engine.gpu_usage(node, gpus, begin, attempt.ended_at or context.clock()) if gpus else None
    if curve is None or not curve.at:
        return of_gpus or UsageHistory(node=node, step_s=1)
    own = UsageHistory(
        node=node,
        step_s=curve.step_s,
        at=curve.at,
        series={"cpus": curve.cpus, "memory_used_bytes": curve.memory_bytes},
    )
    return own if of_gpus is None else own.model_copy(update={"gpus": _aligned(of_gpus, curve.at)})


def _aligned(history: UsageHistory, at: tuple[int, ...]) -> dict[str, dict[str, tuple[float | None, ...]]]:
    """The series with the last value at or before each moment, unless that is long ago."""
    places: list[int | None] = []
    place = -1
    for moment in at:
        while place + 1 < len(history.at) and history.at[place + 1] <= moment:
            place += 1
        old = place < 0 or moment - history.at[place] > 2 * history.step_s + (at[1] - at[0] if len(at) > 1 else 0)
        places.append(None if old else place)
    return {
        gpu: {name: tuple(None if each is None else values[each] for each in places) for name, values in series.items()}
        for gpu, series in history.gpus.items()
    }
