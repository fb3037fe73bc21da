"""Writes figures into a page of the documentation: one block for each benchmark, between two comments."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import Figure

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
HEAD = """\
# Benchmarks

What Winslow adds to the work itself. `make bench TABLE=1` measures, and writes these tables; with
`BENCH=orchestration`, only those of one benchmark.

Figures depend on the machine and on what else it does, so the goals are mostly ratios of two measurements that were
made in turns. Memory is PSS (proportional set size): the services are forks of one process, and a page that several of
them share counts once. The sum of their RSS, in which it counts once for each, is beside it.

The other programs run the same nine stages as Winslow, each a container that runs `true` with one CPU, in an
environment of their own that the benchmark makes in `.cache/bench`. Their time begins when they are loaded, and their
server, where they have one, runs.
"""
KNOWN = {True: "yes", False: "**no**", None: ""}


def write_block(page: Path, benchmark: str, figures: Sequence[Figure]) -> None:
    """Replace the benchmark's block in the page; add it at the end if there is none."""
    text = page.read_text() if page.exists() else HEAD
    begin, end = f"<!-- {benchmark} -->", f"<!-- end of {benchmark} -->"
    block = f"{begin}\n{table(benchmark, figures)}{end}\n"
    found = re.compile(rf"{re.escape(begin)}\n.*?{re.escape(end)}\n", re.DOTALL)
    changed = found.sub(lambda _: block, text) if found.search(text) else f"{text.rstrip()}\n\n{block}"
    page.write_text(changed)


def table(benchmark: str, figures: Sequence[Figure]) -> str:
    """One row per figure, and where and when they were measured."""
    rows = "".join(
        f"| {each.name.replace('_', ' ')} | {value(each)} | {each.goal} | {KNOWN[each.holds]} | {each.note} |\n"
        for each in figures
    )
    load = os.getloadavg()[1]
    return (
        f"## {benchmark.replace('_', ' ').capitalize()}\n\n"
        f"| | measured | goal | met | |\n|---|---|---|---|---|\n{rows}\n"
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, Linux {platform.release()}, "
        f"Python {platform.python_version()}, mean load {load:.1f}.\n"
    )


def value(figure: Figure) -> str:
    """With its unit."""
    if figure.value is None:
        return "not measured"
    number = f"{figure.value:.3g}" if abs(figure.value) < 100 else f"{figure.value:.0f}"
    return number if figure.unit == "ratio" else f"{number} {figure.unit}"
