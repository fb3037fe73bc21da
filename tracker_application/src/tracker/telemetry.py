"""The subtitles (.SRT) that DJI drones write beside a film: a cross-check of the camera's height.

The height is that above the place of take-off, from a barometer: `[rel_alt: 75.300 abs_alt: 250.1]`, or
`BAROMETER:75.3` of older drones.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tracker.errors import InputMissing

HEIGHT = re.compile(r"(?:rel_alt\s*:|BAROMETER\s*:)\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)
# The ground may be lower or higher than the place of take-off, and barometers drift.
UNLIKE_M, UNLIKE = 10.0, 0.2
FOOT_M, ABOUT_A_FOOT = 0.3048, 0.15


def height_m(path: Path) -> float:
    """The median height above the place of take-off. Raises InputMissing if there is none."""
    heights = [float(text) for text in HEIGHT.findall(path.read_text(encoding="utf-8", errors="replace"))]
    if not heights:
        raise InputMissing(
            f"{path.name} has no heights",
            remedy="Expected the .SRT of a drone, with rel_alt or BAROMETER; or leave it out",
        )
    return float(np.median(heights))


def doubt_about_height(from_points_m: float, from_drone_m: float) -> str:
    """What the drone's height says about the one that follows from the reference points; empty if they agree."""
    if abs(from_points_m - from_drone_m) <= max(UNLIKE_M, UNLIKE * from_drone_m):
        return ""
    doubt = (
        f"the camera is {from_points_m:.0f} m high according to the reference points and the field of view, and "
        f"{from_drone_m:.0f} m above its take-off according to the drone"
    )
    in_feet = from_drone_m > 0 and abs(from_points_m * FOOT_M / from_drone_m - 1) <= ABOUT_A_FOOT
    return f"{doubt}: are the points in feet?" if in_feet else f"{doubt}: are the scale and the field of view right?"
