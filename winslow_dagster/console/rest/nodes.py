"""The machines that run stages."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.engines.engine import Node, Span, UsageHistory
from winslow_dagster.projects.domain.gpu_lanes import GpuHold

room = Room(prefix="/nodes", tags=["nodes"])

Points = Annotated[int, Query(ge=10, le=2000)]


class Draining(BaseModel):
    """Why a node is drained."""

    reason: str = ""


@room.route_for("", role="viewer")
def list_nodes(front: Front) -> tuple[Node, ...]:
    """All nodes, what they have, and whether they take stages."""
    return front.machines.list()


@room.route_for("/history", role="viewer")
def history(front: Front, span: Span = "1h", points: Points = 720) -> tuple[UsageHistory, ...]:
    """What was in use on each node over a span up to now."""
    return front.machines.history(span, points)


@room.route_for("/gpu-holds", role="viewer")
def gpu_holds(front: Front, span: Span = "24h") -> tuple[GpuHold, ...]:
    """Who held which GPU over a span up to now, the earliest first."""
    return front.machines.gpu_holds(span)


@room.route_for("/{node}/drain", role="admin", method="POST", status_code=204)
def drain(front: Front, node: str, body: Draining) -> None:
    """Let the node take no new stage; what runs there goes on."""
    front.machines.drain(node, body.reason)


@room.route_for("/{node}/undrain", role="admin", method="POST", status_code=204)
def undrain(front: Front, node: str) -> None:
    """Let the node take stages again."""
    front.machines.undrain(node)
