"""One lane per GPU: where in it the attempts stand that held it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from winslow_dagster.console.project_view import stage_path
from winslow_dagster.engines.engine import Node
from winslow_dagster.formatting import format_duration
from winslow_dagster.projects.domain.gpu_lanes import GpuHold

WIDTH = 1000
"""Of a lane, in the units of its drawing."""
NARROWEST = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """An attempt in a lane: its place in the drawing, its text, and where it leads."""

    hold: GpuHold
    x: float
    width: float
    label: str
    path: str
    running: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """One GPU. `holder` is who has it now."""

    gpu: str
    name: str
    node: str
    bars: tuple[Bar, ...]
    busy_percent: int
    holder: Bar | None


def lanes(nodes: Iterable[Node], holds: Iterable[GpuHold], now: datetime, span: timedelta) -> tuple[Lane, ...]:
    """The lanes of all GPUs. One that a node no longer has is there if it was held."""
    # AMD's and Intel's ids are addresses on the bus: two nodes may have the same.
    by_gpu: dict[tuple[str, str], list[GpuHold]] = {}
    for hold in holds:
        by_gpu.setdefault((hold.node, hold.gpu), []).append(hold)
    known = {(node.name, gpu.uuid): f"GPU {gpu.index}: {gpu.name}" for node in nodes for gpu in node.gpus}
    gone = {gpu: gpu[1] for gpu in by_gpu if gpu not in known}
    return tuple(
        _lane((gpu, name, node), by_gpu.get((node, gpu), []), now, span) for (node, gpu), name in (known | gone).items()
    )


def _lane(of: tuple[str, str, str], holds: list[GpuHold], now: datetime, span: timedelta) -> Lane:
    bars = tuple(_bar(hold, now, span) for hold in holds)
    held_s = sum((_end(hold, now) - max(hold.since, now - span)).total_seconds() for hold in holds)
    running = [bar for bar in bars if bar.running]
    busy = min(100, round(100 * held_s / span.total_seconds()))
    return Lane(*of, bars, busy, running[-1] if running else None)


def _bar(hold: GpuHold, now: datetime, span: timedelta) -> Bar:
    begin = max(0.0, 1 - (now - hold.since) / span) * WIDTH
    end = (1 - (now - _end(hold, now)) / span) * WIDTH
    taken = format_duration((_end(hold, now) - hold.since).total_seconds())
    how = f"{hold.outcome or 'running'}, {taken}".replace("_", " ")
    return Bar(
        hold=hold,
        x=round(begin, 1),
        width=round(max(end - begin, NARROWEST), 1),
        label=f"{hold.project}, {hold.stage}: {how}",
        path=stage_path(hold.project, hold.stage, "attempts", pipeline=hold.pipeline),
        running=hold.until is None,
    )


def _end(hold: GpuHold, now: datetime) -> datetime:
    return now if hold.until is None else min(hold.until, now)
