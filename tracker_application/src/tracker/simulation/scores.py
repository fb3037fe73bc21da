"""Scores of multi-object tracking: CLEAR (MOTA), IDF1 and HOTA, for any similarity measure.

They follow TrackEval's reference implementation step by step: Bernardin and Stiefelhagen 2008 (CLEAR), Ristani et al.
2016 (IDF1), Luiten et al. 2021 (HOTA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.arrays import Floats
from tracker.neighbours import cheapest

# Similarity thresholds of a match; HOTA is the mean over all.
LEAST_LIKENESSES = np.arange(0.05, 0.99, 0.05)
ROUNDING = float(np.finfo(np.float64).eps)
# More than any similarity: a pair matched in the previous frame stays matched if allowed.
STAYS = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A frame: the numbers of n true and m estimated vehicles, and their pairwise similarities (n x m, 0 to 1)."""

    true: NDArray[Any]
    estimated: NDArray[Any]
    likeness: Floats


@dataclass(frozen=True, slots=True)
class Clear:
    """The CLEAR counts. `pairs`: frame, row of the true and row of the estimated vehicle, for each match."""

    pairs: tuple[tuple[int, int, int], ...]
    true: int
    false: int
    switches: int

    @property
    def mota(self) -> float:
        """1 minus the error rate: misses, false positives, switches. NaN without vehicles."""
        missed = self.true - len(self.pairs)
        return 1 - (missed + self.false + self.switches) / self.true if self.true else float("nan")


@dataclass(frozen=True, slots=True)
class Hota:
    """HOTA, and its parts detection (DetA) and association (AssA), each 0 to 1. NaN without vehicles."""

    hota: float
    detection: float
    association: float


def clear(sights: Sequence[Sight], least: float) -> Clear:
    """Match frame by frame; pairs with a similarity below `least` do not match."""
    pairs: list[tuple[int, int, int]] = []
    last: dict[Any, Any] = {}
    before: dict[Any, Any] = {}
    false = switches = 0
    for frame, sight in enumerate(sights):
        stays = np.array(
            [[before.get(true) == estimated for estimated in sight.estimated.tolist()] for true in sight.true.tolist()]
        )
        score = np.where(
            _reaches(sight.likeness, least), sight.likeness + STAYS * stays.reshape(sight.likeness.shape), 0
        )
        rows, columns = cheapest(-score)
        allowed = score[rows, columns] > ROUNDING
        before = {}
        for row, column in zip(rows[allowed].tolist(), columns[allowed].tolist(), strict=True):
            true, estimated = sight.true[row], sight.estimated[column]
            switches += int(last.get(true, estimated) != estimated)
            before[true] = last[true] = estimated
            pairs.append((frame, row, column))
        false += len(sight.estimated) - len(before)
    return Clear(tuple(pairs), sum(len(sight.true) for sight in sights), false, switches)


def idf1(sights: Sequence[Sight], least: float) -> float:
    """Share of positions with the right identity, with the best one-to-one assignment of vehicles."""
    true, estimated = _numbers(sights)
    together = np.zeros((len(true), len(estimated)))
    for rows, columns, likeness in _indexed(sights, true, estimated):
        together[np.ix_(rows, columns)] += _reaches(likeness, least)
    count = sum(len(sight.true) + len(sight.estimated) for sight in sights)
    if not count:
        return float("nan")
    return 2 * float(together[cheapest(-together)].sum()) / count


def hota(sights: Sequence[Sight]) -> Hota:
    """Higher order tracking accuracy: the geometric mean of detection and association, over all thresholds."""
    true, estimated = _numbers(sights)
    indexed = _indexed(sights, true, estimated)
    counts_true, counts_given = (np.zeros(len(numbers)) for numbers in (true, estimated))
    alike = np.zeros((len(true), len(estimated)))
    for rows, columns, likeness in indexed:
        counts_true[rows] += 1
        counts_given[columns] += 1
        whole = likeness.sum(axis=0)[None] + likeness.sum(axis=1)[:, None] - likeness
        alike[np.ix_(rows, columns)] += np.divide(likeness, whole, out=np.zeros_like(likeness), where=whole > ROUNDING)
    if not counts_true.sum():
        return Hota(*[float("nan")] * 3)
    either = counts_true[:, None] + counts_given[None]
    alike = alike / np.maximum(either - alike, ROUNDING)
    matches = np.zeros((len(LEAST_LIKENESSES), *alike.shape))
    for rows, columns, likeness in indexed:
        row, column = cheapest(-alike[np.ix_(rows, columns)] * likeness)
        reached = _reaches(likeness[row, column][None], LEAST_LIKENESSES[:, None])
        matches[:, rows[row], columns[column]] += reached
    found = matches.sum(axis=(1, 2))
    detection = found / (counts_true.sum() + counts_given.sum() - found)
    association = (matches * matches / np.maximum(1, either - matches)).sum(axis=(1, 2)) / np.maximum(1, found)
    scores = np.sqrt(detection * association)
    return Hota(float(scores.mean()), float(detection.mean()), float(association.mean()))


def _reaches(likeness: Floats, least: float | Floats) -> NDArray[np.bool_]:
    reached: NDArray[np.bool_] = likeness >= least - ROUNDING
    return reached


def _numbers(sights: Sequence[Sight]) -> tuple[NDArray[Any], NDArray[Any]]:
    """All numbers of true and of estimated vehicles, sorted."""
    nobody = np.zeros(0, np.int64)
    return (
        np.unique(np.concatenate([nobody, *(sight.true for sight in sights)])),
        np.unique(np.concatenate([nobody, *(sight.estimated for sight in sights)])),
    )


def _indexed(sights: Sequence[Sight], true: NDArray[Any], estimated: NDArray[Any]) -> list[tuple[Any, Any, Floats]]:
    """Frames with indices instead of numbers."""
    return [
        (
            np.searchsorted(true, sight.true),
            np.searchsorted(estimated, sight.estimated),
            np.asarray(sight.likeness, np.float64),
        )
        for sight in sights
    ]
