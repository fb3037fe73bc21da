"""How long stages take, drawn from how long they took before: a forecast that knows how uncertain it is.

Durations are spread wide: a stage that has run for twice its median is more likely to run for hours than to end now.
So a forecast draws many times from what is known, and says between which moments most of the draws lie.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

DRAWS = 60
"""So many simulations are one forecast."""
ATTEMPTS_CONSIDERED = 100
"""Of a stage, so many of the latest attempts count. With fewer, a rare long one has too much weight."""
FIT_FROM = 5
"""From so many attempts on, their logarithms are taken as normally distributed, which durations of work mostly are."""
LEAST_SPREAD = 0.05
EARLY, LATE = 0.1, 0.9
"""Eight of ten starts are expected between these shares of the draws."""


class Durations:
    """How long the attempts of each stage took. Empty for a stage that never succeeded."""

    def __init__(self, of_stages: Mapping[str, Sequence[float]]) -> None:
        self._of_stages = {name: sorted(seconds) for name, seconds in of_stages.items() if seconds}
        self._fits = {name: _fit(seconds) for name, seconds in self._of_stages.items() if len(seconds) >= FIT_FROM}

    def draw(self, stage: str, random: Random, elapsed_s: float = 0.0) -> float | None:
        """Seconds that it still takes if it has run for `elapsed_s`; None if nothing is known of it.

        One that has run for longer than any before is expected to take as long again: nothing else is known of it.
        """
        known = self._of_stages.get(stage)
        if known is None:
            return None
        fit = self._fits.get(stage)
        if fit is None:
            longer = known[bisect.bisect_right(known, elapsed_s) :]
            return random.choice(longer) - elapsed_s if longer else elapsed_s
        gone = fit.cdf(math.log(elapsed_s)) if elapsed_s > 0 else 0.0
        share = gone + (1 - gone) * random.random()
        if not 0 < share < 1:
            return elapsed_s
        return max(0.0, math.exp(fit.inv_cdf(share)) - elapsed_s)


def _fit(seconds: Sequence[float]) -> statistics.NormalDist:
    """The distribution of the logarithms, somewhat wider for few attempts: their spread is not known exactly."""
    logarithms = [math.log(max(each, 1e-3)) for each in seconds]
    spread = statistics.stdev(logarithms) * math.sqrt(1 + 1 / len(logarithms))
    return statistics.NormalDist(statistics.fmean(logarithms), max(spread, LEAST_SPREAD))


@dataclass(frozen=True, slots=True)
class Forecast:
    """When something is expected: as likely before as after `at`, and most likely between `early` and `late`."""

    at: datetime
    early: datetime
    late: datetime | None
    """None if the draws do not say how late it may be."""


def forecast(draws_s: Sequence[float], now: datetime) -> Forecast | None:
    """What these draws, in seconds from now, say. None if in more than half of them it never comes."""
    ordered = sorted(draws_s)
    if not ordered or (middle := statistics.median_low(ordered)) == float("inf"):
        return None
    early, late = ordered[int(EARLY * (len(ordered) - 1))], ordered[round(LATE * (len(ordered) - 1))]
    return Forecast(
        now + timedelta(seconds=middle),
        now + timedelta(seconds=early),
        None if late == float("inf") else now + timedelta(seconds=late),
    )
