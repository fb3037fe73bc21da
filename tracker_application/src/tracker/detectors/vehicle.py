"""The state of one vehicle from frame to frame, from network and motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tracker.arrays import Floats, Picture
from tracker.detectors.boxes import KINDS, Boxes
from tracker.detectors.overlap import corners_px
from tracker.detectors.sightings import MOTION_STD_M

# Weight of new observations for size and velocity.
NEWS = 0.4
# If it has never moved, the network's mean score over this many last looks must suffice.
LOOKS = 4


@dataclass(slots=True)
class Vehicle:
    """A vehicle's state in stabilised pixels and per second. `size` is the network's."""

    box: Boxes
    time_s: float
    velocity: Floats = field(default_factory=lambda: np.zeros(2))
    size: Floats | None = None
    votes: dict[str, float] = field(default_factory=dict)
    scores: tuple[float, ...] = ()
    sightings: int = 1
    moved: bool = False
    look: Boxes | None = None
    looked_s: float = -np.inf
    missed: int = 0
    appearance: Picture | None = None
    source: str = ""
    std_m: float = MOTION_STD_M
    _corners: Floats | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the network has ever seen it."""
        return self.size is not None

    @property
    def score(self) -> float:
        """Mean score of the last looks, misses included."""
        return sum(self.scores) / max(1, len(self.scores))

    @property
    def middle(self) -> Floats:
        """Its last centre."""
        return np.array([self.box.x_px[0], self.box.y_px[0]])

    @property
    def corners_px(self) -> Floats:
        """Of its box, 4 x 2; cached because most vehicles are stationary."""
        if self._corners is None:
            self._corners = corners_px(self.box)[0]
        return self._corners

    def seen(self, box: Boxes, time_s: float, source: str, std_m: float) -> None:
        """Update with a sighting."""
        passed = time_s - self.time_s
        if passed > 0:
            velocity = (np.array([box.x_px[0], box.y_px[0]]) - self.middle) / passed
            share = NEWS if self.sightings > 1 else 1.0
            self.velocity = (1 - share) * self.velocity + share * velocity
            self.sightings += 1
        self.box, self.time_s, self.source, self.std_m = box, time_s, source, std_m
        self._corners = None

    def followed(self, box: Boxes, time_s: float, std_m: float) -> None:
        """Update with a motion box."""
        self.moved = True
        self.seen(box, time_s, "fused", std_m)

    def looked(self, look: Boxes, time_s: float, *, faint: bool = False) -> None:
        """Update with a network box. Of a faint one, the size is not to be trusted."""
        if self.size is None or not faint:
            size = np.array([look.length_px[0], look.width_px[0]])
            self.size = size if self.size is None else (1 - NEWS) * self.size + NEWS * size
        kind = str(look.kind[0])
        self.votes[kind] = self.votes.get(kind, 0.0) + float(look.score[0])
        self.scores = (*self.scores, float(look.score[0]))[-LOOKS:]
        self.look, self.looked_s, self.missed = look, time_s, 0

    def overlooked(self) -> None:
        """The network did not see it. Ignored until it has once: the vehicle may be entering the view."""
        self.missed += 1
        if self.confirmed:
            self.scores = (*self.scores, 0.0)[-LOOKS:]

    @property
    def kind(self) -> str:
        """The majority of the looks."""
        return max(("", *KINDS), key=lambda kind: self.votes.get(kind, 0.0))


def expected(vehicles: Sequence[Vehicle], time_s: float) -> Boxes:
    """Their predicted boxes at a later time."""
    boxes = Boxes.joined([vehicle.box for vehicle in vehicles])
    velocities = np.array([vehicle.velocity for vehicle in vehicles]).reshape(-1, 2)
    shift = velocities * (time_s - np.array([vehicle.time_s for vehicle in vehicles]))[:, None]
    return replace(boxes, x_px=boxes.x_px + shift[:, 0], y_px=boxes.y_px + shift[:, 1])
