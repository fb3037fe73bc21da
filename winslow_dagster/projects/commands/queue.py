"""The run queue: what waits, why and until when, and what people do about it."""

from __future__ import annotations

from collections.abc import Sequence

from winslow_dagster.errors import InputRejected, ProjectConflict
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.expected_starts import ExpectedStarts, ForecastQueue, expected_starts
from winslow_dagster.projects.dagster_api.client import QUEUED, REQUESTER_TAG, DagsterClient, DagsterRun, RunStatus
from winslow_dagster.projects.database.queue_entries import QueueEntries, QueueEntry
from winslow_dagster.projects.domain.queue import (
    QueuedRun,
    QueueHold,
    QueueState,
    QueueView,
    RunningStage,
)
from winslow_dagster.projects.domain.queue_rules import QueueItem, QueueLimits, in_order, places_of
from winslow_dagster.projects.status.queue_reasons import QueueReasons
from winslow_dagster.projects.status.queue_sharing import read_sharing
from winslow_dagster.projects.status.queue_work import QueueWork

STATES: dict[RunStatus, QueueState] = {"STARTING": "starting", "STARTED": "running", "CANCELING": "cancelling"}
MOST_CONSIDERED = 300
"""Waiting runs whose work is looked at: those behind them wait for so long that nobody can say when they start."""
LINED_UP = frozenset({"submitted", "waiting"})
"""Phases of a stage that has not been given its place on a machine."""
HIGHEST_PRIORITY = 1_000_000
LONGEST_REASON = 500


