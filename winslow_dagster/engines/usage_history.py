"""Reads what the sampler has written: the present, and curves of as many points as fit on a screen."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from winslow_dagster.engines.engine import GpuUsage, NodeGpu, UsageHistory
from winslow_dagster.engines.gpu_processes import processes_now
from winslow_dagster.engines.gpu_readings import GPU_FIELDS
from winslow_dagster.engines.usage_rings import BY_SPAN, LEVELS, Row, Span, last_row, read_rings
from winslow_dagster.engines.usage_sampler import NODE_FIELDS, NODE_SERIES, gpu_series, processes_file, usage_dir
from winslow_dagster.settings import NodeSettings

PRESENT_S = 5
"""A sample older than this is not the present any more: nobody samples."""
ATTEMPT_POINTS = 240
RATES = NODE_FIELDS[3:]

Series = dict[str, tuple[float | None, ...]]


def rates_now(node: NodeSettings) -> dict[str, float | None]:
    """Bytes a second of disks and networks; None where nobody samples."""
    row = last_row(usage_dir(node), NODE_SERIES, len(NODE_FIELDS), time.time(), PRESENT_S)
    known = dict(zip(NODE_FIELDS, row or (), strict=False))
    return {name: _known(known.get(name)) for name in RATES}


def gpus_now(node: NodeSettings, gpus: Sequence[NodeGpu], max_age_s: int = PRESENT_S) -> tuple[GpuUsage, ...]:
    """What is in use of each GPU, except for those without a sample that is at most `max_age_s` old."""
    directory, now_s = usage_dir(node), time.time()
    found = []
    for gpu in gpus:
        row = last_row(directory, gpu_series(gpu.uuid), len(GPU_FIELDS), now_s, max_age_s)
        if row is not None:
            known = dict(zip(GPU_FIELDS, map(_known, row), strict=True))
            processes = processes_now(processes_file(directory, gpu.uuid), max_age_s)
            found.append(GpuUsage(uuid=gpu.uuid, **known, processes=processes))
    return tuple(found)


def history(node: NodeSettings, name: str, gpus: Sequence[NodeGpu], span: Span, points: int) -> UsageHistory:
    """What was in use over the span up to now, as means over equal steps."""
    level = BY_SPAN[span]
    covered_s = level.step_s * level.rows
    # The step is a whole number of rows.
    step_s = level.step_s * max(1, -(-level.rows // points))
    until_s = time.time()
    directory, since_s = usage_dir(node), until_s - covered_s
    rows = read_rings(directory, NODE_SERIES, len(NODE_FIELDS), span, (since_s, until_s))
    at = tuple(sorted({moment // step_s * step_s for moment in rows}))
    return UsageHistory(
        node=name,
        step_s=step_s,
        at=at,
        series=_series(rows, NODE_FIELDS, at, step_s),
        gpus={
            gpu.uuid: _series(_gpu_rows(directory, gpu.uuid, span, (since_s, until_s)), GPU_FIELDS, at, step_s)
            for gpu in gpus
        },
    )


def of_gpus(node: NodeSettings, name: str, uuids: Collection[str], since: datetime, until: datetime) -> UsageHistory:
    """What was in use of these GPUs between two moments, from the finest rings that reach back so far."""
    now_s, directory = time.time(), usage_dir(node)
    since_s, until_s = since.timestamp(), until.timestamp()
    level = next((each for each in LEVELS if now_s - since_s <= each.step_s * each.rows), LEVELS[-1])
    rows = {uuid: _gpu_rows(directory, uuid, level.span, (since_s, until_s)) for uuid in uuids}
    steps = max(1, int((until_s - since_s) / level.step_s))
    step_s = level.step_s * -(-steps // ATTEMPT_POINTS)
    at = tuple(sorted({moment // step_s * step_s for each in rows.values() for moment in each}))
    return UsageHistory(
        node=name,
        step_s=step_s,
        at=at,
        gpus={uuid: _series(each, GPU_FIELDS, at, step_s) for uuid, each in rows.items() if each},
    )


def _gpu_rows(directory: Path, uuid: str, span: Span, between_s: tuple[float, float]) -> dict[int, Row]:
    return read_rings(directory, gpu_series(uuid), len(GPU_FIELDS), span, between_s)


def _series(rows: Mapping[int, Row], fields: Sequence[str], at: Sequence[int], step_s: int) -> Series:
    steps: dict[int, list[Row]] = {moment: [] for moment in at}
    for moment, row in rows.items():
        if (step := moment // step_s * step_s) in steps:
            steps[step].append(row)
    return {
        name: tuple(_mean([row[place] for row in steps[moment]]) for moment in at) for place, name in enumerate(fields)
    }


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    # Four digits are more than a screen shows.
    return float(f"{sum(known) / len(known):.4g}") if known else None


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
