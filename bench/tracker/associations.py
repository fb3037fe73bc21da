"""Our association compared with the trackers of the library `trackers`, on the same simulated detections.

Run `python -m bench.tracker.associations`. The library is included if it is installed (`trackers`, `supervision`); the
TrackerApplication does not need it. All get the same boxes, and their tracks go through the same smoothing and
clean-up; `joined` ones go through the same closing of gaps first. Seeds 100 to 199 are for tuning, 200 to 299 for
testing.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Callable, Iterator

import numpy as np
from tracker.arrays import Floats
from tracker.association import Rules, Track, associate
from tracker.geometry import corners
from tracker.joining import join
from tracker.simulation.evaluation import compare
from tracker.simulation.figures import Figures
from tracker.simulation.sightings import DETECTORS, sightings
from tracker.stages.track_vehicles import Parameters, follow, smoothed, usable
from tracker.tables import Table

RATES_HZ = (10, 5)
SEEDS = {"tune": tuple(range(101, 106)), "test": tuple(range(201, 206))}
SECONDS = 60
LIBRARY = ("SORTTracker", "ByteTrackTracker", "OCSORTTracker", "CBIoUTracker")
# The library works in pixels: per metre, as many as in a 4K film from 75 m.
PIXELS_PER_M = 33.0
NAMES = (
    "hota", "mota", "idf1", "identity_switches", "position_error_median_m", "position_error_rmse_m",
    "speed_error_median_km_h", "speed_error_p95_km_h",
)  # fmt: skip
Associate = Callable[[Table, float], list[Track]]


def main() -> None:
    """Print one line of JSON for each tracker, rate and set of seeds: means over seeds and detectors."""
    for part, seeds in SEEDS.items():
        for rate_hz in RATES_HZ:
            scenes = [_scene(detector, seed, rate_hz) for detector in DETECTORS for seed in seeds]
            for name, method in methods():
                results = [measured(boxes, truth, method, rate_hz) for boxes, truth in scenes]
                means = {key: round(float(np.mean([getattr(one, key) for one in results])), 3) for key in NAMES}
                print(json.dumps({"tracker": name, "rate_hz": rate_hz, "seeds": part} | means), flush=True)


def methods() -> Iterator[tuple[str, Associate]]:
    """The available methods by name."""
    parameters = Parameters()
    yield "ours, joined", lambda boxes, _: follow(boxes, parameters)
    yield "ours", lambda boxes, _: associate(boxes, Rules())
    if importlib.util.find_spec("trackers") and importlib.util.find_spec("supervision"):
        for name in LIBRARY:
            yield name, functools.partial(_by_library, name)
            yield f"{name}, joined", functools.partial(_by_library_joined, name)


def _scene(detector: str, seed: int, rate_hz: float) -> tuple[Table, Table]:
    found, truth = sightings(DETECTORS[detector], seed=seed, seconds=SECONDS, rate_hz=rate_hz)
    return completed(found, detector), truth


def completed(found: Table, detector: str) -> Table:
    """Adds the columns that the simulation omits."""
    count = len(found["frame"])
    errors = DETECTORS[detector]
    noise_m = float(np.sqrt(errors.noise_m**2 + errors.drift_m**2 + errors.bias_m**2))
    source = "motion" if detector == "background" else "network"
    missing = {
        "class": np.full(count, "", object),
        "source": np.full(count, source, object),
        "position_std_m": np.full(count, noise_m),
    }
    return usable(missing | found)


def measured(boxes: Table, truth: Table, method: Associate, rate_hz: float) -> Figures:
    """Track, smooth, and compare with the ground truth."""
    frames, first = np.unique(truth["frame"], return_index=True)
    camera = {"frame": frames, "time_s": truth["time_s"][first]}
    rows = smoothed(boxes, method(boxes, rate_hz), camera, Parameters())
    if rows is None:
        raise ValueError("nothing was tracked")
    return compare(rows | {"speed_km_h": 3.6 * rows["speed_m_s"]}, truth)


def _by_library(name: str, boxes: Table, rate_hz: float) -> list[Track]:
    import supervision  # only if it is installed
    import trackers

    method = getattr(trackers, name)(frame_rate=rate_hz)
    outlines = _upright(boxes)
    tracks: dict[int, Track] = {}
    _, starts = np.unique(boxes["frame"], return_index=True)
    for rows in np.split(np.arange(len(boxes["frame"])), starts[1:]):
        detections = supervision.Detections(
            xyxy=outlines[rows],
            confidence=boxes["score"][rows].astype(np.float32),
            class_id=np.zeros(len(rows), int),
            data={"row": rows},
        )
        followed = method.update(detections)
        for row, number in zip(followed.data.get("row", ()), followed.tracker_id, strict=True):
            if number is not None and number >= 0:
                tracks.setdefault(int(number), Track()).see(int(row), shared=False)
    return list(tracks.values())


def _by_library_joined(name: str, boxes: Table, rate_hz: float) -> list[Track]:
    limits = Parameters()
    tracks = _by_library(name, boxes, rate_hz)
    return join(boxes, tracks, max_gap_s=limits.max_gap_seconds, max_standing_s=limits.max_standing_gap_seconds)


def _upright(boxes: Table) -> Floats:
    """Axis-aligned boxes in the image around the oriented ones, n x 4, pixels."""
    columns = (boxes["x_m"], boxes["y_m"], np.radians(boxes["heading_deg"]), boxes["length_m"], boxes["width_m"])
    ends = np.array([corners(*box) for box in zip(*columns, strict=True)]) * PIXELS_PER_M + 2000
    upright: Floats = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1).astype(np.float32)
    return upright


if __name__ == "__main__":
    main()
