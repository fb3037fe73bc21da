"""Judges marked points with world coordinates: how well each fits the others, and what is implausible about them.

A picture shows flat ground by a projective map. Seen from above, the map turns the ground over, since pixels count down
and world coordinates up. Every doubt below is one that no true map with points clicked within some pixels gives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from winslow_dagster.pipelines.forms.coordinates import EARTH_RADIUS_M, in_metres, may_be_degrees, unlikely_numbers
from winslow_dagster.pipelines.forms.judged_marks import Doubt, Judgement, Mark, Model, Residual
from winslow_dagster.pipelines.forms.plane_fit import (
    FEWEST_FOR_HOMOGRAPHY,
    FEWEST_FOR_SIMILARITY,
    Place,
    PlaneMap,
    fit_homography,
    fit_similarity,
    flatness,
)
from winslow_dagster.pipelines.model.form import World

FINEST_M, COARSEST_M = 0.005, 0.5
"""Metres per pixel that a drone's picture may have."""
CLICK_PX = 3.0
CLICK_SHARE = 0.001
"""How far from the true place a click may be: in pixels, or as a share of the picture's diagonal."""
CLEARLY = 12.0
"""Half of the squared error, in squared clicks, above which it is no accident of clicking: 1 in 160 000."""
BY_ACCIDENT = 1e-3
"""Probability that the other points fit as well as they do by accident."""
MISFIT_CLICKS = 5.0
MOSTLY = 5
MOST_SLANTED = 0.03
FLATTEST = 0.03
FLATTEST_TRIPLE = 0.1
CLOSEST_PX, CLOSEST_SHARE = 6.0, 0.003
SMALLEST_PART = 0.08
MOST_COMPARED = 60
"""Points of which pairs are compared."""
MOST_NAMED = 50
"""Each point is left out once, and some pairs are exchanged: with more points that takes too long to wait for."""
MOST_SWAPPED = 14
MOST_TURNED = 14
FEWEST_TO_NAME = 6
"""With fewer points, the others always fit once one is left out."""
MOST_MISPLACED, MOST_MISPLACED_SHARE = 5, 1 / 3
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
    points = _Points(known, world, size)
    return points.judged(doubts)


