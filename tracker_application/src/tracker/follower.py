"""Registers the frames of a stretch of film one after the other."""

from __future__ import annotations

import numpy as np

from tracker.arrays import Picture
from tracker.mosaic import NARROW
from tracker.registration import FEWEST_INLIERS, Registered, Registration

# Interval of searches while the reference frame is lost: a search takes as long as twenty frames.
SEARCH_EVERY_S = 0.25
# Share of the last frame's points that must fit close to where they were. With fewer, the camera has moved more
# suddenly, and points are looked for further away.
AS_MANY = 0.9


class Still:
    """With a fixed camera, every frame aligns with the reference frame."""

    def __init__(self, points: int) -> None:
        self.points = points

    def step(self, _luma: Picture, _time_s: float) -> Registered:
        """Does not look at the frame."""
        return Registered(np.eye(3), np.ones(self.points, bool), 0.0)


class Follower:
    """Registers frames in sequence; each starts from the previous one, the first from a search."""

    def __init__(self, registration: Registration, min_inlier_share: float) -> None:
        self.registration = registration
        self.needed = max(FEWEST_INLIERS, min_inlier_share * int(registration.usable.sum()))
        self.last: Registered | None = None
        self.search_from_s = -np.inf

    def step(self, luma: Picture, time_s: float) -> Registered | None:
        """Register one frame; None if the reference frame is not found in it."""
        registered = None if self.last is None else self._from(self.last, luma)
        if registered is None and time_s >= self.search_from_s:
            elsewhere = self.registration.search(luma)
            registered = None if elsewhere is None else self._good(self.registration.follow(luma, elsewhere))
            self.search_from_s = time_s + SEARCH_EVERY_S
        if registered is not None:
            self.last, self.search_from_s = registered, -np.inf
        return registered

    def _from(self, last: Registered, luma: Picture) -> Registered | None:
        """The frame near the last one: close to it if about as many points fit there, or further away."""
        guess = np.linalg.inv(last.to_reference)
        close = self._good(self.registration.follow(luma, guess, NARROW))
        if close is not None and int(close.inliers.sum()) >= AS_MANY * int(last.inliers.sum()):
            return close
        return self._good(self.registration.follow(luma, guess))

    def _good(self, registered: Registered | None) -> Registered | None:
        return registered if registered is not None and int(registered.inliers.sum()) >= self.needed else None
