"""The TrackerApplication on real pictures whose vehicles are moved by simulation, with exact truth.

In each picture of `roads.ROADS`, the labelled vehicles on the roads are cut out and drive, the road behind them is
filled, the others stand, and a camera sways above. WINSLOW_MOVED_PICTURES names directories with pictures like those of
`bench.tracker_real`, or with frames of Songdo Vision (`00003.jpg` and `00003.txt`), separated by `:`; without it, the
directory of that benchmark is used. None was trained on.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tracker.geometry import transform
from tracker.simulation.evaluation import compare
from tracker.tables import read_table, select

from bench.figure import Figure
from bench.tracker.chain import run_stage
from bench.tracker.films import films_dir
from bench.tracker_moved.film import MovedFilm, render, to_metres
from bench.tracker_moved.labels import RealPicture, file_of
from bench.tracker_moved.roads import ROADS
from bench.tracker_real import DIRECTORY

DIRECTORIES = "WINSLOW_MOVED_PICTURES"
DETECTORS = ("fused", "network", "motion")
BEFORE = ("extract_frame", "define_reference_points", "track_reference_points", "estimate_camera")
AFTER = ("detect_vehicles", "track_vehicles", "detect_lanes", "export_trajectories")
GOALS = {"hota": 88.0, "mota": 94.0, "idf1": 96.0, "class_right": 95.0}
SHOWN = (
    "vehicles", "hota", "mota", "idf1", "recall", "precision", "identity_switches", "position_error_median_m",
    "position_error_rmse_m", "speed_error_median_km_h", "class_right",
)  # fmt: skip
NEEDED = ("track_id", "frame", "x_m", "y_m", "speed_km_h", "heading_deg", "length_m", "width_m", "class")


def figures() -> Iterator[Figure]:
    """Each picture with each detector."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="winslow-bench-") as folder:
        for name, goal in GOALS.items():
            if not any(_directories(picture) for picture in ROADS):
                yield Figure(
                    f"moved_{name}", None, "%", f">= {goal:g}", None, f"not measured: {DIRECTORIES} is not set"
                )
        for name in ROADS:
            for directory in _directories(name):
                yield from of_picture(RealPicture.read(directory, name), Path(name).stem, Path(folder))


def _directories(name: str) -> list[Path]:
    """Those of the given ones that have this picture."""
    given = [
        Path(each) for each in os.environ.get(DIRECTORIES, os.environ.get(DIRECTORY, "")).split(os.pathsep) if each
    ]
    return [directory for directory in given if file_of(directory, name).exists()]


def of_picture(picture: RealPicture, name: str, folder: Path) -> Iterator[Figure]:
    """The figures of a film of this picture, which is kept like the rendered ones."""
    film = MovedFilm(films_dir() / f"moved_{name}")
    if not film.truth.exists():
        print(f"bench: rendering {film.directory.name}", file=sys.stderr)
        unfinished = film.directory.with_name(f"{film.directory.name}.unfinished")
        render(picture, unfinished)
        unfinished.replace(film.directory)
    outputs = folder / name
    for stage in BEFORE:
        run_stage(film, outputs, stage)
    for detector in DETECTORS:
        yield from _figures(f"{name}_{detector}", film, picture, _tracked(film, outputs, detector))


def _tracked(film: MovedFilm, outputs: Path, detector: str) -> Path:
    """The trajectories with a detector; the stages before it are shared."""
    own = outputs / f"with_{detector}"
    own.mkdir()
    for stage in BEFORE:
        (own / stage).symlink_to(outputs / stage)
    for stage in AFTER:
        options = ("--detector", detector) if stage == "detect_vehicles" else ()
        run_stage(film, own, stage, options=options)
    return own / "export_trajectories" / "trajectories.csv"


def _figures(name: str, film: MovedFilm, picture: RealPicture, trajectories: Path) -> Iterator[Figure]:
    for key, value in _values(film, picture, trajectories):
        goal = GOALS.get(key) if name.endswith("_fused") else None
        holds = None if goal is None else value >= goal
        yield Figure(f"{name}_{key}", value, _unit(key), "" if goal is None else f">= {goal:g}", holds)


def _values(film: MovedFilm, picture: RealPicture, trajectories: Path) -> Iterator[tuple[str, float]]:
    """Only classes that the picture has complete labels of count, and nothing where it is ignored."""
    found = read_table(trajectories, NEEDED)
    places = transform(np.linalg.inv(to_metres(picture)), np.column_stack([found["x_m"], found["y_m"]]))
    counts = np.isin(found["class"], list(picture.complete_for)) & ~picture.hides(places)
    compared = compare(select(found, counts), read_table(film.truth))
    for key in SHOWN:
        yield key, round(float(getattr(compared, key)), 4)


def _unit(key: str) -> str:
    return "%" if key in GOALS else "m" if key.endswith("_m") else "km/h" if key.endswith("_h") else ""
