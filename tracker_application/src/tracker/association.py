"""Assign boxes to vehicles: predicted positions against boxes, frame by frame (Hungarian method), in metres."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.neighbours import cheapest
from tracker.tables import Table

IMPOSSIBLE = 1e6
# Prior standard deviation of the speed along the box and across it.
FIRST_SPEED_M_S, FIRST_DRIFT_M_S = 15.0, 2.0
# Density of the white-noise acceleration, m2/s3.
AGILITY = 6.0
# Frame-to-frame error of a box beyond its noise.
UNSTEADY_M = 0.15
# Additional error of boxes cut by the border, as the visible part of the vehicle changes.
CUT_M = 0.5
# Squared distance in standard deviations beyond which a box belongs to another vehicle.
GATE = 25.0
# A box whose length or width differs more from the vehicle's shows a part of it, or other vehicles, too.
UNLIKE_M = 1.0
# A box holds a second vehicle if the first leaves at least this share of the second one's area.
LEAST_ROOM = 0.8
# Sightings until a vehicle is confirmed, and how long an unconfirmed one may be unseen before it is dropped.
BELIEVED, DOUBTFUL_S = 3, 0.35


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as the same vehicle.

    A box further than `gate_m` from a vehicle's predicted position belongs to another; a vehicle unseen for `max_gap_s`
    is gone; a box with a score below `sure_score` continues a track but never starts one.
    """

    gate_m: float = 2.5
    max_gap_s: float = 1.0
    sure_score: float = 0.5


@dataclass(frozen=True, slots=True)
class Track:
    """One vehicle: the rows of its boxes in time order, and whether each box is shared with other vehicles."""

    rows: list[int] = field(default_factory=list)
    shared: list[bool] = field(default_factory=list)

    def see(self, row: int, *, shared: bool) -> None:
        """Add a box."""
        self.rows.append(row)
        self.shared.append(shared)


