"""The shortest edit script between two sequences (Myers 1986), with a limit on how much work it may take."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Match(NamedTuple):
    """Equal parts of both sequences: `length` items from `left` and from `right` on."""

    left: int
    right: int
    length: int


def matches(left: Sequence[Hashable], right: Sequence[Hashable], most_edits: int) -> tuple[list[Match], bool]:
    """The equal parts, in order, and whether they reach to the end of both.

    If more than `most_edits` items differ, the rest after the best beginning is left as it is.
    """
    furthest = {1: 0}  # diagonal -> the furthest place in the left sequence
    trace: list[dict[int, int]] = []
    best = (0, 0, 0)  # how far in both together, after how many edits, the place in the left sequence
    for edits in range(most_edits + 1):
        trace.append(furthest.copy())
        for diagonal in range(-edits, edits + 1, 2):
            _, place = _step(furthest, edits, diagonal)
            other = place - diagonal
            while place < len(left) and other < len(right) and left[place] == right[other]:
                place, other = place + 1, other + 1
            furthest[diagonal] = place
            if place <= len(left) and other <= len(right):
                best = max(best, (place + other, edits, place))
                if place == len(left) and other == len(right):
                    return _traced(trace, *best), True
    return _traced(trace, *best), False


def _step(furthest: dict[int, int], edits: int, diagonal: int) -> tuple[int, int]:
    """From which diagonal one more edit leads to this one, and to which place in the left sequence."""
    added = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
    return (diagonal + 1, furthest[diagonal + 1]) if added else (diagonal - 1, furthest[diagonal - 1] + 1)


def _traced(trace: list[dict[int, int]], both: int, edits: int, place: int) -> list[Match]:
    """The equal parts on the way there, from the end to the beginning and then turned round."""
    found: list[Match] = []
    diagonal = place - (both - place)
    for count in range(edits, -1, -1):
        before, begin = _step(trace[count], count, diagonal)
        if place > begin:
            found.append(Match(begin, begin - diagonal, place - begin))
        place, diagonal = trace[count][before], before
    return found[::-1]
