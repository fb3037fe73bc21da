"""Audit: who did what, when, and from where."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.projects.domain.audit import HIGHEST_ID, AuditQuery

PAGE = 100

room = Room()


class Filters(BaseModel):
    """The filters in the address. The form of the page also sends those that are empty; days are UTC's."""

    model_config = ConfigDict(frozen=True)

    project: str | None = None
    who: str | None = None
    action: str | None = None
    since: date | None = None
    until: date | None = None
    before: int | None = Field(default=None, ge=0, le=HIGHEST_ID)

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @property
    def chosen(self) -> dict[str, str]:
        """The filters that are set, without the place in the list."""
        return {name: str(value) for name, value in self.model_dump(exclude={"before"}).items() if value is not None}

    def query(self) -> AuditQuery:
        """The entries that they select: `until` is the last day that counts."""
        return AuditQuery(
            project=self.project,
            who=self.who,
            action=self.action,
            since=self.since and _begin_of(self.since),
            until=self.until and _begin_of(min(self.until, date.max - timedelta(days=1)) + timedelta(days=1)),
            before=self.before,
            limit=PAGE,
        )

    def address(self, before: int | None = None) -> str:
        """The address of the page with these filters, or of its part with the entries older than `before`."""
        given = self.chosen | ({} if before is None else {"before": str(before)})
        return f"/audit?{urlencode(given)}" if given else "/audit"


@room.route_for("/audit", role="viewer")
def audit(request: Request, front: Front, filters: Annotated[Filters, Query()]) -> HTMLResponse:
    """The page."""
    found = front.find_audit_entries(filters.query())
    # The trail of a project outlives it.
    existing = front.context.records.names({entry.project for entry in found.entries if entry.project})
    return page(
        request,
        "audit.html",
        found=found,
        existing=existing,
        filters=filters,
        choices=front.audit_choices(),
        command=_command(filters),
    )


def _command(filters: Filters) -> str:
    """What shows the same in a shell."""
    query = filters.query()
    options = {
        "who": query.who,
        "action": query.action,
        "since": query.since and query.since.date().isoformat(),
        "until": query.until and query.until.date().isoformat(),
        "before": query.before and str(query.before),
    }
    words = [word for name, value in options.items() if value for word in (f"--{name}", value)]
    return command("audit", *([query.project] if query.project else []), *words)


def _begin_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
