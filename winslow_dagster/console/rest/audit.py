"""Who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.domain.audit import AuditPage, AuditQuery

room = Room(tags=["audit"])


@room.route_for("/audit", role="viewer")
def audit(front: Front, query: Annotated[AuditQuery, Query()]) -> AuditPage:
    """The audit entries that match, the latest first. Pass `before` of a page to get the next one."""
    return front.find_audit_entries(query)
