"""Checks reference points for footage of a given size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tracker.errors import PointsInvalid
from tracker.point_doubts import check_distinct_places, check_scale, check_view, scale_of
from tracker.reference import FEWEST_WORLD_POINTS, Frame, ReferencePoints, parse_points

# Ratio of the second singular value to the first, below which the points count as collinear.
FLATTEST_SPREAD = 0.03


def read_points(path: Path, frame: Frame) -> ReferencePoints:
    """Read and check a person's file for footage of this size; `frame` fills in what it omits.

    Raises PointsInvalid with the point, the problem and the remedy.
    """
    points = parse_points(path, frame)
    check_points(points, frame, path.name)
    return points


def check_points(points: ReferencePoints, frame: Frame, name: str) -> None:
    """Check that they can be used with footage of this size; `name` is their origin. Raises PointsInvalid."""
    size = (points.frame.width_px, points.frame.height_px)
    if size != (frame.width_px, frame.height_px):
        raise PointsInvalid(
            f"{name} is for {size[0]}x{size[1]} pixels, but the video has {frame.width_px}x{frame.height_px}",
            remedy="Mark the points on frame.jpg of this video",
        )
    _check_inside(points)
    _check_distinct(points)
    _check_scale(points, name)


def _check_inside(points: ReferencePoints) -> None:
    places = [(f"point {point.name!r}", point.x_px, point.y_px) for point in points.points]
    if points.known_length is not None:
        places += [
            ("an end of known_length", *points.known_length.from_px),
            ("an end of known_length", *points.known_length.to_px),
        ]
    outside = [(what, x, y) for what, x, y in places if not points.frame.holds(x, y)]
    if outside:
        listed = "; ".join(f"{what} at ({x:g}, {y:g})" for what, x, y in outside)
        size = f"{points.frame.width_px}x{points.frame.height_px}"
        raise PointsInvalid(f"outside the frame of {size} pixels: {listed}", remedy="Mark them on frame.jpg again")


def _check_distinct(points: ReferencePoints) -> None:
    names: set[str] = set()
    at: dict[tuple[float, float], str] = {}
    for point in points.points:
        if point.name in names:
            raise PointsInvalid(f"two points are named {point.name!r}", remedy="Give each point its own name")
        names.add(point.name)
        other = at.setdefault((point.x_px, point.y_px), point.name)
        if other != point.name:
            raise PointsInvalid(
                f"the points {other!r} and {point.name!r} are at the same pixel", remedy="Remove one of them"
            )


def _check_scale(points: ReferencePoints, name: str) -> None:
    if points.world_points and any(point.latitude_deg is not None for point in points.points):
        raise PointsInvalid(
            f"{name} has points in metres and points in degrees", remedy="Use the same coordinates for all points"
        )
    points, plane = points.in_metres()
    world = points.world_points
    if not points.points and points.known_length is None:
        raise PointsInvalid(
            f"{name} has no points", remedy="Give at least 4 points with x_m and y_m, or one known_length"
        )
    if points.known_length is not None and len(world) < FEWEST_WORLD_POINTS:
        check_scale(points.known_length.metres_per_pixel, (), name)
        return
    if len(world) < FEWEST_WORLD_POINTS:
        raise PointsInvalid(
            f"{name} gives no scale: only {len(world)} of its {len(points.points)} points have x_m and y_m",
            remedy="Add x_m and y_m to at least 4 points, or add one known_length",
        )
    check_distinct_places(world, name)
    pixels = np.array([[point.x_px, point.y_px] for point in world], np.float64)
    metres = np.array([[point.x_m, point.y_m] for point in world], np.float64)
    for what, places in (("pixels", pixels), ("metres", metres)):
        spread = np.linalg.svd(places - places.mean(axis=0), compute_uv=False)
        if spread[1] < FLATTEST_SPREAD * spread[0] or spread[0] == 0:
            raise PointsInvalid(f"the points of {name} are collinear (in {what})", remedy="Spread them over the frame")
    check_scale(scale_of(world), world, name, in_degrees=plane is not None)
    check_view(world, name)
