"""Settings: variables that the installation gives to pipelines, and what a change of them would do."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import changed
from winslow_dagster.console.caller import Front
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room

room = Room("/settings/variables")
Text = Annotated[str, Form()]
EXAMPLE = """\
# Pipelines, stages, projects and runs override these.
env:
  SITE: lab-ulm
groups:
  - name: cameras
    pipelines: ["traffic_*"]
    env:
      CAMERA_SERVER: http://cameras.example.org
      CAMERA_TOKEN: {secret: true}      # stored with: winslow secret set CAMERA_TOKEN
"""


@room.route_for("", role="admin")
def variables(request: Request, front: Front) -> HTMLResponse:
    """The variables."""
    return page(request, "settings/variables.html", tab="variables", variables=front.variables.view(), example=EXAMPLE)


@room.route_for("/preview", role="admin", method="POST")
def preview(request: Request, front: Front, text: Text = "") -> HTMLResponse:
    """What other variables would do."""
    return page(request, "settings/variables_preview.html", preview=front.variables.preview(text))


@room.route_for("", role="admin", method="POST")
def save(front: Front, version: Annotated[int, Form(ge=0, le=2**31 - 2)], text: Text = "") -> Response:
    """Replace the variables."""
    front.variables.set(text.replace("\r\n", "\n"), version=version)
    return changed("Stages that start from now on get these variables.")
