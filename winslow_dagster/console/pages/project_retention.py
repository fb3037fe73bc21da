"""The retention rules that a project has of its own, and what a change of them would do."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.projects.retention.pins import written_rule

room = Room(prefix="/projects/{project}/retention", threads=LOGS)
Text = Annotated[str, Form(max_length=20_000)]
EXAMPLE = '{glob: "**/*.mp4", attempts: 2}\n{what: logs, days: 90}\n{}'


@room.route_for("", role="viewer")
def show_rules(request: Request, front: Front, project: str) -> HTMLResponse:
    """The rules of the project, and those of its pipeline that come after them."""
    handle = front.project(project)
    own = [written_rule(rule) for rule in front.retention.rules(project).rules]
    return page(
        request,
        "project/retention.html",
        name=project,
        own=own,
        of_stages={
            stage.name: [written_rule(rule) for rule in stage.retention]
            for stage in handle.pipeline().stages
            if stage.retention
        },
        may_act=bool(front.may_act_on([project])),
        example=EXAMPLE,
        command=command("retention", project, *own),
    )


@room.route_for("/preview", role="operator", method="POST")
def preview(request: Request, front: Front, project: str, text: Text = "") -> HTMLResponse:
    """What other rules would do."""
    found = front.retention.preview_rules(project, _rules(text))
    return page(request, "settings/retention_preview.html", preview=found)


@room.route_for("", role="operator", method="POST")
def save(front: Front, project: str, text: Text = "") -> Response:
    """Replace the rules."""
    saved = front.retention.set_rules(project, _rules(text)).rules
    return done(
        "The rules are in force. They are applied within a day."
        if saved
        else f"{project} has no rules of its own any more."
    )


def _rules(text: str) -> list[str]:
    """The rules in a text, one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]
