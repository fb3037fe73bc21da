"""Which outputs of a project were made from which, as a drawing and as a list."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.graph_layout import draw
from winslow_dagster.console.project_view import stage_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room

MOST_DRAWN = 40
"""More boxes than these cannot be looked over; the list has all."""

room = Room(prefix="/projects/{project}/lineage")


@room.route_for("", role="viewer")
def show_lineage(request: Request, front: Front, project: str) -> HTMLResponse:
    """The lineage: the current outputs with what they were made from first, then the latest others."""
    handle = front.project(project)
    outputs = handle.lineage().outputs
    by_id = {each.task_id: each for each in outputs}
    wanted: dict[str, None] = {}
    waiting = [each.task_id for each in outputs if each.current]
    while waiting:
        task_id = waiting.pop()
        if task_id not in wanted:
            wanted[task_id] = None
            waiting += by_id[task_id].made_from
    wanted |= dict.fromkeys(each.task_id for each in reversed(outputs))
    chosen = set(list(wanted)[:MOST_DRAWN])
    drawn = [each for each in outputs if each.task_id in chosen]
    used_by: dict[str, list[str]] = {each.task_id: [] for each in outputs}
    for each in outputs:
        for source in each.made_from:
            used_by[source].append(each.task_id)
    return page(
        request,
        "project/lineage.html",
        project=project,
        own=handle.pipeline().name,
        outputs=outputs,
        by_id=by_id,
        used_by=used_by,
        drawing=draw({each.task_id: each.made_from for each in drawn}),
        left_out=len(outputs) - len(drawn),
        stage_path=stage_path,
    )
