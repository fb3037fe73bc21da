"""A measured figure and its goal."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`goal` is text such as `<= 1.8`, or empty for informative figures.

    `holds` says whether it was met; None without a goal or a measurement.
    """

    name: str
    value: float | None
    unit: str
    goal: str
    holds: bool | None
    note: str = ""
    """What was measured, or why it could not be."""

    def line(self) -> str:
        """The figure as one line of JSON."""
        fields = asdict(self)
        return json.dumps(fields if self.note else {name: value for name, value in fields.items() if name != "note"})
