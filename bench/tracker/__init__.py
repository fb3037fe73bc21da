"""The TrackerApplication on rendered 4K films: accuracy compared with the ground truth, cost with FFmpeg's decoding.

Rendered scenes are easier: no haze, no wind at the camera mount, no dirt, few vehicle shapes. Films are rendered once
and kept in WINSLOW_BENCH_FILMS. Parameters were chosen with the `tune` films.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tracker.simulation.evaluation import evaluate

from bench.figure import Figure
from bench.tracker.chain import Cost, decoding, run_chain, run_stage
from bench.tracker.detections import found_vehicles
from bench.tracker.expenses import expense
from bench.tracker.films import FILMS, Film
from bench.tracker.goals import at_least, at_most
from bench.tracker.registration import camera_errors, registration_errors_px

DETECTORS = ("motion", "network", "fused")
SHARED = ("track_reference_points", "detect_vehicles")
PERCENT = 100.0


def figures() -> Iterator[Figure]:
    """For each film: registration, camera, each detector, trajectories, cost; one worker writes the same."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="winslow-bench-") as folder:
        for film in FILMS:
            film.rendered()
            outputs = Path(folder) / film.name
            decoded = decoding(film)
            costs = run_chain(film, outputs)
            yield from accuracy(film, outputs)
            yield from detectors(film, outputs, costs)
            yield from trajectories(film, outputs)
            yield from expense(film, decoded, costs)
        yield from same_with_one_worker(FILMS[-1], outputs)


def accuracy(film: Film, outputs: Path) -> Iterator[Figure]:
    """Registration at points that no stage has used, and the camera position."""
    errors = registration_errors_px(film, outputs)
    yield at_most(f"{film.name}_registration_mean", float(errors.mean()), "px", 0.05)
    yield at_most(f"{film.name}_registration_max", float(errors.max()), "px", 0.3)
    camera = camera_errors(film, outputs)
    yield at_most(f"{film.name}_camera_position_median", PERCENT * float(np.median(camera)), "% of height", 0.5)
    yield Figure(f"{film.name}_camera_position_max", round(PERCENT * float(camera.max()), 3), "% of height", "", None)


def detectors(film: Film, outputs: Path, costs: dict[str, Cost]) -> Iterator[Figure]:
    """Each detector alone; the chain used `fused`."""
    for detector in DETECTORS:
        output, cost = outputs / "detect_vehicles", costs["detect_vehicles"]
        if detector != "fused":
            output = outputs / f"detected_by_{detector}"
            cost = run_stage(film, outputs, "detect_vehicles", output=output, options=("--detector", detector))
        found = found_vehicles(film, output / "detections.parquet")
        goal = 0.97 if detector == "fused" else None
        yield at_least(f"{film.name}_{detector}_f1", found.f1, "", goal)
        yield Figure(f"{film.name}_{detector}_precision", round(found.precision, 4), "", "", None)
        yield Figure(f"{film.name}_{detector}_recall", round(found.recall, 4), "", "", None)
        share = found.beside / max(1, found.right)
        yield Figure(f"{film.name}_{detector}_false_beside_the_road", round(share, 4), "of those found", "", None)
        yield Figure(f"{film.name}_{detector}_cpu", round(cost.cpu_s, 1), "s", "", None)


def trajectories(film: Film, outputs: Path) -> Iterator[Figure]:
    """Figures of `tracker evaluate` for the exported trajectories."""
    table = outputs / "export_trajectories" / "trajectories.csv"
    for line in evaluate(table, film.directory() / "truth.csv").lines():
        figure = json.loads(line)
        yield Figure(f"{film.name}_{figure['name']}", figure["value"], figure["unit"], figure["goal"], figure["holds"])


def same_with_one_worker(film: Film, outputs: Path) -> Iterator[Figure]:
    """Whether one worker writes the same bytes as the chain's number of workers: 1 if it does."""
    for stage in SHARED:
        output = outputs / "one_worker" / stage
        run_stage(film, outputs, stage, output=output, options=("--workers", "1"))
        names = sorted(path.name for path in output.iterdir())
        same = all((output / name).read_bytes() == (outputs / stage / name).read_bytes() for name in names)
        yield Figure(f"{film.name}_{stage}_same_with_one_worker", float(same), "", ">= 1", same)
