"""The machines that run stages: what they have and do, who holds their GPUs, and which take no new stage."""

from __future__ import annotations

from datetime import timedelta

from winslow_dagster.engines.engine import Node, NodeUsage, Span, UsageHistory
from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.gpu_holds import ended_holds
from winslow_dagster.projects.domain.gpu_lanes import GpuHold

COVERED: dict[Span, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "1y": timedelta(days=366),
}
LONGEST_REASON = 500


class NodeCommands:
    """The nodes of one installation."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def list(self) -> tuple[Node, ...]:
        """All nodes, and whether they take stages."""
        return self._context.engine.nodes()

    def usage(self) -> tuple[NodeUsage, ...]:
        """What is in use on each node now. Takes 0.1 s."""
        return self._context.engine.node_usage()

    def history(self, span: Span = "1h", points: int = 720) -> tuple[UsageHistory, ...]:
        """What was in use on each node over this span up to now: as curves of at most `points` points."""
        return self._context.engine.usage_history(span, points)

    def gpu_holds(self, span: Span = "24h") -> tuple[GpuHold, ...]:
        """Who held which GPU over this span up to now, the earliest first."""
        engine, records = self._context.engine, self._context.records
        ended = ended_holds(records.database, self._context.clock() - COVERED[span])
        running = []
        for attempt in records.open_attempts():
            status = engine.status(attempt.task_id).status
            if status is not None and status.phase != "storing":
                running += [
                    GpuHold(
                        gpu=gpu,
                        node=status.node,
                        project=attempt.project,
                        pipeline=attempt.pipeline,
                        stage=attempt.stage,
                        task_id=attempt.task_id,
                        since=status.started_at or attempt.started_at,
                    )
                    for gpu in status.gpus
                ]
        return (*ended, *running)

    def drain(self, node: str, reason: str = "") -> None:
        """Let the node take no new stage; what runs there goes on. Only administrators may.

        A stage that would start there waits, and says why. Raises NotFound.
        """
        self._context.actor.require("admin", f"node {node}")
        reason = reason.strip()[:LONGEST_REASON]
        self._context.engine.drain(node, by=self._context.actor.who, reason=reason)
        self._context.audit("drain_node", node=node, reason=reason)

    def undrain(self, node: str) -> None:
        """Let the node take stages again. Only administrators may. Raises NotFound, ProjectConflict if it does."""
        self._context.actor.require("admin", f"node {node}")
        if not self._context.engine.undrain(node):
            raise ProjectConflict("the node is not drained", where=f"node {node}")
        self._context.audit("undrain_node", node=node)
