"""The evaluation figures of trajectories, and their goals."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any


def _figure(unit: str = "", at_least: float | None = None, at_most: float | None = None) -> Any:
    return dataclasses.field(metadata={"unit": unit, "at_least": at_least, "at_most": at_most})


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """Deviations of trajectories from the truth. NaN if nothing could be compared.

    Only vehicles fully in view count; trajectories of others are neither right nor wrong. The similarity for `hota` is
    1 - distance / 2 m of the centres, for `hota_boxes` the IoU of the oriented boxes. `mota`, `idf1`, recall and
    precision match centres within 1.5 m; errors are over these matches. `vehicles_found`: share of the vehicles matched
    for at least half of their time in view. `class_right`: share of the matched positions with the true class.
    `lane_assignment`: share of the matched positions on a lane whose assigned
    lane is the one of the majority there. `movement_count_error`: sum of the differences of counts from side to side,
    per vehicle.
    """

    vehicles: int = _figure()
    tracks: int = _figure()
    vehicles_found: float = _figure()
    recall: float = _figure()
    precision: float = _figure()
    identity_switches: int = _figure()
    hota: float = _figure("%", at_least=85)
    hota_detection: float = _figure("%")
    hota_association: float = _figure("%")
    hota_boxes: float = _figure("%")
    mota: float = _figure("%", at_least=93)
    idf1: float = _figure("%", at_least=95)
    position_error_median_m: float = _figure("m", at_most=0.05)
    position_error_p95_m: float = _figure("m")
    position_error_rmse_m: float = _figure("m", at_most=0.15)
    speed_error_median_km_h: float = _figure("km/h", at_most=0.2)
    speed_error_p95_km_h: float = _figure("km/h", at_most=1.5)
    class_right: float = _figure("%")
    lane_assignment: float = _figure("%", at_least=98)
    movement_count_error: float = _figure("%", at_most=1)

    def lines(self) -> Iterator[str]:
        """Each figure as a line of JSON: name, value, unit, goal, and whether it is met (null: no goal or value)."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            known = value == value  # noqa: PLR0124
            low, high = item.metadata["at_least"], item.metadata["at_most"]
            goal = f">= {low:g}" if low is not None else f"<= {high:g}" if high is not None else ""
            holds = bool(value >= low if low is not None else value <= high) if goal and known else None
            line = {"name": item.name, "value": round(value, 4) if known else None, "unit": item.metadata["unit"]}
            yield json.dumps(line | {"goal": goal, "holds": holds})
