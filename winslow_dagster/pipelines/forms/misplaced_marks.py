"""Points that the others contradict: mirrored, swapped, misplaced, or none of them fitting together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from winslow_dagster.pipelines.forms.judged_marks import Doubt
from winslow_dagster.pipelines.forms.marked_map import MOST_NAMED, MarkedMap, distance, exchanged
from winslow_dagster.pipelines.forms.plane_fit import Place, fit_homography

CLEARLY = 12.0
"""Half of the squared error, in squared clicks, above which it is no accident of clicking: 1 in 160 000."""
BY_ACCIDENT = 1e-3
"""Probability that the other points fit as well as they do by accident."""
MISFIT_CLICKS = 5.0
MOSTLY = 5
MOST_SWAPPED = 14
FEWEST_TO_NAME = 6
"""With fewer points, the others always fit once one is left out."""
MOST_MISPLACED, MOST_MISPLACED_SHARE = 5, 1 / 3


def misplaced(marks: MarkedMap) -> list[Doubt]:
    """What is wrong with the place of points, if they are not all on one line."""
    return _turned(marks) or _out_of_line(marks)


def _turned(marks: MarkedMap) -> list[Doubt]:
    """Mirrored coordinates; or two points exchanged, where the points are too few to be fitted."""
    right, wrong = marks.turns(range(marks.count), marks.places)
    if not wrong:
        return []
    mostly = marks.count >= FEWEST_TO_NAME and wrong > MOSTLY * right
    if not right or (mostly and not _fits_exchanged(marks)):
        hint = "longitude comes before latitude" if marks.world == "wgs84" else "x and y are perhaps exchanged"
        text = f"The points are mirrored: in the world they run the other way round. {hint.capitalize()}"
        more = ", or two of the points." if marks.count <= 4 else "."  # noqa: PLR2004  # more would not all turn
        return [Doubt("mirrored", text + more, tuple(marks.numbers))]
    if marks.count >= FEWEST_TO_NAME:
        return []
    repaired = [
        pair
        for pair in itertools.combinations(range(marks.count), 2)
        if marks.turns(range(marks.count), exchanged(marks.places, *pair))[1] == 0
    ]
    if len(repaired) == 1:
        return [_swapped(marks, *repaired[0])]
    votes = [0] * marks.count
    for triple, turned in marks.triples(range(marks.count), marks.places):
        for each in triple:
            votes[each] += not turned
    named = [index for index in range(marks.count) if votes[index] == max(votes)]
    names = " and ".join(marks.label(each) for each in named)
    text = f"The points do not lie in the world as in the picture. Check {names}."
    return [Doubt("misplaced", text, tuple(marks.numbers[each] for each in named))]


def _fits_exchanged(marks: MarkedMap) -> bool:
    """Whether the exchange of two points explains all: of two at opposite corners, it turns most triangles."""
    return (
        marks.count <= MOST_NAMED and _best_exchange(marks, range(marks.count), marks.error(marks.places)) is not None
    )


def _swapped(marks: MarkedMap, one: int, other: int) -> Doubt:
    text = f"{marks.label(one)} and {marks.label(other)} are perhaps swapped: exchanged, all points fit."
    return Doubt("swapped", text, (marks.numbers[one], marks.numbers[other]))


def _out_of_line(marks: MarkedMap) -> list[Doubt]:
    """Points that the others contradict."""
    if marks.count <= 4:  # noqa: PLR2004  # four points always fit
        return []
    limit = 2 * CLEARLY * marks.click_px**2
    error = marks.error(marks.places)
    if error <= limit:
        return []
    worst = _worst_first(marks)
    if marks.count > MOST_NAMED:
        return [_misfit(marks, worst)] if _misfits(marks, error, 0) else []
    if (pair := _best_exchange(marks, worst[:MOST_SWAPPED], error)) is not None:
        return [_swapped(marks, *pair)]
    found: list[int] = []
    most = min(MOST_MISPLACED, MOST_MISPLACED_SHARE * marks.count)
    while marks.count - len(found) >= FEWEST_TO_NAME and len(found) < most:
        left = [index for index in worst if index not in found]
        rest, named = min((marks.error(marks.places, (*found, index)), index) for index in left)
        freedom = 2 * (marks.count - len(found) - 1) - 8
        if not (math.isfinite(rest) and error - rest > limit and _exceeds(error - rest, rest, freedom)):
            break
        found.append(named)
        error = rest
        if error <= limit:
            break
    if not found or (error > limit and _misfits(marks, error, len(found))):
        return [_misfit(marks, worst)] if _misfits(marks, error, len(found)) else []
    return [
        Doubt(
            "misplaced",
            f"{marks.label(index)} does not fit the other points; check its place and its coordinates.",
            (marks.numbers[index],),
        )
        for index in found
    ]


def _worst_first(marks: MarkedMap) -> list[int]:
    """The points, the one first whose absence helps the others most."""
    if marks.count > MOST_NAMED:
        fitted = fit_homography(marks.places, marks.pixels)
        errors = [
            distance(fitted(place), pixel) if fitted else 0.0
            for place, pixel in zip(marks.places, marks.pixels, strict=True)
        ]
        return sorted(range(marks.count), key=lambda index: -errors[index])
    errors = [marks.error(marks.places, (index,)) for index in range(marks.count)]
    return sorted(range(marks.count), key=lambda index: errors[index])


def _best_exchange(marks: MarkedMap, among: Sequence[int], error: float) -> tuple[int, int] | None:
    """Two points after whose exchange all fit, if there is one such pair."""
    tried = sorted(
        (marks.error(exchanged(marks.places, one, other)), one, other)
        for one, other in itertools.combinations(sorted(among), 2)
    )
    # In a symmetric picture, another exchange would fit as well, with all points mirrored.
    possible = (each for each in tried if not _is_mirrored(marks, exchanged(marks.places, *each[1:])))
    best, one, other = next(possible, (math.inf, 0, 0))
    following, *_ = next(possible, (math.inf,))
    freedom = 2 * marks.count - 8
    fits = best <= freedom * (2 * marks.click_px) ** 2
    alone = min(marks.error(marks.places, (index,)) for index in (one, other))
    if fits and error > 25 * best and following > 9 * max(best, marks.click_px**2) and alone > 4 * best:
        return one, other
    return None


def _is_mirrored(marks: MarkedMap, places: Sequence[Place]) -> bool:
    right, wrong = marks.turns(range(marks.count), places)
    return wrong > right


def _misfits(marks: MarkedMap, error: float, without: int) -> bool:
    freedom = max(1, 2 * (marks.count - without) - 8)
    return math.sqrt(error / freedom) > MISFIT_CLICKS * marks.click_px


def _misfit(marks: MarkedMap, worst: Sequence[int]) -> Doubt:
    return Doubt(
        "misfit",
        "The points do not fit together: no view of flat ground shows them like this. "
        f"Check {marks.label(worst[0])} first.",
        tuple(marks.numbers),
    )


def _exceeds(extra: float, rest: float, freedom: int) -> bool:
    """Whether two further unknowns explain more than by accident: the F test, whose limit has a closed form for two."""
    if freedom <= 0:
        return False
    limit: float = freedom / 2 * (BY_ACCIDENT ** (-2 / freedom) - 1)
    return extra / 2 > limit * rest / freedom
