"""Charts that people save for the results of a stage."""

from __future__ import annotations

from winslow_dagster.errors import NotFound
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.saved_charts import SavedCharts
from winslow_dagster.projects.domain.charts import SavedChart
from winslow_dagster.tables.charts import ChartQuery


class ChartCommands:
    """The saved charts of one installation. Everybody sees them; they belong to the pipeline."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def of(self, pipeline: str, stage: str | None = None) -> tuple[SavedChart, ...]:
        """The charts of a pipeline, or of one of its stages, by name."""
        return self._charts.of(pipeline, stage)

    def save(self, pipeline: str, stage: str, name: str, file: str, query: ChartQuery) -> SavedChart:
        """Save a chart; one of the same name and stage is replaced. Raises NotFound, InputRejected."""
        found = self._context.pipeline(pipeline)
        if stage not in {each.name for each in found.pipeline.stages}:
            raise NotFound(f"there is no stage {stage!r}", where=f"pipeline {pipeline}")
        chart = SavedChart(
            pipeline=pipeline, stage=stage, name=name, file=file, query=query, saved_by=self._context.actor.who
        )
        self._charts.save(chart)
        return chart

    def delete(self, pipeline: str, stage: str, name: str) -> None:
        """Delete a chart. Raises NotFound."""
        self._charts.delete(pipeline, stage, name)

    @property
    def _charts(self) -> SavedCharts:
        return SavedCharts(self._context.records.database)
