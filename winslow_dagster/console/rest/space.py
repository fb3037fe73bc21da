"""What takes space, what the retention rules would free, and what was measured on the disks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.projects.domain.space import DiskForecast, KindUsage, Space
from winslow_dagster.projects.retention.service import PruneResult

room = Room(prefix="/space", tags=["space"])
slow_room = Room(prefix="/space", tags=["space"], threads=LOGS)


class Measured(BaseModel):
    """What was measured."""

    kinds: tuple[KindUsage, ...]


@room.route_for("", role="viewer")
def show_space(
    front: Front, projects: Annotated[int, Query(ge=0, le=10_000, description="As many, the largest first.")] = 50
) -> Space:
    """What takes space, from the tables: by kind, project, owner, stage and age. Caches are as last measured."""
    return front.space.summary(projects)


@room.route_for("/disks", role="viewer")
def show_disks(front: Front) -> tuple[DiskForecast, ...]:
    """How much is free on each node, and when its disk will be full at its recent rate."""
    return front.space.disks()


@slow_room.route_for("/rules", role="viewer")
def show_rules(front: Front) -> PruneResult:
    """What the retention rules would free. Nothing is removed."""
    return front.retention.plan()


@slow_room.route_for("/measure", role="operator", method="POST")
def measure(front: Front) -> Measured:
    """Measure caches and leftovers now, and keep that for later looks."""
    return Measured(kinds=front.space.measure())
