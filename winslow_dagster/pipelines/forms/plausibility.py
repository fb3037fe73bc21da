"""Judges marked points with world coordinates: how well each fits the others, and what is implausible about them.

A picture shows flat ground by a projective map. Seen from above, the map turns the ground over, since pixels count down
and world coordinates up. Every doubt here and in `misplaced_marks` is one that no true map with points clicked within
some pixels gives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from winslow_dagster.pipelines.forms.coordinates import EARTH_RADIUS_M, may_be_degrees, unlikely_numbers
from winslow_dagster.pipelines.forms.judged_marks import Doubt, Judgement, Mark
from winslow_dagster.pipelines.forms.marked_map import MarkedMap, distance
from winslow_dagster.pipelines.forms.misplaced_marks import misplaced
from winslow_dagster.pipelines.forms.plane_fit import flatness
from winslow_dagster.pipelines.model.form import World

FINEST_M, COARSEST_M = 0.005, 0.5
"""Metres per pixel that a drone's picture may have."""
FLATTEST = 0.03
CLOSEST_PX, CLOSEST_SHARE = 6.0, 0.003
SMALLEST_PART = 0.08
MOST_COMPARED = 60
"""Points of which pairs are compared."""
FARTHEST = 1e8


def judge_marks(marks: Sequence[Mark], world: World, size: tuple[int, int] | None = None) -> Judgement:
    """What is to be said about the marks. `size` is that of the picture in pixels."""
    known = {index: mark for index, mark in enumerate(marks) if mark.world is not None and _near(mark)}
    far = tuple(index for index, mark in enumerate(marks) if mark.world is not None and index not in known)
    doubts = [*_too_close(marks, size)]
    if far:
        doubts.append(Doubt("misplaced", "These coordinates are nowhere on the earth.", far))
    if not known:
        return Judgement(doubts=tuple(doubts))
    doubts += unlikely_numbers(known, world)
    if any(doubt.level == "wrong" and doubt.kind in {"mixed", "metres_as_degrees"} for doubt in doubts):
        return Judgement(doubts=tuple(doubts))
    return _judged(MarkedMap(known, world, size), doubts)


def _judged(marks: MarkedMap, doubts: list[Doubt]) -> Judgement:
    if marks.count < 2 or len(set(marks.places)) < 2:  # noqa: PLR2004  # one place has no scale
        doubts += _same_place(marks)
        return Judgement(doubts=tuple(doubts))
    doubts += _same_place(marks)
    straight = [*_collinear(marks)]
    doubts += straight
    if not straight:
        doubts += misplaced(marks)
    doubts += _small_part(marks)
    model, fitted = marks.model(straight=bool(straight))
    scale = marks.scale(fitted)
    if scale is not None:
        doubts += _unlikely_scale(marks, scale)
    residuals = tuple(marks.residuals(fitted, model)) if fitted is not None else ()
    rms = math.sqrt(sum(each.px**2 for each in residuals) / len(residuals)) if residuals else None
    if not marks.tells(model, rms):
        return Judgement(metres_per_pixel=scale, doubts=tuple(doubts))
    return Judgement(model, scale, rms, residuals, tuple(doubts))


def _collinear(marks: MarkedMap) -> Iterator[Doubt]:
    if marks.count < 3:  # noqa: PLR2004  # two points are always on a line
        return
    for places, what in ((marks.pixels, "in the picture"), (marks.places, "in the world")):
        if flatness(places) < FLATTEST:
            text = f"The points are on one line {what}; expected points spread over the ground."
            yield Doubt("collinear", text, tuple(marks.numbers))
            return


def _same_place(marks: MarkedMap) -> Iterator[Doubt]:
    for one, other in itertools.combinations(range(min(marks.count, MOST_COMPARED)), 2):
        if marks.places[one] == marks.places[other] and distance(marks.pixels[one], marks.pixels[other]) > CLOSEST_PX:
            text = f"{marks.label(one)} and {marks.label(other)} have the same coordinates."
            yield Doubt("same_place", text, (marks.numbers[one], marks.numbers[other]))


def _small_part(marks: MarkedMap) -> Iterator[Doubt]:
    if marks.size is None or marks.count < 3:  # noqa: PLR2004  # it is too early to say
        return
    shares = [
        (max(axis) - min(axis)) / length
        for axis, length in zip(zip(*marks.pixels, strict=True), marks.size, strict=True)
    ]
    if max(shares) < SMALLEST_PART:
        text = "The points cover only a small part of the picture; far from them, positions are inaccurate."
        yield Doubt("small_part", text, tuple(marks.numbers), "note")


def _unlikely_scale(marks: MarkedMap, scale: float) -> Iterator[Doubt]:
    if FINEST_M <= scale <= COARSEST_M:
        return
    numbers = tuple(marks.numbers)
    told = [mark.world for mark in marks.known.values() if mark.world is not None]
    degree = math.radians(1) * EARTH_RADIUS_M
    if marks.world == "wgs84":
        # Cosines apart, which are no matter of orders of magnitude.
        if FINEST_M <= scale / degree <= COARSEST_M:
            text = "The coordinates look like metres; expected degrees of longitude and latitude."
            yield Doubt("metres_as_degrees", text, numbers)
            return
    elif FINEST_M <= scale * degree <= COARSEST_M and all(map(may_be_degrees, told)):
        text = "The coordinates look like degrees of longitude and latitude; expected metres."
        yield Doubt("degrees_as_metres", text, numbers)
        return
    text = (
        f"One pixel is {_rounded(scale)} m wide by these coordinates; "
        f"a drone's picture has between {FINEST_M:g} and {COARSEST_M:g} m."
    )
    yield Doubt("scale", text, numbers)


def _too_close(marks: Sequence[Mark], size: tuple[int, int] | None) -> Iterator[Doubt]:
    least = max(CLOSEST_PX, CLOSEST_SHARE * math.hypot(*size)) if size else CLOSEST_PX
    near = itertools.combinations(list(enumerate(marks))[: 5 * MOST_COMPARED], 2)
    for (first, one), (second, other) in near:
        if distance(one.pixel, other.pixel) < least:
            names = f"{one.label or f'point {first + 1}'} and {other.label or f'point {second + 1}'}"
            yield Doubt("too_close", f"{names} are very close together in the picture.", (first, second))


def _near(mark: Mark) -> bool:
    return all(abs(value) <= FARTHEST for value in (mark.x, mark.y, *(mark.world or ())))


def _rounded(value: float) -> str:
    return f"{value:.2g}" if value < 1 else f"{value:,.0f}".replace(",", " ")
