"""Fits a map between two planes to pairs of points: the ground and its picture.

In plain Python: an answer has few points, and the control plane needs no numerical library for anything else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Place = tuple[float, float]
Matrix = tuple[float, float, float, float, float, float, float, float, float]

UNKNOWNS = 8
FEWEST_FOR_HOMOGRAPHY = 4
FEWEST_FOR_SIMILARITY = 2
REWEIGHTINGS = 3
SMALLEST_PIVOT = 1e-11
NEAREST_TO_HORIZON = 1e-6


@dataclass(frozen=True, slots=True)
class PlaneMap:
    """A projective map of a plane, by its matrix in rows."""

    matrix: Matrix

    def __call__(self, place: Place) -> Place:
        """Where the place is mapped to; infinity on the horizon."""
        a, b, c, d, e, f, g, h, i = self.matrix
        x, y = place
        w = g * x + h * y + i
        if w == 0:
            return math.inf, math.inf
        return (a * x + b * y + c) / w, (d * x + e * y + f) / w

    def depth(self, place: Place) -> float:
        """Positive on one side of the horizon, negative on the other."""
        return self.matrix[6] * place[0] + self.matrix[7] * place[1] + self.matrix[8]

    def area_scale(self, place: Place) -> float:
        """Factor by which areas grow around the place; negative if they are turned over."""
        w = self.depth(place)
        return math.inf if w == 0 else _determinant(self.matrix) / w**3

    def inverse(self) -> PlaneMap | None:
        """The map back; None if the plane is mapped to a line."""
        a, b, c, d, e, f, g, h, i = self.matrix
        determinant = _determinant(self.matrix)
        if determinant == 0 or not math.isfinite(determinant):
            return None
        adjugate = (
            e * i - f * h, c * h - b * i, b * f - c * e,
            f * g - d * i, a * i - c * g, c * d - a * f,
            d * h - e * g, b * g - a * h, a * e - b * d,
        )  # fmt: skip
        return PlaneMap(tuple(value / determinant for value in adjugate))  # type: ignore[arg-type]  # nine of them


def fit_similarity(source: Sequence[Place], target: Sequence[Place], *, turned_over: bool) -> PlaneMap | None:
    """The turn, scale and shift, with or without a reflection, that fits best. None for fewer than two places."""
    if len(source) < FEWEST_FOR_SIMILARITY:
        return None
    # As complex numbers: target = factor * source + shift.
    before = [complex(x, -y if turned_over else y) for x, y in source]
    after = [complex(x, y) for x, y in target]
    middle, aim = sum(before) / len(before), sum(after) / len(after)
    spread = sum(abs(each - middle) ** 2 for each in before)
    if spread == 0:
        return None
    factor = sum((one - aim) * (other - middle).conjugate() for one, other in zip(after, before, strict=True)) / spread
    shift = aim - factor * middle
    u, v = factor.real, factor.imag
    if turned_over:
        return PlaneMap((u, v, shift.real, v, -u, shift.imag, 0.0, 0.0, 1.0))
    return PlaneMap((u, -v, shift.real, v, u, shift.imag, 0.0, 0.0, 1.0))


def fit_homography(source: Sequence[Place], target: Sequence[Place]) -> PlaneMap | None:
    """The projective map with the least squares of distances in the target, nearly. None if it is not determined."""
    if len(source) < FEWEST_FOR_HOMOGRAPHY:
        return None
    from_norm, to_norm = _normalization(source), _normalization(target)
    if from_norm is None or to_norm is None:
        return None
    pairs = [(from_norm(one), to_norm(other)) for one, other in zip(source, target, strict=True)]
    weights = [1.0] * len(pairs)
    fitted: PlaneMap | None = None
    for _ in range(REWEIGHTINGS):
        solution = _solved(*_normal_equations(pairs, weights))
        if solution is None:
            return None
        fitted = PlaneMap((*solution, 1.0))  # type: ignore[arg-type]  # eight and one
        # The equations are linear in distance times depth; the depth of the last solution makes them distances.
        weights = [1 / max(abs(fitted.depth(one)), NEAREST_TO_HORIZON) for one, _ in pairs]
    back = to_norm.inverse()
    if fitted is None or back is None:
        return None
    return PlaneMap(_product(_product(back.matrix, fitted.matrix), from_norm.matrix))


def flatness(places: Sequence[Place]) -> float:
    """Spread across the direction in which the places spread most, relative to that spread: 0 on a line, 1 round."""
    x0, y0 = (sum(axis) / len(places) for axis in zip(*places, strict=True))
    xx = sum((x - x0) ** 2 for x, _ in places)
    yy = sum((y - y0) ** 2 for _, y in places)
    xy = sum((x - x0) * (y - y0) for x, y in places)
    middle, radius = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    if middle + radius <= 0:
        return 0.0
    return math.sqrt(max(0.0, middle - radius) / (middle + radius))


def _determinant(matrix: Matrix) -> float:
    a, b, c, d, e, f, g, h, i = matrix
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _product(one: Matrix, other: Matrix) -> Matrix:
    return tuple(  # type: ignore[return-value]  # nine of them
        sum(one[3 * row + k] * other[3 * k + column] for k in range(3)) for row in range(3) for column in range(3)
    )


def _normalization(places: Sequence[Place]) -> PlaneMap | None:
    """Moves the places to the origin, at a mean distance of about 1: equations of mixed magnitudes lose digits."""
    x0, y0 = (sum(axis) / len(places) for axis in zip(*places, strict=True))
    distance = sum(math.hypot(x - x0, y - y0) for x, y in places) / len(places)
    if distance == 0 or not math.isfinite(distance):
        return None
    return PlaneMap((1 / distance, 0.0, -x0 / distance, 0.0, 1 / distance, -y0 / distance, 0.0, 0.0, 1.0))


def _normal_equations(
    pairs: Sequence[tuple[Place, Place]], weights: Sequence[float]
) -> tuple[list[list[float]], list[float]]:
    left = [[0.0] * UNKNOWNS for _ in range(UNKNOWNS)]
    right = [0.0] * UNKNOWNS
    for ((x, y), (u, v)), weight in zip(pairs, weights, strict=True):
        for row, value in (
            ((x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y), u),
            ((0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y), v),
        ):
            for i, factor in enumerate(row):
                if factor == 0.0:
                    continue
                weighted = weight * weight * factor
                line = left[i]
                for k in range(UNKNOWNS):
                    line[k] += weighted * row[k]
                right[i] += weighted * value
    return left, right


def _solved(left: list[list[float]], right: list[float]) -> list[float] | None:
    """The solution of the equations by elimination with pivots; None if there is more than one."""
    size = len(right)
    rows = [[*line, value] for line, value in zip(left, right, strict=True)]
    largest = max(abs(value) for line in left for value in line)
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        if not abs(rows[pivot][column]) > SMALLEST_PIVOT * largest:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(column + 1, size):
            factor = rows[row][column] / rows[column][column]
            if factor:
                for k in range(column, size + 1):
                    rows[row][k] -= factor * rows[column][k]
    solution = [0.0] * size
    for row in reversed(range(size)):
        rest = sum(rows[row][k] * solution[k] for k in range(row + 1, size))
        solution[row] = (rows[row][size] - rest) / rows[row][row]
    return solution
