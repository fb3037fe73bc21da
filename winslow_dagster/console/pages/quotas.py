"""Settings: how much space projects and people may take."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import changed
from winslow_dagster.console.caller import Front
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.domain.quotas import QuotaKind

room = Room("/settings/quotas", threads=LOGS)
EXAMPLE = """\
# Whatever is here wins over what was set in the web interface. "*" is all without a quota of their own.
owners:
  "*": 500GiB
  anna: 2TiB      # her projects, her files in the pool, and her uploads
projects:
  ulm-07: 100GiB
"""


class QuotaName(BaseModel):
    """Whose quota."""

    kind: QuotaKind
    name: str


class QuotaForm(QuotaName):
    """A quota, with its limit as people write it."""

    limit: str


@room.route_for("", role="admin")
def quotas(request: Request, front: Front) -> HTMLResponse:
    """The quotas, and how much of them is used: the nodes are asked what running stages write."""
    return page(
        request,
        "settings/quotas.html",
        tab="quotas",
        overview=front.quotas.overview(),
        text=front.quotas.text(),
        example=EXAMPLE,
    )


@room.route_for("", role="admin", method="POST")
def set_quota(front: Front, form: Annotated[QuotaForm, Form()]) -> Response:
    """Limit the space of a project or an owner."""
    quota = front.quotas.set(form.kind, form.name.strip(), form.limit)
    return changed(f"The quota of {form.kind} {quota.name} is {format_size(quota.limit_bytes)}.")


@room.route_for("/clear", role="admin", method="POST")
def clear_quota(front: Front, form: Annotated[QuotaName, Form()]) -> Response:
    """Remove a quota."""
    front.quotas.clear(form.kind, form.name)
    return changed(f"{form.name} has no quota of its own any more.")