def associate(boxes: Table, rules: Rules) -> list[Track]:
    """Assign boxes to tracks.

    `boxes` has the columns of `detections.parquet`, in time order. Each box belongs to at most one track, except boxes
    that hold several vehicles: all but the first track mark those as shared.
    """
    if not len(boxes["frame"]):
        return []
    fleet = _Fleet(boxes, rules)
    _, starts = np.unique(boxes["frame"], return_index=True)
    for rows in np.split(np.arange(len(boxes["frame"])), starts[1:]):
        fleet.step(rows)
    return fleet.gone + fleet.tracks


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Each live vehicle (row) against each box of a frame (column)."""

    innovation: Floats  # offset of the box from the prediction, after aligning the edges of parts and merged boxes
    slack: Floats  # how far the centres may differ because the sizes differ
    larger: Floats  # box area relative to the vehicle's
    cost: Floats


class _Fleet:
    """All vehicles being tracked, one array per property.

    Constant velocity with white-noise acceleration; both axes share `spread` (variance of position, covariance of
    position and velocity, variance of velocity).
    """

    def __init__(self, boxes: Table, rules: Rules) -> None:
        self.boxes, self.rules = boxes, rules
        self.places = np.column_stack([boxes["x_m"], boxes["y_m"]])
        axes = np.radians(boxes["heading_deg"])
        self.along = np.column_stack([np.cos(axes), np.sin(axes)])
        self.sizes = np.column_stack([boxes["length_m"], boxes["width_m"]])
        self.whole = boxes["whole"] == 1
        self.noise = boxes["position_std_m"] ** 2 + UNSTEADY_M**2 + np.where(self.whole, 0, CUT_M**2)
        self.gone: list[Track] = []
        self.tracks: list[Track] = []
        self.time_s = 0.0
        self.state = np.zeros((0, 2, 2))  # position and velocity (rows) of x and y (columns)
        self.spread = np.zeros((0, 3))
        self.size = np.zeros((0, 2))
        self.sighted = np.zeros(0, np.int64)
        self.measured = np.zeros(0, np.int64)
        self.last_s = np.zeros(0)

    def step(self, rows: Floats) -> None:
        """Advance to the frame of these boxes."""
        time_s = float(self.boxes["time_s"][rows[0]])
        self._predict(time_s - self.time_s)
        self.time_s = time_s
        self._forget()
        pairs = self._pairs(rows)
        sure = self.boxes["score"][rows] >= self.rules.sure_score
        free = np.ones(len(rows), bool)
        waiting = np.ones(len(self.tracks), bool)
        believed = self.sighted >= BELIEVED
        owner = np.full(len(rows), -1)
        for who, which in ((believed, sure), (believed, ~sure), (~believed, sure)):
            found = _matches(pairs.cost, waiting & who, free & which)
            self._see(found, rows, pairs, shared=False)
            waiting[found[:, 0]] = free[found[:, 1]] = False
            owner[found[:, 1]] = found[:, 0]
        self._see(_shared(pairs, waiting & believed, owner), rows, pairs, shared=True)
        self._begin(rows[free & sure])

    def _predict(self, seconds: float) -> None:
        self.state[:, 0] += seconds * self.state[:, 1]
        place, both, speed = self.spread.T
        self.spread = np.column_stack(
            [
                place + 2 * seconds * both + seconds**2 * speed + AGILITY * seconds**3 / 3,
                both + seconds * speed + AGILITY * seconds**2 / 2,
                speed + AGILITY * seconds,
            ]
        )

    def _forget(self) -> None:
        patience = np.where(self.sighted >= BELIEVED, self.rules.max_gap_s, min(DOUBTFUL_S, self.rules.max_gap_s))
        stays = self.time_s - self.last_s <= patience + 1e-9
        if stays.all():
            return
        self.gone += [track for track, stay in zip(self.tracks, stays, strict=True) if not stay]
        self.tracks = [track for track, stay in zip(self.tracks, stays, strict=True) if stay]
        self.state, self.spread, self.size = self.state[stays], self.spread[stays], self.size[stays]
        self.sighted, self.last_s, self.measured = self.sighted[stays], self.last_s[stays], self.measured[stays]

    def _pairs(self, rows: Floats) -> _Pairs:
        apart = self.places[rows] - self.state[:, None, 0]
        along = self.along[rows]
        across = np.column_stack([-along[:, 1], along[:, 0]])
        off = np.stack([(apart * along).sum(-1), (apart * across).sum(-1)], -1)
        unlike = np.abs(self.sizes[rows] - self.size[:, None])
        slack = np.where(unlike > UNLIKE_M, unlike / 2, 0)
        off = np.sign(off) * np.maximum(np.abs(off) - slack, 0)
        # Only the axis of a vehicle seen once is known: it may continue forwards or backwards.
        young = (self.sighted == 1)[:, None]
        passed = (self.time_s - self.last_s)[:, None]
        lengthways = self.spread[:, :1] + self.noise[rows]
        sideways = np.where(young, (FIRST_DRIFT_M_S * passed) ** 2 + 2 * self.noise[rows], lengthways)
        squared = off[..., 0] ** 2 / lengthways + off[..., 1] ** 2 / sideways
        reach = self.rules.gate_m + np.where(young, FIRST_SPEED_M_S * np.maximum(passed - 0.1, 0), 0)
        cost = squared + np.log(lengthways * sideways) + 2 * np.minimum(unlike.sum(-1), 3)
        possible = (squared <= GATE) & (np.hypot(off[..., 0], off[..., 1]) <= reach)
        # A part of a vehicle lies within the vehicle, whatever its orientation.
        part = (slack > 0).any(-1) & (self.sizes[rows] <= self.size[:, None]).all(-1) & ~young
        possible &= ~part | (np.hypot(apart[..., 0], apart[..., 1]) <= np.hypot(*self.size.T)[:, None] / 2)
        cost = np.where(possible, cost, IMPOSSIBLE)
        innovation = off[..., :1] * along + off[..., 1:] * across
        larger = self.sizes[rows].prod(-1) / self.size.prod(-1)[:, None]
        return _Pairs(innovation, slack, larger, cost)

    def _see(self, found: Floats, rows: Floats, pairs: _Pairs, *, shared: bool) -> None:
        """Update vehicles with boxes: pairs of vehicle and column."""
        if not len(found):
            return
        who, column = found.T
        slack = pairs.slack[who, column]
        noise = self.noise[rows[column]] + (slack.max(axis=1) / 2) ** 2
        place, both, _ = self.spread[who].T
        gain = np.column_stack([place, both]) / (place + noise)[:, None]
        self.state[who] += gain[:, :, None] * pairs.innovation[who, column][:, None, :]
        self.spread[who, 2] -= gain[:, 1] * both
        self.spread[who, 1] -= gain[:, 0] * both
        self.spread[who, 0] -= gain[:, 0] * place
        self.sighted[who] += 1
        self.last_s[who] = self.time_s
        if not shared:
            self._measure(who, rows[column])
        for index, row in zip(who.tolist(), rows[column].tolist(), strict=True):
            self.tracks[index].see(row, shared=shared)

    def _measure(self, who: Flags, rows: Flags) -> None:
        """Update sizes: a slow mean of whole boxes, robust to one merged box; at least the visible part."""
        boxes = self.sizes[rows]
        whole = self.whole[rows]
        self.measured[who] += whole
        times = self.measured[who][:, None]
        most = np.where(times <= BELIEVED, np.inf, 0.5)
        mean = self.size[who] + np.clip(boxes - self.size[who], -most, most) / np.clip(times, 1, 10)
        self.size[who] = np.where(whole[:, None], mean, np.maximum(self.size[who], boxes))

    def _begin(self, rows: Floats) -> None:
        count = len(rows)
        self.tracks += [Track([row], [False]) for row in rows.tolist()]
        fresh = np.stack([self.places[rows], np.zeros((count, 2))], 1)
        spread = np.column_stack([self.noise[rows], np.zeros(count), np.full(count, FIRST_SPEED_M_S**2)])
        self.state, self.spread = np.concatenate([self.state, fresh]), np.concatenate([self.spread, spread])
        self.size = np.concatenate([self.size, self.sizes[rows]])
        self.sighted = np.concatenate([self.sighted, np.ones(count, np.int64)])
        self.measured = np.concatenate([self.measured, self.whole[rows]])
        self.last_s = np.concatenate([self.last_s, np.full(count, self.time_s)])


def _matches(cost: Floats, who: Flags, which: Flags) -> Floats:
    """The pairs with the lowest total cost of these vehicles and boxes: n x 2."""
    tracks, columns = np.flatnonzero(who), np.flatnonzero(which)
    part = cost[np.ix_(tracks, columns)]
    if not part.size:
        return np.zeros((0, 2), np.int64)
    first, second = cheapest(part)
    good = part[first, second] < IMPOSSIBLE
    return np.column_stack([tracks[first[good]], columns[second[good]]])


def _shared(pairs: _Pairs, waiting: Flags, owner: Flags) -> Floats:
    """Already assigned boxes that are large enough for another vehicle predicted there: n x 2."""
    cost = pairs.cost.copy()
    for column in range(len(owner)):
        # As a share of the box: the space its owner leaves, against the space the other vehicle needs.
        left = 1 - 1 / pairs.larger[owner[column], column] if owner[column] >= 0 else 0
        cost[~waiting | (left * pairs.larger[:, column] < LEAST_ROOM), column] = IMPOSSIBLE
    if not cost.size:
        return np.zeros((0, 2), np.int64)
    column = cost.argmin(axis=1)
    who = np.flatnonzero(cost[np.arange(len(cost)), column] < IMPOSSIBLE)
    return np.column_stack([who, column[who]])
