"""The class of a tracked vehicle, from all looks of a network at it and from its size on the ground.

A network takes many vans for trucks, in some looks or in most. How surely it does, on average over all looks, and how
long and wide the vehicle is, are two pieces of evidence. Their log-likelihoods are added for each class, and the most
likely class is the vehicle's. A vehicle that no look shows whole and alone has no size: the looks decide, and how
common a class is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.association import Track
from tracker.detectors.boxes import CLASS_SCORES, KINDS
from tracker.tables import Table
from tracker.vehicles import seen_as, shown_whole, size


@dataclass(frozen=True, slots=True)
class Build:
    """Vehicles of one build: their class, their share of all vehicles, and how long and wide they are seen to be.

    Sizes are those of a network's boxes, without mirrors and corrected for parallax: mean and standard deviation.
    """

    kind: str
    share: float
    length_m: float
    length_std_m: float
    width_m: float
    width_std_m: float

    def density(self, length_m: float, width_m: float) -> float:
        """Probability density of this size among all vehicles, per square metre."""
        off = ((length_m - self.length_m) / self.length_std_m) ** 2 + ((width_m - self.width_m) / self.width_std_m) ** 2
        return float(self.share * np.exp(-off / 2) / (2 * np.pi * self.length_std_m * self.width_std_m))


# Means of what `training/sizes.py` prints for the pictures that the network was trained on and for rendered stills (891
# vehicles each), rounded, and deviations wide enough for both. So are the shares, except that of light trucks, which
# the stills lack: 1.5 instead of 0.3 %. They are as long as vans, but narrower; six are in the pictures.
BUILDS = (
    Build("car", 0.80, 4.3, 0.45, 1.75, 0.2),  # passenger cars
    Build("car", 0.09, 5.55, 0.65, 2.0, 0.2),  # vans and minibuses
    Build("truck_bus", 0.015, 4.95, 0.55, 1.8, 0.15),  # light trucks
    Build("truck_bus", 0.03, 8.0, 1.2, 2.45, 0.35),  # trucks
    Build("truck_bus", 0.04, 12.0, 2.7, 2.5, 0.3),  # buses and long trucks
    Build("two_wheeler", 0.025, 1.8, 0.3, 0.7, 0.15),
)
# Density of any other size in each class: a size like no vehicle's says nothing. Per square metre.
UNUSUAL_PER_M2 = 1e-5
# How many independent looks all looks at a vehicle are worth, as they err alike. Of the same vehicles, 2.5 gets 98 of
# 107 rendered vans right (the majority of the looks: 49), and no truck wrong that the majority gets right. With more,
# fewer vans are right; with less, fewer trucks.
LOOKS_WORTH = 2.5
# Added to each class's score in a look: none is impossible, however sure a network is.
LEAST_SCORE = 0.02
# Weight of a look at a vehicle that the border of the picture cuts, relative to one at the whole vehicle.
CUT_WEIGHT = 0.25


def class_of(boxes: Table, track: Track) -> tuple[str, float]:
    """The most likely class of a vehicle, and its probability.

    Boxes of a user's detector have no scores for each class: then the class that most of them have, and its share.
    """
    rows = _looks(boxes, track)
    if not len(rows):
        return seen_as(boxes, track)
    sized = size(boxes, track) if len(shown_whole(boxes, track)) else None
    evidence = LOOKS_WORTH * _mean_log_shares(boxes, rows) + _log_sizes(sized)
    best = int(evidence.argmax())
    return KINDS[best], float(1 / np.exp(evidence - evidence[best]).sum())


def _looks(boxes: Table, track: Track) -> Flags:
    """The boxes for which a network told the score of each class; only of the vehicle alone, if there are such."""
    if not set(CLASS_SCORES) <= boxes.keys():
        return np.zeros(0, np.int64)
    rows = np.array(track.rows)
    known = np.all([np.isfinite(boxes[name][rows]) for name in CLASS_SCORES], axis=0)
    alone = known & ~np.array(track.shared)
    looks: Flags = rows[alone if alone.any() else known]
    return looks


def _mean_log_shares(boxes: Table, rows: Flags) -> Floats:
    """The mean logarithm of each class's share of the scores in a look; clear looks at whole vehicles count more."""
    scores = np.column_stack([boxes[name][rows] for name in CLASS_SCORES]) + LEAST_SCORE
    weights = boxes["score"][rows] * np.where(boxes["whole"][rows] == 1, 1, CUT_WEIGHT)
    shares = np.log(scores / scores.sum(axis=1, keepdims=True))
    mean: Floats = np.average(shares, axis=0, weights=np.maximum(weights, 1e-9))
    return mean


def _log_sizes(sized: tuple[float, float] | None) -> Floats:
    """The logarithm of the density of a length and width in each class; without a size, of the class's share."""
    likely = np.full(len(KINDS), 0.0 if sized is None else UNUSUAL_PER_M2)
    for build in BUILDS:
        likely[KINDS.index(build.kind)] += build.share if sized is None else build.density(*sized)
    logarithms: Floats = np.log(likely)
    return logarithms
