"""Kalman filter and Rauch-Tung-Striebel smoother for a point with constant acceleration, both axes at once.

The state is 3 x 2: position, velocity and acceleration (rows) of x and y (columns), in metres and seconds. The axes
share one covariance (3 x 3), because they are measured alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats

# Before anything but a place is known: 15 m/s of speed, 3 m/s2 of acceleration.
FIRST_SPEED_M_S, FIRST_ACCELERATION_M_S2 = 15.0, 3.0


@dataclass(frozen=True, slots=True)
class Motion:
    """How vehicles move and how well they are seen. `jerk` is a spectral density, m2/s5."""

    jerk: float
    position_noise_m: float


def step_matrices(seconds: float, jerk: float) -> tuple[Floats, Floats]:
    """Transition and process noise over a time step."""
    t = seconds
    transition = np.array([[1, t, t * t / 2], [0, 1, t], [0, 0, 1]])
    noise = jerk * np.array([[t**5 / 20, t**4 / 8, t**3 / 6], [t**4 / 8, t**3 / 3, t**2 / 2], [t**3 / 6, t**2 / 2, t]])
    return transition, noise


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of one vehicle at one moment."""

    state: Floats
    covariance: Floats

    @classmethod
    def first(cls, place: Floats, motion: Motion) -> Belief:
        """From one sighting."""
        spread = np.array([motion.position_noise_m, FIRST_SPEED_M_S, FIRST_ACCELERATION_M_S2])
        return cls(np.vstack([place, np.zeros((2, 2))]), np.diag(spread**2))

    def after(self, seconds: float, motion: Motion) -> Belief:
        """Predicted."""
        transition, noise = step_matrices(seconds, motion.jerk)
        return Belief(transition @ self.state, transition @ self.covariance @ transition.T + noise)

    def seen_at(self, place: Floats, motion: Motion) -> Belief:
        """With one more sighting."""
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + motion.position_noise_m**2)
        state = self.state + np.outer(gain, place - self.state[0])
        return Belief(state, self.covariance - np.outer(gain, self.covariance[0]))


def smooth(times_s: Floats, places: Floats, motion: Motion) -> tuple[Floats, Floats]:
    """States (n x 3 x 2) and the standard deviation of the position (n) at each time.

    `places` is n x 2 with NaN where the vehicle was not seen; the first must be known.
    """
    predicted: list[Belief] = []
    filtered: list[Belief] = []
    for index, place in enumerate(places):
        belief = (
            filtered[-1].after(times_s[index] - times_s[index - 1], motion) if index else Belief.first(place, motion)
        )
        predicted.append(belief)
        filtered.append(belief.seen_at(place, motion) if index and np.isfinite(place[0]) else belief)
    smoothed = [filtered[-1]]
    for index in range(len(places) - 2, -1, -1):
        transition, _ = step_matrices(times_s[index + 1] - times_s[index], motion.jerk)
        now, ahead = filtered[index], predicted[index + 1]
        gain = np.linalg.solve(ahead.covariance, transition @ now.covariance).T
        state = now.state + gain @ (smoothed[-1].state - ahead.state)
        covariance = now.covariance + gain @ (smoothed[-1].covariance - ahead.covariance) @ gain.T
        smoothed.append(Belief(state, covariance))
    smoothed.reverse()
    states = np.array([belief.state for belief in smoothed])
    spreads: Floats = np.sqrt(np.maximum([belief.covariance[0, 0] for belief in smoothed], 0))
    return states, spreads
