"""Checks the correction of parallax with the vehicles that drive through the picture.

Vehicles lean away from the point below the camera, and their outlines grow with it. If heights are right, the corrected
length of a vehicle stays the same wherever it drives. If the camera's height is wrong, or the film shows something flat
(composed of other pictures, say), it shrinks or grows with the correction.
"""

from __future__ import annotations

import numpy as np

from tracker.arrays import Floats
from tracker.association import Track
from tracker.detectors.places import VAN_M
from tracker.tables import Table

# By what the outlines in `detections.parquet` are further out and larger than the boxes. Others' boxes lack these.
LEAN = ("lean_x_m", "lean_y_m", "lean_length_m", "lean_width_m")
LEANING = ("x_m", "y_m", "length_m", "width_m")
# The column of `tracks.parquet` with the share of the correction, if it was not right; and the least one that is drawn.
SHARE, LEAST_SHARE = "lean_share", 1e-3
# Vehicles that tell something: cars by nearly all of their boxes, not as long as those that may be vans; the correction
# must change by this much. On two rendered films, they lean as they should within 0.05.
LONGEST_M, MOSTLY, FEWEST_BOXES, LEAST_CHANGE_M = 4.8, 0.9, 15, 0.15
# The correction stays as it is with fewer vehicles, or if it is off by less than this share or than so many standard
# errors: the bodies of cars differ.
FEWEST_VEHICLES, LEAST_OFF, SURE_ERRORS = 5, 0.5, 4.0
# No lens is so wide that vehicles lean further than this.
MOST_SHARE = 2.0


def lean_share(boxes: Table, tracks: list[Track]) -> float | None:
    """How far vehicles lean, as a share of the correction; None if it is right as far as can be told."""
    if not set(LEAN) <= boxes.keys():
        return None
    slopes = np.array([slope for track in tracks if (slope := _slope(boxes, track)) is not None])
    if len(slopes) < FEWEST_VEHICLES:
        return None
    off = float(np.median(slopes))
    # The standard error of a median, from the median deviation.
    error = 1.2533 * 1.4826 * float(np.median(np.abs(slopes - off))) / np.sqrt(len(slopes))
    return min(max(0.0, 1 + off), MOST_SHARE) if abs(off) > max(LEAST_OFF, SURE_ERRORS * error) else None


def leaning_by(boxes: Table, share: float) -> Table:
    """The boxes with this share of the correction; the network's places, too."""
    changed = {name: boxes[name] + (1 - share) * boxes[lean] for name, lean in zip(LEANING, LEAN, strict=True)}
    for name, lean in (("network_x_m", "lean_x_m"), ("network_y_m", "lean_y_m")):
        if name in boxes:
            changed[name] = boxes[name] + (1 - share) * boxes[lean]
    return boxes | changed


def camera_for(tracks: Table, camera_m: Floats) -> Floats:
    """The camera positions (n x 3) under which vehicles of these tracks lean as far as they were found to."""
    share = float(tracks[SHARE][0]) if SHARE in tracks else 1.0
    return camera_m / [1.0, 1.0, max(share, LEAST_SHARE)]


def _slope(boxes: Table, track: Track) -> float | None:
    """By how much the length of a vehicle changes with its correction; None if that cannot be told."""
    rows = np.array(track.rows)
    rows = rows[~np.array(track.shared) & (boxes["whole"][rows] == 1)]
    if len(rows) < FEWEST_BOXES:
        return None
    length, lean = boxes["length_m"][rows], boxes["lean_length_m"][rows]
    outline = length + lean
    cars = (boxes["class"][rows] == "car") & (outline <= VAN_M)
    if cars.mean() < MOSTLY or np.median(outline) > LONGEST_M:
        return None
    off: Floats = lean - lean.mean()
    return float(off @ length / (off @ off)) if np.ptp(lean) >= LEAST_CHANGE_M else None
