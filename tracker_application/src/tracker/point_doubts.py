"""What is wrong or implausible about reference points in metres, found before hours are spent on a film.

From above, a camera turns the ground over, since pixels count down and metres up; whatever the perspective, any three
points in view run the other way round in the picture than on the ground.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.errors import PointsInvalid
from tracker.reference import FEWEST_WORLD_POINTS, ReferencePoint, ReferencePoints

# Metres per pixel that no drone has.
FINEST_M, COARSEST_M = 0.002, 2.0
# What the program was tried on.
FINEST_TRIED_M, COARSEST_TRIED_M = 0.01, 0.5
# A car with fewer pixels along its length is not found.
CAR_M, FEWEST_CAR_PX = 4.3, 6.0
METRES_PER_DEGREE = 111_195.0
# What people write instead of metres.
UNITS_M = {"centimetres": 0.01, "millimetres": 0.001, "kilometres": 1000.0, "feet": 0.3048}
# Three points say nothing about their direction if their triangle is flatter than this, or this low in the picture.
FLATTEST, LOWEST_PX = 0.1, 12.0
# Points of which all groups of three are compared.
MOST_COMPARED = 24
# Share of the triples that run the same way round from which all points are mirrored, not some wrong.
MOSTLY = 0.85
# With fewer points, the others always fit once one is left out.
FEWEST_TO_NAME = 6
# As a share of the picture's diagonal.
CLOSE = 0.006


def check_scale(
    metres_per_pixel: float, points: Sequence[ReferencePoint], name: str, *, in_degrees: bool = False
) -> None:
    """Refuse a scale that no drone has, with its likely cause. Raises PointsInvalid.

    `points` are in metres; `in_degrees` says that they were in degrees.
    """
    if FINEST_M <= metres_per_pixel <= COARSEST_M:
        return
    remedy = "Are the coordinates in metres?"
    world = np.array([[point.x_m, point.y_m] for point in points], np.float64).reshape(-1, 2)
    small = len(world) and bool((np.abs(world) <= 180).all())  # noqa: PLR2004  half a turn
    if in_degrees:
        remedy = "Are the coordinates degrees? Name metres x_m and y_m instead of latitude_deg and longitude_deg"
    elif small and FINEST_M <= metres_per_pixel * METRES_PER_DEGREE <= COARSEST_M:
        remedy = "The coordinates look like degrees: name them latitude_deg and longitude_deg instead of x_m and y_m"
    else:
        for unit, factor in UNITS_M.items():
            if FINEST_TRIED_M <= metres_per_pixel * factor <= COARSEST_TRIED_M:
                remedy = f"The coordinates look like {unit}: convert them to metres"
                break
    raise PointsInvalid(
        f"a pixel is {metres_per_pixel:.3g} m wide according to {name}, and no drone's picture is like that",
        remedy=remedy,
    )


def doubts_about_scale(metres_per_pixel: float) -> list[str]:
    """What a scale means for the result, in words: nothing if vehicles of this size were tried."""
    car_px = CAR_M / metres_per_pixel
    wide = f"a pixel is {metres_per_pixel:.2g} m wide"
    outside = f"{wide}, which is outside of what this was tried on"
    if car_px < FEWEST_CAR_PX:
        remedy = "film from lower, with a longer lens, or in a larger format"
        return [f"{wide}, so a car is only {car_px:.1f} pixels long and cannot be detected: {remedy}"]
    if metres_per_pixel > COARSEST_TRIED_M:
        remedy = "expect missed vehicles; film from lower, or in a larger format"
        return [f"{outside} (up to {COARSEST_TRIED_M:g} m): {remedy}"]
    if metres_per_pixel < FINEST_TRIED_M:
        return [f"{outside} (from {FINEST_TRIED_M:g} m): are the coordinates in metres?"]
    return []


def scale_of(points: Sequence[ReferencePoint]) -> float:
    """Metres per pixel, from the areas of the triangles between points with world coordinates."""
    pixels, metres = _places(points)
    triples = _triples(len(pixels))
    areas_px, areas_m2 = np.abs(_areas(pixels, triples)[0]).sum(), np.abs(_areas(metres, triples)[0]).sum()
    return float(np.sqrt(areas_m2 / areas_px))


def metres_per_pixel_of(points: ReferencePoints) -> float:
    """The scale of checked points in metres: from world points, or else from the known length."""
    if len(points.world_points) < FEWEST_WORLD_POINTS and points.known_length is not None:
        return points.known_length.metres_per_pixel
    return scale_of(points.world_points)


def check_view(points: Sequence[ReferencePoint], name: str) -> None:
    """Refuse points that no camera can see where they are. Raises PointsInvalid with the likely cause."""
    pixels, metres = _places(points)
    wrong = _same_way(pixels, metres)
    if not wrong.any():
        return
    labels = [point.name for point in points][:MOST_COMPARED]
    if wrong.all() or (len(pixels) >= FEWEST_TO_NAME and wrong.mean() >= MOSTLY):
        degrees = "latitude and longitude are swapped for all of them, or x and y, or one axis points the other way"
        more = "; or two points are swapped" if len(pixels) == 4 else ""  # noqa: PLR2004  more would not all turn
        raise PointsInvalid(
            f"the points of {name} are mirrored: on the ground they run the other way round than in the picture",
            remedy=f"Perhaps {degrees}{more}. x and y must be right-handed, such as x east and y north",
        )
    pairs = combinations(range(len(pixels)), 2)
    swapped = [pair for pair in pairs if not _same_way(pixels, _exchanged(metres, pair)).any()]
    if len(swapped) == 1:
        one, other = (labels[index] for index in swapped[0])
        raise PointsInvalid(
            f"the points {one!r} and {other!r} of {name} are perhaps swapped: exchanged, all points fit, and as they "
            "are no camera can see them",
            remedy="Exchange their coordinates",
        )
    if _odd_one(pixels, metres) is not None:
        return  # the camera is estimated without it, and `doubts_about` names it
    named = ", ".join(repr(labels[index]) for index in _most_blamed(pixels, metres))
    raise PointsInvalid(
        f"no camera can see the points of {name} like this: their order in the picture and on the ground differs",
        remedy=f"Check the coordinates, first those of {named}",
    )


def doubts_about(points: ReferencePoints) -> Iterator[str]:
    """What is implausible about points that can be used, in words."""
    diagonal_px = float(np.hypot(points.frame.width_px, points.frame.height_px))
    pixels = points.pixels()
    for first, second in combinations(range(len(points.points)), 2):
        apart_px = float(np.hypot(*(pixels[first] - pixels[second])))
        if apart_px < CLOSE * diagonal_px:
            names = f"{points.points[first].name!r} and {points.points[second].name!r}"
            yield f"the points {names} are only {apart_px:.0f} pixels apart: they count like one; spread them"
    known = points.world_points
    odd = _odd_one(*_places(known))
    if odd is not None:
        yield f"the point {known[odd].name!r} does not fit the others, and is probably not used: check it"


def check_distinct_places(points: Sequence[ReferencePoint], name: str) -> None:
    """Refuse two points with the same coordinates on the ground. Raises PointsInvalid."""
    at: dict[tuple[float | None, float | None], str] = {}
    for point in points:
        other = at.setdefault((point.x_m, point.y_m), point.name)
        if other != point.name:
            raise PointsInvalid(
                f"the points {other!r} and {point.name!r} of {name} have the same coordinates",
                remedy="Correct one of them",
            )


def _places(points: Sequence[ReferencePoint]) -> tuple[Floats, Floats]:
    """Pixels and metres of the first points, n x 2 each."""
    chosen = list(points)[:MOST_COMPARED]
    pixels = np.array([[point.x_px, point.y_px] for point in chosen], np.float64).reshape(-1, 2)
    metres = np.array([[point.x_m, point.y_m] for point in chosen], np.float64).reshape(-1, 2)
    return pixels, metres


def _triples(count: int) -> Floats:
    return np.array(list(combinations(range(count), 3)), np.int64).reshape(-1, 3)


def _areas(places: Floats, triples: Floats) -> tuple[Floats, Floats]:
    """Twice the signed area of each triangle, and its longest side."""
    a, b, c = places[triples].transpose(1, 0, 2)
    (bx, by), (cx, cy) = (b - a).T, (c - a).T
    longest = np.max([np.hypot(*side.T) for side in (b - a, c - a, c - b)], axis=0)
    return bx * cy - by * cx, np.maximum(longest, 1e-12)


def _same_way(pixels: Floats, metres: Floats) -> Flags:
    """Which of the triples that have a direction run the same way round in both, as they must not."""
    triples = _triples(len(pixels))
    seen, across_px = _areas(pixels, triples)
    there, across_m = _areas(metres, triples)
    clear = (np.abs(seen) > FLATTEST * across_px**2) & (np.abs(there) > FLATTEST * across_m**2)
    clear &= np.abs(seen) / across_px > LOWEST_PX
    same: Flags = ((seen > 0) == (there > 0))[clear]
    return same


def _odd_one(pixels: Floats, metres: Floats) -> int | None:
    """The point without which all others fit, if they do not, and if there are enough to tell."""
    if len(pixels) < FEWEST_TO_NAME or not _same_way(pixels, metres).any():
        return None
    without = ((index, np.delete(pixels, index, 0), np.delete(metres, index, 0)) for index in range(len(pixels)))
    return next((index for index, *rest in without if not _same_way(*rest).any()), None)


def _exchanged(places: Floats, pair: tuple[int, int]) -> Floats:
    changed = places.copy()
    changed[list(pair)] = places[list(pair[::-1])]
    return changed


def _most_blamed(pixels: Floats, metres: Floats) -> list[int]:
    """The points in most triples that run the wrong way round."""
    rest = [
        int(_same_way(np.delete(pixels, index, 0), np.delete(metres, index, 0)).sum()) for index in range(len(pixels))
    ]
    return [index for index, left in enumerate(rest) if left == min(rest)]