@dataclass
class _Points:
    """The points with coordinates, and the map that fits them."""

    known: Mapping[int, Mark]
    world: World
    size: tuple[int, int] | None
    pixels: list[Place] = field(init=False)
    places: list[Place] = field(init=False)
    numbers: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = list(self.known)
        self.pixels = [mark.pixel for mark in self.known.values()]
        self.places = in_metres([mark.world for mark in self.known.values() if mark.world is not None], self.world)

    @property
    def count(self) -> int:
        return len(self.numbers)

    @property
    def click_px(self) -> float:
        diagonal = math.hypot(*self.size) if self.size else 0.0
        return max(CLICK_PX, CLICK_SHARE * diagonal)

    def label(self, index: int) -> str:
        return self.known[self.numbers[index]].label or f"point {self.numbers[index] + 1}"

    def judged(self, doubts: list[Doubt]) -> Judgement:
        if self.count < 2 or len(set(self.places)) < 2:  # noqa: PLR2004  # one place has no scale
            doubts += self._same_place()
            return Judgement(doubts=tuple(doubts))
        doubts += self._same_place()
        straight = [*self._collinear()]
        doubts += straight
        if not straight:
            doubts += self._turned() or self._out_of_line()
        doubts += self._small_part()
        model, fitted = self._model(straight=bool(straight))
        scale = self._scale(fitted)
        if scale is not None:
            doubts += self._unlikely_scale(scale)
        residuals = tuple(self._residuals(fitted, model)) if fitted is not None else ()
        rms = math.sqrt(sum(each.px**2 for each in residuals) / len(residuals)) if residuals else None
        if not self._tells(model, rms):
            return Judgement(metres_per_pixel=scale, doubts=tuple(doubts))
        return Judgement(model, scale, rms, residuals, tuple(doubts))

    # the map

    def _model(self, *, straight: bool) -> tuple[Model, PlaneMap | None]:
        """The map from the ground to the picture."""
        if self.count >= FEWEST_FOR_HOMOGRAPHY and not straight:
            fitted = fit_homography(self.places, self.pixels)
            if fitted is not None:
                return "homography", fitted
        return "similarity", fit_similarity(self.places, self.pixels, turned_over=self._mostly_turned_over())

    def _tells(self, model: Model, rms: float | None) -> bool:
        """Whether the residuals tell something. A map without a choice always fits, and a slanting view is no turn."""
        if rms is None:
            return False
        if model == "homography":
            return self.count > FEWEST_FOR_HOMOGRAPHY
        extent = max(max(axis) - min(axis) for axis in zip(*self.pixels, strict=True))
        return self.count > FEWEST_FOR_SIMILARITY and rms < MOST_SLANTED * extent

    def _mostly_turned_over(self) -> bool:
        right, wrong = self._turns(range(self.count), self.places)
        return right >= wrong

    def _scale(self, fitted: PlaneMap | None) -> float | None:
        """Metres per pixel in the middle of the points."""
        back = fitted.inverse() if fitted else None
        if back is None:
            return None
        middle = (sum(x for x, _ in self.pixels) / self.count, sum(y for _, y in self.pixels) / self.count)
        scale = math.sqrt(abs(back.area_scale(middle)))
        return scale if math.isfinite(scale) else None

    def _residuals(self, fitted: PlaneMap, model: Model) -> Iterator[Residual]:
        own = [_distance(fitted(place), pixel) for place, pixel in zip(self.places, self.pixels, strict=True)]
        back = fitted.inverse()
        few = self.count <= MOST_NAMED
        for index in range(self.count):
            other = self._without((index,), model) if few else None
            away = other.inverse() if other else None
            if not math.isfinite(own[index]):
                continue
            yield Residual(
                point=self.numbers[index],
                px=own[index],
                m=_or_none(back and _distance(back(self.pixels[index]), self.places[index])),
                left_out_px=_or_none(other and _distance(other(self.places[index]), self.pixels[index])),
                left_out_m=_or_none(away and _distance(away(self.pixels[index]), self.places[index])),
            )

    def _without(self, out: Sequence[int], model: Model = "homography") -> PlaneMap | None:
        kept = [index for index in range(self.count) if index not in out]
        places, pixels = [self.places[each] for each in kept], [self.pixels[each] for each in kept]
        if model == "homography":
            return fit_homography(places, pixels)
        return fit_similarity(places, pixels, turned_over=self._mostly_turned_over()) if len(kept) > 1 else None

    def _error(self, places: Sequence[Place], out: Sequence[int] = ()) -> float:
        """The sum of squared distances in the picture, of the map fitted to all but these."""
        kept = [index for index in range(self.count) if index not in out]
        fitted = fit_homography([places[each] for each in kept], [self.pixels[each] for each in kept])
        if fitted is None:
            return math.inf
        depths = [fitted.depth(places[each]) for each in kept]
        if min(depths) <= 0 <= max(depths):
            return math.inf  # points on both sides of the horizon
        total = sum(_distance(fitted(places[each]), self.pixels[each]) ** 2 for each in kept)
        return total if math.isfinite(total) else math.inf

    # doubts

    def _collinear(self) -> Iterator[Doubt]:
        if self.count < 3:  # noqa: PLR2004  # two points are always on a line
            return
        for places, what in ((self.pixels, "in the picture"), (self.places, "in the world")):
            if flatness(places) < FLATTEST:
                text = f"The points are on one line {what}; expected points spread over the ground."
                yield Doubt("collinear", text, tuple(self.numbers))
                return

    def _turns(self, indexes: Sequence[int], places: Sequence[Place]) -> tuple[int, int]:
        """How many triples run the other way round in the picture, as they must, and how many the same way."""
        right = wrong = 0
        for _, turned in self._triples(indexes, places):
            right, wrong = (right + 1, wrong) if turned else (right, wrong + 1)
        return right, wrong

    def _triples(self, indexes: Sequence[int], places: Sequence[Place]) -> Iterator[tuple[tuple[int, int, int], bool]]:
        chosen = list(indexes)[:MOST_TURNED]
        for triple in itertools.combinations(chosen, 3):
            seen, height = _turn(*(self.pixels[each] for each in triple))
            there, _ = _turn(*(places[each] for each in triple))
            if min(abs(seen), abs(there)) > FLATTEST_TRIPLE and height > 4 * self.click_px:
                yield triple, (seen > 0) != (there > 0)

    def _turned(self) -> list[Doubt]:
        """Mirrored coordinates; or two points exchanged, where the points are too few to be fitted."""
        right, wrong = self._turns(range(self.count), self.places)
        if not wrong:
            return []
        if not right or (self.count >= FEWEST_TO_NAME and wrong > MOSTLY * right):
            hint = "longitude comes before latitude" if self.world == "wgs84" else "x and y are perhaps exchanged"
            text = f"The points are mirrored: in the world they run the other way round. {hint.capitalize()}"
            more = ", or two of the points." if self.count <= 4 else "."  # noqa: PLR2004  # more would not all turn
            return [Doubt("mirrored", text + more, tuple(self.numbers))]
        if self.count >= FEWEST_TO_NAME:
            return []
        repaired = [
            pair
            for pair in itertools.combinations(range(self.count), 2)
            if self._turns(range(self.count), _exchanged(self.places, *pair))[1] == 0
        ]
        if len(repaired) == 1:
            return [self._swapped(*repaired[0])]
        votes = [0] * self.count
        for triple, turned in self._triples(range(self.count), self.places):
            for each in triple:
                votes[each] += not turned
        named = [index for index in range(self.count) if votes[index] == max(votes)]
        names = " and ".join(self.label(each) for each in named)
        text = f"The points do not lie in the world as in the picture. Check {names}."
        return [Doubt("misplaced", text, tuple(self.numbers[each] for each in named))]

    def _swapped(self, one: int, other: int) -> Doubt:
        text = f"{self.label(one)} and {self.label(other)} are perhaps swapped: exchanged, all points fit."
        return Doubt("swapped", text, (self.numbers[one], self.numbers[other]))

    def _out_of_line(self) -> list[Doubt]:
        """Points that the others contradict."""
        if self.count <= 4:  # noqa: PLR2004  # four points always fit
            return []
        limit = 2 * CLEARLY * self.click_px**2
        error = self._error(self.places)
        if error <= limit:
            return []
        worst = self._worst_first()
        if self.count > MOST_NAMED:
            return [self._misfit(worst)] if self._misfits(error, 0) else []
        if (pair := self._best_exchange(worst[:MOST_SWAPPED], error)) is not None:
            return [self._swapped(*pair)]
        found: list[int] = []
        most = min(MOST_MISPLACED, MOST_MISPLACED_SHARE * self.count)
        while self.count - len(found) >= FEWEST_TO_NAME and len(found) < most:
            left = [index for index in worst if index not in found]
            rest, named = min((self._error(self.places, (*found, index)), index) for index in left)
            freedom = 2 * (self.count - len(found) - 1) - 8
            if not (math.isfinite(rest) and error - rest > limit and _exceeds(error - rest, rest, freedom)):
                break
            found.append(named)
            error = rest
            if error <= limit:
                break
        if not found or (error > limit and self._misfits(error, len(found))):
            return [self._misfit(worst)] if self._misfits(error, len(found)) else []
        return [
            Doubt(
                "misplaced",
                f"{self.label(index)} does not fit the other points; check its place and its coordinates.",
                (self.numbers[index],),
            )
            for index in found
        ]

    def _worst_first(self) -> list[int]:
        """The points, the one first whose absence helps the others most."""
        if self.count > MOST_NAMED:
            fitted = fit_homography(self.places, self.pixels)
            errors = [
                _distance(fitted(place), pixel) if fitted else 0.0
                for place, pixel in zip(self.places, self.pixels, strict=True)
            ]
            return sorted(range(self.count), key=lambda index: -errors[index])
        errors = [self._error(self.places, (index,)) for index in range(self.count)]
        return sorted(range(self.count), key=lambda index: errors[index])

    def _best_exchange(self, among: Sequence[int], error: float) -> tuple[int, int] | None:
        """Two points after whose exchange all fit, if there is one such pair."""
        tried = sorted(
            (self._error(_exchanged(self.places, one, other)), one, other)
            for one, other in itertools.combinations(sorted(among), 2)
        )
        (best, one, other), following = tried[0], tried[1][0]
        freedom = 2 * self.count - 8
        fits = best <= freedom * (2 * self.click_px) ** 2
        alone = min(self._error(self.places, (index,)) for index in (one, other))
        if fits and error > 25 * best and following > 9 * max(best, self.click_px**2) and alone > 4 * best:
            return one, other
        return None

    def _misfits(self, error: float, without: int) -> bool:
        freedom = max(1, 2 * (self.count - without) - 8)
        return math.sqrt(error / freedom) > MISFIT_CLICKS * self.click_px

    def _misfit(self, worst: Sequence[int]) -> Doubt:
        return Doubt(
            "misfit",
            "The points do not fit together: no view of flat ground shows them like this. "
            f"Check {self.label(worst[0])} first.",
            tuple(self.numbers),
        )

    def _same_place(self) -> Iterator[Doubt]:
        for one, other in itertools.combinations(range(min(self.count, MOST_COMPARED)), 2):
            if self.places[one] == self.places[other] and _distance(self.pixels[one], self.pixels[other]) > CLOSEST_PX:
                text = f"{self.label(one)} and {self.label(other)} have the same coordinates."
                yield Doubt("same_place", text, (self.numbers[one], self.numbers[other]))

    def _small_part(self) -> Iterator[Doubt]:
        if self.size is None or self.count < 3:  # noqa: PLR2004  # it is too early to say
            return
        shares = [
            (max(axis) - min(axis)) / length
            for axis, length in zip(zip(*self.pixels, strict=True), self.size, strict=True)
        ]
        if max(shares) < SMALLEST_PART:
            text = "The points cover only a small part of the picture; far from them, positions are inaccurate."
            yield Doubt("small_part", text, tuple(self.numbers), "note")

    def _unlikely_scale(self, scale: float) -> Iterator[Doubt]:
        if FINEST_M <= scale <= COARSEST_M:
            return
        numbers = tuple(self.numbers)
        told = [mark.world for mark in self.known.values() if mark.world is not None]
        degree = math.radians(1) * EARTH_RADIUS_M
        if self.world == "wgs84":
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
        if _distance(one.pixel, other.pixel) < least:
            names = f"{one.label or f'point {first + 1}'} and {other.label or f'point {second + 1}'}"
            yield Doubt("too_close", f"{names} are very close together in the picture.", (first, second))


