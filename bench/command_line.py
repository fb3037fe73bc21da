"""Response time of the command line."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.figure import Figure

HELP_GOAL_S = 0.3
ROUNDS = 15


def figures() -> Iterator[Figure]:
    """The median of `winslow --help`, including the start of the interpreter."""
    command = [sys.executable, "-c", "from winslow_dagster.cli import main; main()", "--help"]
    taken_s = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        taken_s.append(time.perf_counter() - began_s)
    median_s = statistics.median(taken_s)
    yield Figure("winslow_help_s", round(median_s, 3), "s", f"<= {HELP_GOAL_S}", median_s <= HELP_GOAL_S)
