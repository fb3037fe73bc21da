"""Tells when a disk will be full, from how it has filled lately.

A trend is followed for at most eight times as long as it was seen: a file that was copied within some minutes says
nothing about tomorrow. Of the trends of the last quarter of an hour and of the last hours, the earlier end counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from winslow_dagster.engines.engine import Engine
from winslow_dagster.formatting import format_duration, format_size
from winslow_dagster.projects.domain.space import DiskForecast, DiskSample
from winslow_dagster.settings import Settings

WINDOWS = (timedelta(minutes=15), timedelta(hours=6))
LONGEST = max(WINDOWS)
LEAST_SAMPLES = 3
LEAST_SPAN = timedelta(minutes=2)
FOLLOWED = 8
NOISE_BYTES = 256 << 20
"""A disk that has lost less than that does not fill: logs and databases come and go."""
FRESH = timedelta(minutes=10)
"""Samples are taken every minute."""
HOUR = timedelta(hours=1)


def forecast(samples: Sequence[DiskSample], now: datetime, warn_within: timedelta, warn_percent: float) -> DiskForecast:
    """The forecast for a disk, from its samples, the oldest first; there is at least one."""
    last = samples[-1]
    trends = [found for window in WINDOWS if (found := _trend(samples, now, window)) is not None]
    full_at, rate = min(trends, default=(None, 0.0), key=lambda trend: trend[0])
    soon = full_at is not None and full_at <= now + warn_within
    little = last.free_bytes < last.total_bytes * warn_percent / 100
    return DiskForecast(
        node=last.node,
        free_bytes=last.free_bytes,
        total_bytes=last.total_bytes,
        full_at=full_at,
        bytes_per_hour=round(rate * HOUR.total_seconds()),
        warns=soon or little,
        text=_text(last, full_at, rate, now),
    )


def _trend(samples: Sequence[DiskSample], now: datetime, window: timedelta) -> tuple[datetime, float] | None:
    """When the disk is full, and the bytes that it loses a second, by the line that fits best; None if it keeps up."""
    recent = [sample for sample in samples if sample.at >= now - window]
    if len(recent) < LEAST_SAMPLES or recent[-1].at - recent[0].at < LEAST_SPAN:
        return None
    began, span_s = recent[0].at, (recent[-1].at - recent[0].at).total_seconds()
    times = [(sample.at - began).total_seconds() for sample in recent]
    middle_s = sum(times) / len(times)
    middle_bytes = sum(sample.free_bytes for sample in recent) / len(recent)
    spread = sum((time_s - middle_s) ** 2 for time_s in times)
    together = sum(
        (time_s - middle_s) * (sample.free_bytes - middle_bytes) for time_s, sample in zip(times, recent, strict=True)
    )
    lost_per_s = -together / spread
    if lost_per_s * span_s < NOISE_BYTES:
        return None
    left_s = recent[-1].free_bytes / lost_per_s
    if left_s > FOLLOWED * span_s:
        return None
    return recent[-1].at + timedelta(seconds=left_s), lost_per_s


def _text(last: DiskSample, full_at: datetime | None, rate: float, now: datetime) -> str:
    free = f"{format_size(last.free_bytes)} of {format_size(last.total_bytes)} are free"
    if full_at is None:
        return f"On the disk of {last.node}, {free}."
    left = format_duration(max(0.0, (full_at - now).total_seconds()))
    return (
        f"The disk of {last.node} is full in about {left} at the present rate, {format_size(round(rate * 3600))} an "
        f"hour: {free}."
    )


def forecast_all(
    samples: Mapping[str, Sequence[DiskSample]], settings: Settings, now: datetime
) -> tuple[DiskForecast, ...]:
    """The forecast for each node, from its samples, the oldest first."""
    within = timedelta(hours=settings.disk_warn_hours)
    return tuple(forecast(each, now, within, settings.disk_warn_percent) for each in samples.values() if each)


def filling_disks(
    samples: Mapping[str, Sequence[DiskSample]], settings: Settings, now: datetime
) -> tuple[DiskForecast, ...]:
    """The disks about which a person should do something. Nothing is known of those without a sample of lately."""
    fresh = {node: each for node, each in samples.items() if each and each[-1].at >= now - FRESH}
    return tuple(each for each in forecast_all(fresh, settings, now) if each.warns)


def sampled(engine: Engine, now: datetime) -> tuple[DiskSample, ...]:
    """How much is free on each node now. Raises EngineError."""
    return tuple(
        DiskSample(node=each.name, at=now, free_bytes=each.disk_free_bytes, total_bytes=each.disk_total_bytes)
        for each in engine.node_usage()
    )
