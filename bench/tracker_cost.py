"""Cost of the tracker's stages up to the trajectories: ten seconds of 4K, where program starts count, and a hundred.

Compared with FFmpeg decoding the same film. Run it on a machine that does nothing else; `tracker` measures accuracy.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.tracker.chain import decoding, run_chain
from bench.tracker.expenses import expense
from bench.tracker.films import FILMS, SHORT

# Number of repetitions of the last film, as no film of usual length is available. Starting programs then counts less.
TIMES = 4
MOST_SHORT, MOST_LONG, LEAST_SPEED = 3.0, 1.5, 0.6


def figures() -> Iterator[Figure]:
    """Processor and wall time of both lengths, relative to decoding, and of each stage."""
    short, long = SHORT.rendered(), FILMS[-1].rendered().in_a_row(TIMES)
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="winslow-bench-") as folder:
        for film, goal, least_speed in ((short, MOST_SHORT, None), (long, MOST_LONG, LEAST_SPEED)):
            before = decoding(film)
            costs = run_chain(film, Path(folder) / film.name)
            # The load of the machine changes: decoding is measured on both sides.
            decoded = before.mean(decoding(film))
            yield from expense(film, decoded, costs, goal, least_speed)
