"""Settings: the retention rules of the installation, and what a change of them would do."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import changed
from winslow_dagster.console.caller import Front
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room

room = Room("/settings/retention")
Text = Annotated[str, Form()]
EXAMPLE = """\
# For all projects, where no rule of the project or its pipeline applies. The first rule that matches a file applies.
retention:
  - {what: failed, days: 14}      # log and leftovers of attempts that did not succeed
  - {glob: "**/*.mp4", attempts: 1, days: 30}
"""


@room.route_for("", role="admin")
def retention_rules(request: Request, front: Front) -> HTMLResponse:
    """The rules."""
    return page(
        request,
        "settings/retention.html",
        tab="retention",
        rules=front.retention.house_rules(),
        example=EXAMPLE,
    )


@room.route_for("/preview", role="admin", method="POST")
def preview(request: Request, front: Front, text: Text = "") -> HTMLResponse:
    """What other rules would do."""
    return page(request, "settings/retention_preview.html", preview=front.retention.preview_house_rules(text))


@room.route_for("", role="admin", method="POST")
def save(front: Front, version: Annotated[int, Form(ge=0, le=2**31 - 2)], text: Text = "") -> Response:
    """Replace the rules."""
    front.retention.set_house_rules(text.replace("\r\n", "\n"), version=version)
    return changed("The rules are in force. They are applied within a day; winslow prune shows what they remove.")
