"""How much space projects and people may take."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel, Field

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.projects.domain.quotas import Quota, QuotaKind, QuotaOverview

room = Room(prefix="/quotas", tags=["space"], threads=LOGS)


class NewQuota(BaseModel):
    """A limit. `*` as a name is for all without a quota of their own."""

    kind: QuotaKind
    name: str = Field(min_length=1, max_length=200)
    limit_bytes: int = Field(ge=1, le=2**62 - 1)


@room.route_for("", role="viewer")
def show_quotas(front: Front) -> QuotaOverview:
    """The quotas, and how much is used of those that are set for one, nearly used up or overrun."""
    return front.quotas.overview()


@room.route_for("", role="admin", method="PUT")
def set_quota(front: Front, new: NewQuota) -> Quota:
    """Limit the space of a project or an owner."""
    return front.quotas.set(new.kind, new.name, new.limit_bytes)


@room.route_for("", role="admin", method="DELETE", status_code=HTTPStatus.NO_CONTENT)
def clear_quota(front: Front, kind: QuotaKind, name: str) -> None:
    """Remove a quota."""
    front.quotas.clear(kind, name)