class QueueCommands:
    """The queue of one installation."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def view(self, *, forecast: bool = True, first: int = 0, most: int | None = None) -> QueueView:
        """What is in progress, and what waits; nothing if the services are not running.

        Of what waits, up to `most` runs from the place `first` on are described; the first one is 0. Without
        `forecast`, no start is expected: that is faster with hundreds of runs. With it, those of the first
        MOST_CONSIDERED waiting runs are.
        """
        context, dagster = self._context, self._context.resources.dagster_if_running()
        if dagster is None:
            return QueueView(stopped="the services are not running")
        runs = dagster.active_runs(context.resources.queued_runs)
        nodes, now, database = context.engine.nodes(), context.clock(), context.records.database
        entries = {entry.run_id: entry for entry in QueueEntries(database).open()}
        sharing = read_sharing(database, context.settings.queue, context.engine.status, now)
        items = {run.run_id: _item(run, entries.get(run.run_id)).of(sharing.sharer(run.project)) for run in runs}
        by_id = {run.run_id: run for run in runs}
        active = [run for run in runs if run.status not in QUEUED]
        taking = [node for node in nodes if node.drain is None]
        limits = QueueLimits.of(gpu.vendor for node in taking for gpu in node.gpus)
        places = places_of(limits, (items[run.run_id] for run in active), sharing.shares)
        waiting = list(in_order([items[run.run_id] for run in runs if run.status in QUEUED], places))
        shown = waiting[first:] if most is None else waiting[first : first + most]
        reader = QueueWork(context.records, context.resources.pipeline_version, context.engine.status, nodes, now)
        ahead = [item.run_id for item in waiting[:MOST_CONSIDERED]] if forecast else []
        work = reader.read({*(run.run_id for run in active), *ahead, *(item.run_id for item in shown)})
        stopped = self._stopped(dagster)
        stages = self._running_stages()
        lined_up = frozenset(
            (run_id, stage.stage) for run_id, each in stages.items() for stage in each if stage.phase in LINED_UP
        )
        expected = ExpectedStarts()
        if forecast and not stopped and (waiting or lined_up):
            considered = [*(run.run_id for run in active), *ahead]
            queue = ForecastQueue(
                {run_id: items[run_id] for run_id in considered},
                frozenset(ahead),
                lined_up,
                limits,
                tuple(len(node.gpus) for node in taking),
                sharing.shares,
            )
            expected = expected_starts(
                context, reader, {each: work[each] for each in considered if each in work}, queue
            )
        numbers = {run.run_id: number for number, run in enumerate(runs)}
        reasons = QueueReasons(places, active, items, entries, numbers, stopped)
        told = {item.run_id: reasons.next(item) for item in waiting[: first + len(shown)]}
        return QueueView(
            waiting=tuple(
                _shown(by_id[item.run_id], item, entries.get(item.run_id)).model_copy(
                    update={
                        "reason": told[item.run_id][0],
                        "turn": told[item.run_id][1],
                        "problem": work[item.run_id].problem if item.run_id in work else "",
                        "expected": expected.runs.get(item.run_id),
                    }
                )
                for item in shown
            ),
            first=first,
            waiting_in_all=len(waiting),
            in_progress=tuple(
                _shown(run, items[run.run_id], None).model_copy(
                    update={"stages": _with_starts(stages.get(run.run_id, ()), run.run_id, expected)}
                )
                for run in sorted(active, key=lambda run: run.started_at or run.created_at)
            ),
            max_runs=limits.runs,
            max_gpu_runs=limits.gpu_runs,
            share_by=sharing.shares.by,
            stopped=stopped,
        )

    def move_to_front(self, project: str) -> int:
        """Put the runs of a project before all others, by a priority that is higher; returns it.

        That of a run in progress counts for its stages that wait for GPUs. Raises NotFound, Forbidden, and
        ProjectConflict if it has no run that waits or is in progress.
        """
        own, others = self._open_runs(project)
        entries = QueueEntries(self._context.records.database).of_runs(run.run_id for run in others)
        items = [(run.status, _item(run, entries.get(run.run_id))) for run in others]
        # What is in progress and needs no GPU waits for nothing.
        highest = max((item.priority for status, item in items if status in QUEUED or item.needs_gpu), default=-1)
        priority = min(max(highest + 1, 0), HIGHEST_PRIORITY)
        self._set_priority(project, own, priority, "queue_front")
        return priority

    def set_priority(self, project: str, priority: int) -> None:
        """Give the runs of a project a priority: a higher one goes first, and 0 is what runs have.

        That of a run in progress counts for its stages that wait for GPUs. Raises NotFound, Forbidden, InputRejected,
        and ProjectConflict if it has no run that waits or is in progress.
        """
        if abs(priority) > HIGHEST_PRIORITY:
            raise InputRejected(
                f"{priority} is not a priority", expected=f"a number from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}"
            )
        own, _ = self._open_runs(project)
        self._set_priority(project, own, priority, "queue_priority")

    def hold(self, project: str, reason: str = "") -> None:
        """Keep the waiting runs of a project from starting until they are released.

        Raises NotFound, Forbidden, and ProjectConflict if no run of it waits.
        """
        own = self._waiting_runs(project)
        context, reason = self._context, reason.strip()[:LONGEST_REASON]
        run_ids = [run.run_id for run in own]
        QueueEntries(context.records.database).hold(
            project, run_ids, by=context.actor.who, at=context.clock(), reason=reason
        )
        context.audit("queue_hold", project, reason=reason, runs=run_ids)

    def release(self, project: str) -> None:
        """Let the held runs of a project start again.

        Raises NotFound, Forbidden, and ProjectConflict if no run of it is held.
        """
        own = self._waiting_runs(project)
        entries = QueueEntries(self._context.records.database)
        held = [run_id for run_id, entry in entries.of_runs(run.run_id for run in own).items() if entry.held_at]
        if not held:
            raise ProjectConflict("no run of it is held", where=f"project {project}")
        entries.release(project, held)
        self._context.audit("queue_release", project, runs=held)

    def _set_priority(self, project: str, runs: Sequence[DagsterRun], priority: int, action: str) -> None:
        run_ids = [run.run_id for run in runs]
        QueueEntries(self._context.records.database).set_priority(project, run_ids, priority)
        self._context.audit(action, project, priority=priority, runs=run_ids)

    def _waiting_runs(self, project: str) -> list[DagsterRun]:
        own = [run for run in self._runs(project) if run.project == project and run.status in QUEUED]
        if not own:
            raise ProjectConflict("no run of it waits in the queue", where=f"project {project}")
        return own

    def _open_runs(self, project: str) -> tuple[list[DagsterRun], list[DagsterRun]]:
        """Those of the project, and those of all others."""
        runs = self._runs(project)
        own = [run for run in runs if run.project == project]
        if not own:
            raise ProjectConflict("no run of it waits in the queue or is in progress", where=f"project {project}")
        return own, [run for run in runs if run.project != project]

    def _runs(self, project: str) -> tuple[DagsterRun, ...]:
        """All that wait or are in progress, if the project may be acted on."""
        self._context.require_may_act(project)
        dagster = self._context.resources.dagster_if_running()
        return dagster.active_runs(self._context.resources.queued_runs) if dagster else ()

    def _stopped(self, dagster: DagsterClient) -> str:
        if "QUEUED_RUN_COORDINATOR" in dagster.silent_daemons():
            return "the run-queue daemon is not running"
        if self._context.engine.takes_stages():
            return ""
        drained = [f"{node.name} was {node.drain}" for node in self._context.engine.nodes() if node.drain]
        return f"no machine takes stages: {'; '.join(drained)}"

    def _running_stages(self) -> dict[str, tuple[RunningStage, ...]]:
        found: dict[str, tuple[RunningStage, ...]] = {}
        engine = self._context.engine
        for attempt in self._context.records.open_attempts():
            status = engine.status(attempt.task_id).status
            stage = RunningStage(
                stage=attempt.stage,
                phase=status.phase if status else "submitted",
                reason=engine.explain(attempt.task_id),
                gpus=len(status.gpus) if status else 0,
            )
            found[attempt.run_id] = (*found.get(attempt.run_id, ()), stage)
        return found


def _with_starts(stages: Sequence[RunningStage], run_id: str, expected: ExpectedStarts) -> tuple[RunningStage, ...]:
    return tuple(each.model_copy(update={"expected": expected.stages.get((run_id, each.stage))}) for each in stages)


def _item(run: DagsterRun, entry: QueueEntry | None) -> QueueItem:
    """The run as the rule looks at it. What people said counts, also before the daemon has heard it."""
    item = QueueItem.of_tags(run.run_id, run.tags)
    return item if entry is None else entry.applied_to(item)


def _shown(run: DagsterRun, item: QueueItem, entry: QueueEntry | None) -> QueuedRun:
    held = None
    if entry is not None and entry.held_at is not None:
        held = QueueHold(by=entry.held_by or "", at=entry.held_at, reason=entry.hold_reason or "")
    return QueuedRun(
        run_id=run.run_id,
        project=run.project,
        pipeline=run.job,
        state=STATES.get(run.status, "queued"),
        queued_at=run.created_at,
        started_at=run.started_at,
        requested_by=run.tags.get(REQUESTER_TAG, ""),
        priority=item.priority,
        needs_gpu=item.needs_gpu,
        sharer=item.sharer,
        held=held,
    )
