"""How long stages take, drawn from how long they took before: a forecast that knows how uncertain it is.

Durations are spread wide: a stage that has run for twice its median is more likely to run for hours than to end now.
So a forecast draws many times from what is known, and says between which moments most of the draws lie.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

DRAWS = 60
"""So many simulations are one forecast."""
EARLY, LATE = 0.1, 0.9
"""Eight of ten starts are expected between these shares of the draws."""


class Durations:
    """How long the attempts of each stage took. Empty for a stage that never succeeded."""

    def __init__(self, of_stages: Mapping[str, Sequence[float]]) -> None:
        self._of_stages = {name: sorted(seconds) for name, seconds in of_stages.items() if seconds}

    def draw(self, stage: str, random: Random, elapsed_s: float = 0.0) -> float | None:
        """Seconds that it still takes if it has run for `elapsed_s`; None if nothing is known of it.

        One that has run for longer than any before is expected to take as long again: nothing else is known of it.
        """
        known = self._of_stages.get(stage)
        if known is None:
            return None
        longer = known[bisect.bisect_right(known, elapsed_s) :]
        return random.choice(longer) - elapsed_s if longer else elapsed_s


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
