"""Where the errors and warnings of a log are: counts by ranges of lines, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

Level = Literal["error", "warning"]
"""What the rules of a stage make of a line."""

BINS: Final = 512
"""A rail on a screen has fewer pixels than twice this."""


@dataclass(slots=True)
class Density:
    """How many errors and warnings are in each range of `width` lines, the first of which begins with line 1.

    The width doubles whenever the log outgrows the bins, so that the result does not depend on how it was read.
    """

    width: int = 1
    errors: list[int] = field(default_factory=list)
    warnings: list[int] = field(default_factory=list)

    def add(self, level: Level, line: int) -> None:
        """Count one more."""
        while line > self.width * BINS:
            self.width *= 2
            self.errors, self.warnings = list(_paired(self.errors)), list(_paired(self.warnings))
        counts = self.errors if level == "error" else self.warnings
        place = (line - 1) // self.width
        counts.extend([0] * (place + 1 - len(counts)))
        counts[place] += 1


def _paired(counts: list[int]) -> Iterator[int]:
    for place in range(0, len(counts), 2):
        yield sum(counts[place : place + 2])
