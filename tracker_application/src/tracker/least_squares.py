"""Nonlinear least squares by the Levenberg-Marquardt method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats

MOST_STEPS = 60
# The search ends when a step changes the cost, or the unknowns, by a smaller share.
COST_SHARE, STEP_SHARE = 1e-10, 1e-10
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-3, 1e-12, 1e12
EASE, TIGHTEN = 0.1, 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Minimum:
    """The unknowns found, and the residuals and their derivatives there."""

    unknown: Floats
    residuals: Floats
    jacobian: Floats

    @property
    def cost(self) -> float:
        """Half the sum of the squared residuals."""
        return float(self.residuals @ self.residuals) / 2


def minimize(
    residuals_of: Callable[[Floats], Floats], jacobian_of: Callable[[Floats], Floats], start: Floats
) -> Minimum:
    """The unknowns with the least sum of squared residuals near `start`.

    Each unknown is damped in proportion to its influence, so that their units do not matter.
    """
    here = Minimum(start, residuals_of(start), jacobian_of(start))
    damping, scale = FIRST_DAMPING, np.zeros(len(start))
    for _ in range(MOST_STEPS):
        curvature, slope = here.jacobian.T @ here.jacobian, here.jacobian.T @ here.residuals
        scale = np.maximum(scale, np.diag(curvature))
        while True:
            damped = curvature + damping * np.diag(np.where(scale > 0, scale, 1))
            unknown = here.unknown - np.linalg.solve(damped, slope)
            residuals = residuals_of(unknown)
            gained = here.cost - float(residuals @ residuals) / 2
            if gained >= 0 or damping > MOST_DAMPING:
                break
            damping *= TIGHTEN
        if gained < 0:
            return here
        small_step = np.linalg.norm(unknown - here.unknown) <= STEP_SHARE * np.linalg.norm(unknown)
        ended = gained <= COST_SHARE * here.cost or small_step
        here = Minimum(unknown, residuals, jacobian_of(unknown))
        damping = max(damping * EASE, LEAST_DAMPING)
        if ended:
            break
    return here
