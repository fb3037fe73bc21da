"""Detects polygons that intersect themselves, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Corner = tuple[float, float]
Edge = tuple[Corner, Corner]


def self_intersection(corners: Sequence[Corner]) -> tuple[int, int] | None:
    """Two edges of the closed polygon that meet outside of a shared corner, by the index of their first corners.

    None for a simple polygon. Takes quadratic time.
    """
    count = len(corners)
    edges = [(corners[index], corners[(index + 1) % count]) for index in range(count)]
    for first in range(count):
        for second in range(first + 1, count):
            if _apart(edges[first], edges[second]):
                continue
            if second == first + 1:
                meets = _folds(edges[first], edges[second])
            elif first == 0 and second == count - 1:
                meets = _folds(edges[second], edges[first])
            else:
                meets = _meet(edges[first], edges[second])
            if meets:
                return first, second
    return None


def _apart(one: Edge, other: Edge) -> bool:
    """Whether the bounding boxes are disjoint; avoids most of the exact arithmetic."""
    return any(
        max(one[0][axis], one[1][axis]) < min(other[0][axis], other[1][axis])
        or max(other[0][axis], other[1][axis]) < min(one[0][axis], one[1][axis])
        for axis in (0, 1)
    )


def _turn(a: Corner, b: Corner, c: Corner) -> Fraction:
    """Positive if a, b, c turn one way, negative for the other, 0 on one line."""
    ax, ay, bx, by, cx, cy = map(Fraction, (*a, *b, *c))
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


def _folds(edge: Edge, following: Edge) -> bool:
    """Whether an edge runs back along the previous one."""
    (a, b), (_, c) = edge, following
    if _turn(a, b, c):
        return False
    ax, ay, bx, by, cx, cy = map(Fraction, (*a, *b, *c))
    return (ax - bx) * (cx - bx) + (ay - by) * (cy - by) >= 0


def _meet(one: Edge, other: Edge) -> bool:
    a, b = one
    c, d = other
    sides = [_turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)]
    if not any(sides):
        return True  # collinear, and the boxes touch
    return sides[0] * sides[1] <= 0 and sides[2] * sides[3] <= 0
