"""Charts that people have saved."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from winslow_dagster.tables.charts import ChartQuery


class SavedChart(BaseModel):
    """A chart of a file of a stage, shown with the results of each attempt. `file`: its path in the outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str
    stage: str
    name: str
    file: str
    query: ChartQuery
    saved_by: str
