"""The fields of `views`, with their descriptions. Their defaults are those of model/result_views.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from winslow_dagster.pipelines.model import result_views
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import StageFile

Column = Annotated[str, Field(min_length=1)]


class TrajectoryViewDocument(Document):
    """Draws things that move over a picture, with their speeds, beside the moment in a video."""

    model = result_views.TrajectoryView
    noun = "a view"

    kind: Literal["trajectories"] = Field(description="Draws things that move.")
    title: str | None = Field(default=None, description="Title of the view.")
    table: StageFile = Field(
        description="CSV or Parquet file with a row for each thing and moment: `STAGE/PATH`, of any stage."
    )
    track: Column = Field(description="Column that says which thing a row is of.")
    time: Column = Field(description="Column of the time in seconds, counted from the first frame of `video`.")
    x: Column = Field(description="Column of the horizontal coordinate.")
    y: Column = Field(description="Column of the vertical coordinate.")
    unit: Literal["px", "m", "deg"] | None = Field(
        default=None,
        description="Unit of the coordinates: pixels of `picture` as shown, counted downwards; metres; or degrees.",
    )
    class_column: Column | None = Field(default=None, description="Column of the class of a thing, which has a colour.")
    speed: Column | None = Field(default=None, description="Column of the speed.")
    speed_unit: Column | None = Field(default=None, description="Unit of the speed, such as `km/h`.")
    picture: StageFile | None = Field(default=None, description="Picture below the trajectories: `STAGE/PATH`.")
    shapes: StageFile | None = Field(
        default=None, description="GeoJSON file in the same coordinates, such as lanes: `STAGE/PATH`."
    )
    video: StageFile | None = Field(default=None, description="Video beside the trajectories: `STAGE/PATH`.")
