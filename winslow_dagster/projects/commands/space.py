"""What takes space: from the tables, with what was measured on the disks."""

from __future__ import annotations

from contextlib import suppress

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.disk_samples import DiskSamples
from winslow_dagster.projects.database.space_usage import SpaceUsage
from winslow_dagster.projects.domain.space import DiskForecast, KindOfSpace, KindUsage, Space
from winslow_dagster.projects.retention.disk_forecast import LONGEST, filling_disks, forecast_all, sampled
from winslow_dagster.projects.retention.measurement import measured

MOST_PROJECTS = 50


class SpaceCommands:
    """The space of one installation."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def summary(self, most_projects: int = MOST_PROJECTS) -> Space:
        """What takes space, quickly: by kind, project, owner, stage and age. Caches are as they were last measured."""
        return SpaceUsage(self._context.records.database).space(self._context.clock(), most_projects)

    def measure(self) -> tuple[KindUsage, ...]:
        """Measure now what only the disks know, which may take a while, and keep it. Raises EngineError."""
        context = self._context
        context.actor.require("operator")
        names: set[str] = set()
        for loaded in context.pipelines().pipelines.values():
            names |= {stage.image for stage in loaded.pipeline.stages if stage.image and "${" not in stage.image}
        sizes: dict[KindOfSpace, int] = measured(context.records, context.settings, context.engine)
        with suppress(ServiceUnavailable):  # without Docker there are no images
            sizes["images"] = sum(image.size_bytes or 0 for image in context.engine.images(sorted(names)))
        at = context.clock()
        SpaceUsage(context.records.database).note(sizes, at)
        return tuple(KindUsage(kind=kind, size_bytes=size_bytes, measured_at=at) for kind, size_bytes in sizes.items())

    def disks(self) -> tuple[DiskForecast, ...]:
        """How much is free on each node now, and when its disk will be full. Raises EngineError."""
        context = self._context
        now = context.clock()
        samples = DiskSamples(context.records.database).by_node(now - LONGEST)
        current = {each.node: (*samples.get(each.node, ()), each) for each in sampled(context.engine, now)}
        return forecast_all(current, context.settings, now)

    def filling_disks(self) -> tuple[DiskForecast, ...]:
        """The disks about which a person should do something, as they were a moment ago: no node is asked."""
        context = self._context
        now = context.clock()
        samples = DiskSamples(context.records.database).by_node(now - LONGEST)
        return filling_disks(samples, context.settings, now)
