"""The common style of charts, and empty charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tracker.tables import Table, write_table

mpl.use("Agg")
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e7ea",
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a939c",
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    # Equal data must give equal files.
    "svg.hashsalt": "tracker",
}
# From Okabe and Ito: distinguishable for colour-blind readers; lines also differ in their dashes.
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#8a939c"
LINES = ((BLUE, "-"), (ORANGE, "--"), ("#009e73", "-."), ("#cc79a7", ":"), ("#e69f00", (0, (6, 1, 1, 1, 1, 1))))
SPEED_MAP = "viridis"
STANDING_KM_H = 5.0


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure, its data table, and a short caption. `section` is its place in the report."""

    name: str
    title: str
    caption: str
    figure: Figure
    table: Table
    section: str = "Traffic"

    def write(self, directory: Path) -> None:
        """Write it as PNG and SVG, and its table as CSV."""
        with mpl.rc_context(STYLE):
            self.figure.savefig(directory / f"{self.name}.png")
            self.figure.savefig(directory / f"{self.name}.svg", metadata={"Date": None})
        write_table(directory / f"{self.name}.csv", self.table)


def new_figure(width_in: float, height_in: float) -> Figure:
    """A figure with a layout without overlaps. Create it, and draw on it, within `STYLE`."""
    with mpl.rc_context(STYLE):
        return Figure(figsize=(width_in, height_in), dpi=110, layout="constrained")


def empty(name: str, title: str, reason: str, columns: Sequence[str], section: str = "Traffic") -> Chart:
    """A chart that says why there is nothing to show; its table has only a header."""
    figure = new_figure(7, 1.4)
    figure.text(0.01, 0.86, title, weight="bold", va="top", size=12)
    figure.text(0.01, 0.40, f"Nothing to show: {reason}.", color="#5c6670")
    return Chart(
        name, title, f"Nothing to show: {reason}.", figure, {column: np.zeros(0) for column in columns}, section
    )