def _exchanged(places: Sequence[Place], one: int, other: int) -> list[Place]:
    changed = list(places)
    changed[one], changed[other] = changed[other], changed[one]
    return changed


def _turn(a: Place, b: Place, c: Place) -> tuple[float, float]:
    """Twice the area of the triangle relative to its longest side squared, with the sign of its turn; its height."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    longest = max(_distance(a, b), _distance(b, c), _distance(c, a))
    return (0.0, 0.0) if longest == 0 else (area / longest**2, abs(area) / longest)


def _exceeds(extra: float, rest: float, freedom: int) -> bool:
    """Whether two further unknowns explain more than by accident: the F test, whose limit has a closed form for two."""
    if freedom <= 0:
        return False
    limit: float = freedom / 2 * (BY_ACCIDENT ** (-2 / freedom) - 1)
    return extra / 2 > limit * rest / freedom


def _near(mark: Mark) -> bool:
    return all(abs(value) <= FARTHEST for value in (mark.x, mark.y, *(mark.world or ())))


def _distance(one: Place, other: Place) -> float:
    return math.hypot(one[0] - other[0], one[1] - other[1])


def _or_none(value: float | PlaneMap | None) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else None


def _rounded(value: float) -> str:
    return f"{value:.2g}" if value < 1 else f"{value:,.0f}".replace(",", " ")
