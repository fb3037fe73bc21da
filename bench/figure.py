"""One measured figure and the goal it is held against."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`goal` is what the figure should reach, in words such as `<= 1.8`; empty where it is only informative.

    `holds` is whether it was reached; None where there is no goal, or where nothing could be measured.
    """

    name: str
    value: float | None
    unit: str
    goal: str
    holds: bool | None

    def line(self) -> str:
        """The figure as one line of JSON."""
        return json.dumps(asdict(self))
