"""The TrackerApplication on rendered 4K films: accuracy against what is true, cost against FFmpeg's decoding.

Rendered scenes flatter: no haze, no wind in the camera's mount, no dirt, vehicles of a few forms. Films are rendered
once and kept where WINSLOW_BENCH_FILMS says. Figures of `tune` films are those that parameters were chosen with.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tracker.simulation.evaluation import evaluate

from bench.figure import Figure
from bench.tracker.chain import TO_TRAJECTORIES, Cost, decoding, run_chain, run_stage
from bench.tracker.detections import found_vehicles
from bench.tracker.films import FILMS, Film
from bench.tracker.registration import camera_errors, registration_errors_px

DETECTORS = ("motion", "network", "fused")
SHARED = ("track_reference_points", "detect_vehicles")
# A film of usual length is not at hand: the last one so often after itself. To start programs counts less then.
TIMES = 4
PERCENT = 100.0
MIB = 1024.0**2


def figures() -> Iterator[Figure]:
    """Of each film: registration, camera, each detector, trajectories, cost; one worker against several; length."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="winslow-bench-") as folder:
        for film in FILMS:
            film.rendered()
            made = Path(folder) / film.name
            decoded = decoding(film)
            costs = run_chain(film, made)
            yield from accuracy(film, made)
            yield from detectors(film, made, costs)
            yield from trajectories(film, made)
            yield from expense(film, decoded, costs)
        yield from same_with_one_worker(FILMS[-1], made)
        long = FILMS[-1].in_a_row(TIMES)
        yield from expense(long, decoding(long), run_chain(long, Path(folder) / long.name))


def accuracy(film: Film, made: Path) -> Iterator[Figure]:
    """Registration on points that no stage has seen, and the camera's place."""
    errors = registration_errors_px(film, made)
    yield at_most(f"{film.name}_registration_mean", float(errors.mean()), "px", 0.05)
    yield at_most(f"{film.name}_registration_max", float(errors.max()), "px", 0.3)
    camera = camera_errors(film, made)
    yield at_most(f"{film.name}_camera_position_median", PERCENT * float(np.median(camera)), "% of height", 0.5)
    yield Figure(f"{film.name}_camera_position_max", round(PERCENT * float(camera.max()), 3), "% of height", "", None)


def detectors(film: Film, made: Path, costs: dict[str, Cost]) -> Iterator[Figure]:
    """Each detector alone; the chain has used `fused`."""
    for detector in DETECTORS:
        output, cost = made / "detect_vehicles", costs["detect_vehicles"]
        if detector != "fused":
            output = made / f"detected_by_{detector}"
            cost = run_stage(film, made, "detect_vehicles", output=output, options=("--detector", detector))
        found = found_vehicles(film, output / "detections.parquet")
        goal = 0.97 if detector == "fused" else None
        yield at_least(f"{film.name}_{detector}_f1", found.f1, "", goal)
        yield Figure(f"{film.name}_{detector}_precision", round(found.precision, 4), "", "", None)
        yield Figure(f"{film.name}_{detector}_recall", round(found.recall, 4), "", "", None)
        share = found.beside / max(1, found.right)
        yield Figure(f"{film.name}_{detector}_false_beside_the_road", round(share, 4), "of those found", "", None)
        yield Figure(f"{film.name}_{detector}_cpu", round(cost.cpu_s, 1), "s", "", None)


def trajectories(film: Film, made: Path) -> Iterator[Figure]:
    """What `tracker evaluate` says of the exported trajectories."""
    table = made / "export_trajectories" / "trajectories.csv"
    for line in evaluate(table, film.directory() / "truth.csv").lines():
        said = json.loads(line)
        yield Figure(f"{film.name}_{said['name']}", said["value"], said["unit"], said["goal"], said["holds"])


def expense(film: Film, decoded: Cost, costs: dict[str, Cost]) -> Iterator[Figure]:
    """Time against that of decoding alone, and memory."""
    whole_s = sum(cost.wall_s for cost in costs.values())
    yield at_least(f"{film.name}_chain_speed_vs_decoding", decoded.wall_s / whole_s, "ratio", 0.6)
    for stage in TO_TRAJECTORIES:
        share = costs[stage].wall_s / decoded.wall_s
        yield Figure(f"{film.name}_{stage}_vs_decoding", round(share, 3), "ratio", "", None)
    most = max(cost.memory_bytes for cost in costs.values())
    yield at_most(f"{film.name}_memory", most / MIB, "MiB", 3072)


def same_with_one_worker(film: Film, made: Path) -> Iterator[Figure]:
    """Whether one worker writes the same bytes as the chain's number of workers did; 1 where it does."""
    for stage in SHARED:
        output = made / "one_worker" / stage
        run_stage(film, made, stage, output=output, options=("--workers", "1"))
        names = sorted(path.name for path in output.iterdir())
        same = all((output / name).read_bytes() == (made / stage / name).read_bytes() for name in names)
        yield Figure(f"{film.name}_{stage}_same_with_one_worker", float(same), "", ">= 1", same)


def at_most(name: str, value: float, unit: str, goal: float | None) -> Figure:
    """A figure that is better the lower it is."""
    return Figure(name, round(value, 4), unit, f"<= {goal:g}" if goal else "", value <= goal if goal else None)


def at_least(name: str, value: float, unit: str, goal: float | None) -> Figure:
    """A figure that is better the higher it is."""
    return Figure(name, round(value, 4), unit, f">= {goal:g}" if goal else "", value >= goal if goal else None)
