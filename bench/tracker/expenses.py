"""Cost of all stages up to the trajectories, compared with FFmpeg decoding the same film on the same cores."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figure import Figure
from bench.tracker.chain import TO_TRAJECTORIES, Cost
from bench.tracker.films import Film
from bench.tracker.goals import at_least, at_most

MIB = 1024.0**2


def expense(
    film: Film, decoded: Cost, costs: dict[str, Cost], goal: float | None = None, least_speed: float | None = None
) -> Iterator[Figure]:
    """Time and processor time of all stages and of each, relative to decoding, and memory.

    `goal` is the most of both, `least_speed` the least of the frames per second relative to decoding.
    """
    name = f"{film.name}_{film.seconds:g}_s"
    cpu = sum(cost.cpu_s for cost in costs.values()) / decoded.cpu_s
    wall = sum(cost.wall_s for cost in costs.values()) / decoded.wall_s
    note = f"decoding: {decoded.cpu_s:.1f} s of processor time, {decoded.wall_s:.1f} s"
    yield at_most(f"{name}_chain_cpu_vs_decoding", cpu, "ratio", goal, note)
    yield at_most(f"{name}_chain_time_vs_decoding", wall, "ratio", goal)
    yield at_least(f"{name}_chain_speed_vs_decoding", 1 / wall, "ratio", least_speed)
    for stage in TO_TRAJECTORIES:
        share = f"{costs[stage].wall_s / decoded.wall_s:.3f} of its time"
        value = round(costs[stage].cpu_s / decoded.cpu_s, 3)
        yield Figure(f"{name}_{stage}_cpu_vs_decoding", value, "ratio", "", None, share)
    most = max(cost.memory_bytes for cost in costs.values())
    yield at_most(f"{name}_memory", most / MIB, "MiB", 3072)
