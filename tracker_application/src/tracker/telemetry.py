"""The subtitles (.SRT) that DJI drones write beside a film: height, lens and clock.

The height is that above the place of take-off, from a barometer: `[rel_alt: 75.300 abs_alt: 250.1]`, or
`BAROMETER:75.3` of older drones. The focal length is that of a 35 mm camera with the same view: `[focal_len: 24.00]`,
or in tenths `[focal_len : 240]`, to be multiplied by the digital zoom: `[dzoom_ratio: 1.00]`, or in ten-thousandths
`[dzoom_ratio: 10000, delta:0]`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from tracker.contract import is_telemetry
from tracker.errors import InputMissing

HEIGHT = re.compile(r"(?:rel_alt\s*:|BAROMETER\s*:)\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)
FOCAL = re.compile(r"focal_len\s*:\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
ZOOM = re.compile(r"dzoom_ratio\s*:\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
CLOCK = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d[.,]\d{3})")
# Larger numbers are tenths of a millimetre, and ten-thousandths.
LONGEST_MM, TENTH, LARGEST_ZOOM, WHOLE = 200.0, 0.1, 100.0, 10_000.0
# The ground may be lower or higher than the place of take-off, and barometers drift.
UNLIKE_M, UNLIKE = 10.0, 0.2
FOOT_M, ABOUT_A_FOOT = 0.3048, 0.15


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Medians over all frames: the height above the place of take-off, and the focal length, if it was written down."""

    height_m: float
    focal_length_35mm: float | None = None


def read_telemetry(paths: Sequence[Path]) -> Telemetry | None:
    """From the files of all parts of a film; None without files. Raises InputMissing if there is no height in them."""
    if not paths:
        return None
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)
    heights = [float(found) for found in HEIGHT.findall(text)]
    if not heights:
        raise InputMissing(
            f"{', '.join(path.name for path in paths)}: no heights",
            remedy="Expected the .SRT of a drone, with rel_alt or BAROMETER; leave others out, or move them away from "
            "the film",
        )
    focals = [float(found) for found in FOCAL.findall(text)]
    zooms = [float(found) for found in ZOOM.findall(text)]
    focal = float(np.median(focals)) if focals else 0.0
    zoom = float(np.median(zooms)) if zooms else 1.0
    focal *= (TENTH if focal > LONGEST_MM else 1.0) * (zoom / WHOLE if zoom > LARGEST_ZOOM else zoom)
    return Telemetry(float(np.median(heights)), focal or None)


def recorded(film: Path) -> tuple[datetime, datetime] | None:
    """When the first and the last frame of a film were taken, as the .SRT of the same name says; None without one."""
    beside = (path for path in film.parent.iterdir() if path.stem == film.stem and is_telemetry(path))
    path = next(beside, None)
    times = CLOCK.findall(path.read_text(encoding="utf-8", errors="replace")) if path else []
    if not times:
        return None
    first, last = (datetime.fromisoformat(f"{day} {time.replace(',', '.')}") for day, time in (times[0], times[-1]))
    return first, last


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
