"""What of a stage's results is drawn together, as frozen values."""

from __future__ import annotations

from typing import Literal

from winslow_dagster.pipelines.model.frozen import Frozen


class TrajectoryView(Frozen):
    """Things that move: a table with a row per thing and moment. Files are `STAGE/PATH`, columns are names.

    `picture` and `shapes` are in the coordinates of `x` and `y`; `video` has the time of `time`.
    """

    kind: Literal["trajectories"] = "trajectories"
    title: str = ""
    table: str
    track: str
    time: str
    x: str
    y: str
    class_column: str = ""
    speed: str = ""
    speed_unit: str = ""
    unit: Literal["px", "m", "deg"] = "px"
    picture: str = ""
    shapes: str = ""
    video: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it shows."""
        return tuple(each for each in (self.table, self.picture, self.shapes, self.video) if each)
