"""Tables, and what is drawn of them, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from winslow_dagster.client.http import Http, part
from winslow_dagster.projects.domain.charts import SavedChart
from winslow_dagster.tables.charts import Chart, ChartQuery
from winslow_dagster.tables.model import TableShape, TableWindow
from winslow_dagster.tables.shapes import Shapes
from winslow_dagster.tables.tracks import TrackColumns, Tracks


class TableClient:
    """One file as a table. Every method waits until the server has read the file."""

    def __init__(self, http: Http, project_path: str, place: Mapping[str, Any]) -> None:
        self._http = http
        self._path = project_path
        self._place = dict(place)

    @property
    def shape(self) -> TableShape:
        """Its columns, and how many rows it has."""
        shape = self.window(0, 0).shape
        assert shape is not None  # noqa: S101  # of a table that has been read
        return shape

    def window(
        self,
        begin: int = 0,
        rows: int = 100,
        *,
        columns: Sequence[str] = (),
        sort: str = "",
        where: Sequence[str] = (),
    ) -> TableWindow:
        """Some rows, at most 500, filtered and sorted; `-COLUMN` sorts downwards."""
        asked = {"from": begin, "rows": rows, "columns": list(columns), "sort": sort, "where": list(where)}
        while True:
            found = self._http.get(TableWindow, f"{self._path}/table", **self._place, **asked)
            if found.reading is None:
                return found

    def chart(self, query: ChartQuery, points: int = 1000) -> Chart:
        """A chart of its columns, with about as many points per series."""
        return self._http.get_when_read(
            Chart, f"{self._path}/chart", **self._place, **query.model_dump(), points=points
        )

    def tracks(self, columns: TrackColumns, points: int = 40_000, only: str = "") -> Tracks:
        """Things that move, with about as many positions in all; or all positions of one of them."""
        asked = columns.model_dump() | {"points": points, "only": only}
        return self._http.get_when_read(Tracks, f"{self._path}/tracks", **self._place, **asked)

    def shapes(self, begin: int = 0, count: int = 2000) -> Shapes:
        """Features of a GeoJSON file, from one of them on."""
        return self._http.get_when_read(
            Shapes, f"{self._path}/shapes", **self._place, **{"from": begin, "count": count}
        )


class ChartClient:
    """Like `Winslow.charts`: the charts that people saved for the results of stages."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def of(self, pipeline: str, stage: str | None = None) -> tuple[SavedChart, ...]:
        """The charts of a pipeline, or of one of its stages, by name."""
        return self._http.get(tuple[SavedChart, ...], f"/pipelines/{part(pipeline)}/charts", stage=stage)

    def save(self, pipeline: str, stage: str, name: str, file: str, query: ChartQuery) -> SavedChart:
        """Save a chart; one of the same name and stage is replaced. Raises NotFound, InputRejected."""
        body = {"stage": stage, "name": name, "file": file, "query": query.model_dump(mode="json")}
        return self._http.put(SavedChart, f"/pipelines/{part(pipeline)}/charts", body)

    def delete(self, pipeline: str, stage: str, name: str) -> None:
        """Delete a chart. Raises NotFound."""
        self._http.send("DELETE", f"/pipelines/{part(pipeline)}/charts", query={"stage": stage, "chart": name})
