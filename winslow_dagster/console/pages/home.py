"""Needs you: what waits for a person, what runs, and what was finished lately."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.actions import command_text
from winslow_dagster.console.acts import done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.listing import NEEDING, Listing
from winslow_dagster.console.pages.projects import rows_of
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room, RowId
from winslow_dagster.pipelines import pipeline_names
from winslow_dagster.projects.commands.demo import PIPELINE as DEMO_PIPELINE
from winslow_dagster.projects.domain.views import Need, ProjectQuery, ProjectState

room = Room()
UNDER_WAY: tuple[ProjectState, ...] = ("running", "pausing", "cancelling", "queued")
UNDER_WAY_SHOWN = 20
FINISHED_SHOWN = 8


@room.route_for("/", role="viewer")
def home(request: Request, front: Front) -> HTMLResponse:
    """The first page."""
    needs = front.needs()
    under_way = front.find_projects(
        ProjectQuery(states=UNDER_WAY, sort="changed_at", descending=True, limit=UNDER_WAY_SHOWN)
    )
    finished = front.find_projects(
        ProjectQuery(states=("succeeded",), sort="changed_at", descending=True, limit=FINISHED_SHOWN)
    )
    any_project = needs.total or under_way.total or finished.total or front.find_projects(ProjectQuery(limit=1)).total
    return page(
        request,
        "home.html",
        needs=needs,
        all_needing=Listing(filter=NEEDING).address(),
        filling=front.space.filling_disks(),
        quota=front.quotas.own(),
        may_act=front.may_act_on(need.project for need in needs.needs if need.project is not None),
        commands=tuple(map(_command, needs.needs)),
        under_way=rows_of(front, under_way.projects),
        under_way_total=under_way.total,
        damaged=front.footage_checks.damaged_lately(),
        finished=rows_of(front, finished.projects),
        first_start=not any_project,
        demo_command=command("demo"),
        can_demo=not any_project and DEMO_PIPELINE in pipeline_names(front.settings.pipelines_dir),
    )


def _command(need: Need) -> str:
    if need.action is not None:
        return command_text(need.action)
    return command("ingest", "retry", str(need.file))


@room.route_for("/ingest/{file}/retry", role="operator", method="POST")
def retry(front: Front, file: RowId) -> Response:
    """Start over with a file that was rejected."""
    retried = front.ingest.retry(file)
    return done(f"{retried.path} is ingested once it is complete.")


@room.route_for("/demo", role="operator", method="POST")
def demo(front: Front) -> Response:
    """Run the demo, and show its project."""
    return done("The demo runs.", go_to=f"/projects/{front.run_demo().project}")
