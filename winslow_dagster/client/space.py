"""What takes space, over HTTP."""

from __future__ import annotations

from pydantic import BaseModel

from winslow_dagster.client.http import Http
from winslow_dagster.projects.domain.space import DiskForecast, KindUsage, Space


class _Measured(BaseModel):
    kinds: tuple[KindUsage, ...]


class SpaceClient:
    """Like `Winslow.space`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def summary(self, most_projects: int = 50) -> Space:
        """What takes space, quickly: by kind, project, owner, stage and age. Caches are as they were last measured."""
        return self._http.get(Space, "/space", projects=most_projects)

    def disks(self) -> tuple[DiskForecast, ...]:
        """How much is free on each node, and when its disk will be full at its recent rate."""
        return self._http.get(tuple[DiskForecast, ...], "/space/disks")

    def measure(self) -> tuple[KindUsage, ...]:
        """Measure now what only the disks know, which may take a while, and keep it."""
        return self._http.post(_Measured, "/space/measure", {}).kinds
