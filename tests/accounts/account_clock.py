"""What tests of accounts share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from winslow_dagster.projects.domain.actor import Actor, Role
from winslow_dagster.projects.installation import Installation

PASSWORD = "correct horse battery"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def acting(installation: Installation, name: str, role: Role) -> Installation:
    return installation.acting_as(Actor(name, "console", "10.0.0.7", role))
