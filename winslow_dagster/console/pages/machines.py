"""Machines: what they have, what is in use now and was before, who holds their GPUs, and which take no stages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Form, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.gpu_lanes import WIDTH, lanes
from winslow_dagster.console.project_view import stage_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.projects.commands.nodes import COVERED

room = Room(prefix="/machines")
Shown = Literal["1h", "24h", "7d"]
SPANS: dict[Shown, str] = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days"}


@room.route_for("", role="viewer")
def machines(request: Request, front: Front, span: Shown = "1h") -> HTMLResponse:
    """The page."""
    nodes, now = front.machines.list(), datetime.now(UTC)
    usage = {each.name: each for each in front.machines.usage()}
    shown = lanes(nodes, front.machines.gpu_holds(span), now, COVERED[span])
    return page(
        request,
        "machines.html",
        nodes=nodes,
        usage=usage,
        gpu_usage={(name, gpu.uuid): gpu for name, each in usage.items() for gpu in each.gpus},
        gpu_names={node.name: {gpu.uuid: f"GPU {gpu.index}" for gpu in node.gpus} for node in nodes},
        lanes=shown,
        holders={(lane.node, lane.gpu): lane.holder for lane in shown},
        lane_width=WIDTH,
        span=span,
        spans=SPANS,
        command=command,
        stage_path=stage_path,
    )


@room.route_for("/{node}/drain", role="admin", method="POST")
def drain(front: Front, node: str, reason: Annotated[str, Form()] = "") -> Response:
    """Let the node take no new stage."""
    front.machines.drain(node, reason)
    return done(f"{node} takes no new stage. What runs there goes on.", go_to="/machines")


@room.route_for("/{node}/undrain", role="admin", method="POST")
def undrain(front: Front, node: str) -> Response:
    """Let the node take stages again."""
    front.machines.undrain(node)
    return done(f"{node} takes stages again.", go_to="/machines")
