"""The map of flat ground that fits marked points with world coordinates, and how well each of them fits it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from winslow_dagster.pipelines.forms.coordinates import in_metres
from winslow_dagster.pipelines.forms.judged_marks import Mark, Model, Residual
from winslow_dagster.pipelines.forms.plane_fit import (
    FEWEST_FOR_HOMOGRAPHY,
    FEWEST_FOR_SIMILARITY,
    Place,
    PlaneMap,
    fit_homography,
    fit_similarity,
)
from winslow_dagster.pipelines.model.form import World

CLICK_PX = 3.0
CLICK_SHARE = 0.001
"""How far from the true place a click may be: in pixels, or as a share of the picture's diagonal."""
MOST_SLANTED = 0.03
FLATTEST_TRIPLE = 0.1
MOST_NAMED = 50
"""Each point is left out once, and some pairs are exchanged: with more points that takes too long to wait for."""
MOST_TURNED = 14


@dataclass
class MarkedMap:
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
        """How many there are."""
        return len(self.numbers)

    @property
    def click_px(self) -> float:
        """How far from the true place a click may be."""
        diagonal = math.hypot(*self.size) if self.size else 0.0
        return max(CLICK_PX, CLICK_SHARE * diagonal)

    def label(self, index: int) -> str:
        """What a person calls the point."""
        return self.known[self.numbers[index]].label or f"point {self.numbers[index] + 1}"

    def model(self, *, straight: bool) -> tuple[Model, PlaneMap | None]:
        """The map from the ground to the picture."""
        if self.count >= FEWEST_FOR_HOMOGRAPHY and not straight:
            fitted = fit_homography(self.places, self.pixels)
            if fitted is not None:
                return "homography", fitted
        return "similarity", fit_similarity(self.places, self.pixels, turned_over=self.mostly_turned_over())

    def tells(self, model: Model, rms: float | None) -> bool:
        """Whether the residuals tell something. A map without a choice always fits, and a slanting view is no turn."""
        if rms is None:
            return False
        if model == "homography":
            return self.count > FEWEST_FOR_HOMOGRAPHY
        extent = max(max(axis) - min(axis) for axis in zip(*self.pixels, strict=True))
        return self.count > FEWEST_FOR_SIMILARITY and rms < MOST_SLANTED * extent

    def mostly_turned_over(self) -> bool:
        """Whether most triples run the other way round in the picture, as seen from above."""
        right, wrong = self.turns(range(self.count), self.places)
        return right >= wrong

    def scale(self, fitted: PlaneMap | None) -> float | None:
        """Metres per pixel in the middle of the points."""
        back = fitted.inverse() if fitted else None
        if back is None:
            return None
        middle = (sum(x for x, _ in self.pixels) / self.count, sum(y for _, y in self.pixels) / self.count)
        scale = math.sqrt(abs(back.area_scale(middle)))
        return scale if math.isfinite(scale) else None

    def residuals(self, fitted: PlaneMap, model: Model) -> Iterator[Residual]:
        """How far each point is from where the map has it."""
        own = [distance(fitted(place), pixel) for place, pixel in zip(self.places, self.pixels, strict=True)]
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
                m=_or_none(back and distance(back(self.pixels[index]), self.places[index])),
                left_out_px=_or_none(other and distance(other(self.places[index]), self.pixels[index])),
                left_out_m=_or_none(away and distance(away(self.pixels[index]), self.places[index])),
            )

    def _without(self, out: Sequence[int], model: Model = "homography") -> PlaneMap | None:
        kept = [index for index in range(self.count) if index not in out]
        places, pixels = [self.places[each] for each in kept], [self.pixels[each] for each in kept]
        if model == "homography":
            return fit_homography(places, pixels)
        return fit_similarity(places, pixels, turned_over=self.mostly_turned_over()) if len(kept) > 1 else None

    def error(self, places: Sequence[Place], out: Sequence[int] = ()) -> float:
        """The sum of squared distances in the picture, of the map fitted to all but these."""
        kept = [index for index in range(self.count) if index not in out]
        fitted = fit_homography([places[each] for each in kept], [self.pixels[each] for each in kept])
        if fitted is None:
            return math.inf
        depths = [fitted.depth(places[each]) for each in kept]
        if min(depths) <= 0 <= max(depths):
            return math.inf  # points on both sides of the horizon
        total = sum(distance(fitted(places[each]), self.pixels[each]) ** 2 for each in kept)
        return total if math.isfinite(total) else math.inf

    def turns(self, indexes: Sequence[int], places: Sequence[Place]) -> tuple[int, int]:
        """How many triples run the other way round in the picture, as they must, and how many the same way."""
        right = wrong = 0
        for _, turned in self.triples(indexes, places):
            right, wrong = (right + 1, wrong) if turned else (right, wrong + 1)
        return right, wrong

    def triples(self, indexes: Sequence[int], places: Sequence[Place]) -> Iterator[tuple[tuple[int, int, int], bool]]:
        """Triples that are no line, and whether they run the other way round in the picture."""
        chosen = list(indexes)[:MOST_TURNED]
        for triple in itertools.combinations(chosen, 3):
            seen, height = _turn(*(self.pixels[each] for each in triple))
            there, _ = _turn(*(places[each] for each in triple))
            if min(abs(seen), abs(there)) > FLATTEST_TRIPLE and height > 4 * self.click_px:
                yield triple, (seen > 0) != (there > 0)


def exchanged(places: Sequence[Place], one: int, other: int) -> list[Place]:
    """The places, two of them exchanged."""
    changed = list(places)
    changed[one], changed[other] = changed[other], changed[one]
    return changed


def _turn(a: Place, b: Place, c: Place) -> tuple[float, float]:
    """Twice the area of the triangle relative to its longest side squared, with the sign of its turn; its height."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    longest = max(distance(a, b), distance(b, c), distance(c, a))
    return (0.0, 0.0) if longest == 0 else (area / longest**2, abs(area) / longest)


def distance(one: Place, other: Place) -> float:
    """How far they are from each other."""
    return math.hypot(one[0] - other[0], one[1] - other[1])


def _or_none(value: float | PlaneMap | None) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else None
