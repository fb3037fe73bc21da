"""Entries of the audit trail, and how they are found."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MOST_SHOWN = 1000
HIGHEST_ID = 2**31 - 1


class AuditEntry(BaseModel):
    """One action, with its arguments in `details`. Later entries have higher ids."""

    model_config = ConfigDict(frozen=True)

    id: int
    at: datetime
    who: str
    via: str
    host: str
    project: str | None
    action: str
    details: dict[str, Any]


class AuditQuery(BaseModel):
    """Which entries to find: of one project, person or action, from `since` to before `until`, older than `before`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str | None = None
    who: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = Field(default=None, ge=0, le=HIGHEST_ID)
    limit: int = Field(default=100, ge=1, le=MOST_SHOWN)


class AuditPage(BaseModel):
    """Entries, the latest first. `before` finds the next page; None on the last one."""

    model_config = ConfigDict(frozen=True)

    entries: tuple[AuditEntry, ...]
    before: int | None = None


class AuditChoices(BaseModel):
    """What entries can be found by."""

    model_config = ConfigDict(frozen=True)

    people: tuple[str, ...]
    actions: tuple[str, ...]
