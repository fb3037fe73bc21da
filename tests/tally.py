"""Counts what the tests hit and what came of it, and shows it at the end of a test run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import pytest

Record = Callable[[str, object], None]
"""pytest's record_property: it comes back in the report, also from another process."""


def lines(reports: Iterable[pytest.TestReport]) -> list[str]:
    """One line for each heading, such as `hit by kill -9: 3 container, 2 run worker`."""
    counts: dict[str, Counter[str]] = {}
    for report in reports:
        for name, value in report.user_properties:
            if name == "tally":
                heading, what, number = value
                counts.setdefault(heading, Counter())[what] += number
    return [
        f"{heading}: {', '.join(f'{number} {what}' for what, number in sorted(count.items()))}"
        for heading, count in sorted(counts.items())
    ]
