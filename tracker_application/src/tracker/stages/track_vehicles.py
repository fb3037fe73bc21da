"""Joins detections into tracks, closes gaps, and smooths positions, speeds and headings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats
from tracker.association import Rules, Track, associate
from tracker.contract import Report, StageFiles
from tracker.detectors.sightings import LOOKS_FILE
from tracker.errors import NoVehicles
from tracker.joining import join
from tracker.lean import SHARE, lean_share, leaning_by
from tracker.motion import moved
from tracker.movers import Movers
from tracker.parameters import parameter
from tracker.tables import Table, read_table, select, write_table
from tracker.trajectories import trajectories
from tracker.vehicle_class import class_of
from tracker.vehicles import searched, sightings_of, twins, unlikely
from tracker.waiting import waiting

NEEDED = (
    "frame", "time_s", "x_m", "y_m", "heading_deg", "length_m", "width_m", "score", "whole", "class", "source",
    "position_std_m",
)  # fmt: skip
MEASURED = ("x_m", "y_m", "heading_deg", "length_m", "width_m", "score", "position_std_m")
# Tracks with fewer sightings are flicker.
FEWEST = 5


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    min_track_seconds: float = parameter(
        1.0, "least duration of a track; half of it at either end of the film", minimum=0
    )
    min_travel_m: float = parameter(3.0, "least distance of a track, unless a network is sure of it", minimum=0)
    road_reach_m: float = parameter(
        15.0,
        "how far from where vehicles drive a stationary one may be; the further, the higher a network score it needs; "
        "0: the same anywhere",
        minimum=0,
    )
    max_gap_seconds: float = parameter(2.5, "how long a vehicle may be hidden and still be the same", minimum=0)
    max_standing_gap_seconds: float = parameter(
        60.0, "the same, for a vehicle that is stopped before or after", minimum=0
    )
    gate_m: float = parameter(2.5, "largest distance of a box from the predicted position", minimum=0.1)
    sure_score: float = parameter(0.5, "boxes with a lower score do not start a track", minimum=0, maximum=1)
    min_moving_seconds: float = parameter(
        1.0, "how long a vehicle that only motion sees must move like one to start a track nevertheless", minimum=0.5
    )
    jerk_density: float = parameter(
        2.0, "jerk of vehicles, m2/s5: higher values follow faster and smooth less", minimum=0.01
    )


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `tracks.parquet`: one row per vehicle and frame. Raises NoVehicles."""
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("frame", "time_s"))
    table = read_table(files.upstream("detect_vehicles", "detections.parquet"), NEEDED)
    boxes = usable(table)
    unusable = len(table["frame"]) - len(boxes["frame"])
    if unusable:
        report.warning(f"{unusable} boxes are ignored because their position, size, score or noise is not a number")
    tracks = follow(boxes, parameters)
    share = lean_share(boxes, tracks)
    if share is not None:
        boxes = leaning_by(boxes, share)
        report.result("lean_share", share)
        report.warning(
            f"vehicles lean outwards {100 * share:.0f} % as far as they would below a camera at this height, and "
            "positions are corrected accordingly: HORIZONTAL_FOV_DEG may be wrong, or the film may show a flat picture"
        )
    boxes, tracks = with_waiting(boxes, tracks, _looks(files, share), parameters)
    report.progress("steps", 1, 3)
    tracked = smoothed(boxes, tracks, camera, parameters)
    report.progress("steps", 2, 3)
    if tracked is None:
        cut = int((boxes["whole"] == 0).sum())
        raise NoVehicles(
            f"no vehicle was tracked for {parameters.min_track_seconds:g} s and {parameters.min_travel_m:g} m",
            remedy=f"{len(tracks)} shorter tracks were dropped, with {len(boxes['frame'])} boxes, {cut} of them cut by "
            "the border; try lower MIN_TRACK_SECONDS and MIN_TRAVEL_M, or film from further away",
        )
    if share is not None:
        tracked[SHARE] = np.full(len(tracked["frame"]), share)
    write_table(files.output("tracks.parquet"), tracked, decimals=4)
    report.progress("steps", 3, 3)
    vehicles = int(tracked["track_id"][-1])
    report.result("vehicles", vehicles)
    report.result("left_out", len(tracks) - vehicles)
    report.result("median_speed_km_h", float(np.median(tracked["speed_m_s"])) * 3.6)


def usable(table: Table) -> Table:
    """The usable boxes, in an order that does not depend on their original order."""
    good = (table["length_m"] > 0) & (table["width_m"] > 0) & (table["position_std_m"] > 0)
    for name in MEASURED:
        good &= np.isfinite(table[name])
    rows = np.flatnonzero(good)
    return select(table, rows[np.lexsort([table[name][rows] for name in ("score", "y_m", "x_m", "frame")])])


def follow(boxes: Table, parameters: Parameters) -> list[Track]:
    """Group the boxes of each vehicle."""
    rules = Rules(parameters.gate_m, min(1.0, parameters.max_gap_seconds), parameters.sure_score)
    tracks = associate(boxes, rules)
    movers = Movers(boxes, rules, parameters.min_moving_seconds)
    every = [*tracks, *movers.beside(tracks)]
    joined = join(
        boxes, every, max_gap_s=parameters.max_gap_seconds, max_standing_s=parameters.max_standing_gap_seconds
    )
    return [track for track in joined if movers.known(track)]


def with_waiting(
    boxes: Table, tracks: list[Track], looks: Table | None, parameters: Parameters
) -> tuple[Table, list[Track]]:
    """The boxes and tracks with those of vehicles that stand and are seen only faintly."""
    if looks is None:
        return boxes, tracks
    more = waiting(looks, boxes, tracks)
    if not len(more["frame"]):
        return boxes, tracks
    count = len(boxes["frame"])
    whole = {name: np.concatenate([values, more[name]]) for name, values in boxes.items()}
    numbers = more["number"]
    _, starts = np.unique(numbers, return_index=True)
    found = [
        Track((count + rows).tolist(), [False] * len(rows)) for rows in np.split(np.arange(len(numbers)), starts[1:])
    ]
    limits = parameters.max_gap_seconds, parameters.max_standing_gap_seconds
    return whole, join(whole, [*tracks, *found], max_gap_s=limits[0], max_standing_s=limits[1])


def _looks(files: StageFiles, share: float | None) -> Table | None:
    """What the network saw, if the boxes are from one; `share` is how far vehicles lean."""
    path = files.input_dir / "detect_vehicles" / LOOKS_FILE
    if not path.is_file():
        return None
    looks = usable(read_table(path, NEEDED))
    return looks if share is None else leaning_by(looks, share)


def smoothed(boxes: Table, tracks: list[Track], camera: Table, parameters: Parameters) -> Table | None:
    """Rows of `tracks.parquet` for the tracks that are vehicles; None if there are none."""
    tracks = [track for track in tracks if _lasts(boxes, track, camera["time_s"], parameters.min_track_seconds)]
    tracks.sort(key=lambda track: track.rows)
    if not tracks:
        return None
    frames, times = searched(boxes, camera)
    sightings, moment = sightings_of(boxes, tracks, frames, times)
    motions = moved(sightings, parameters.jerk_density)
    limits = parameters.min_travel_m, parameters.road_reach_m
    dropped = twins(sightings, motions, moment) | unlikely(boxes, tracks, sightings, motions, *limits)
    kept = [number for number in range(len(tracks)) if number not in dropped]
    if not kept:
        return None
    rows = np.isin(np.repeat(np.arange(len(tracks)), sightings.lengths), kept)
    sightings, motions = sightings.part(kept, rows), motions.part(rows)
    table = trajectories(sightings, motions, camera)
    classes = [class_of(boxes, tracks[number]) for number in kept]
    table["class"] = np.array([name for name, _ in classes], object)[table["track_id"] - 1]
    table["class_score"] = np.array([score for _, score in classes])[table["track_id"] - 1]
    return table


def _lasts(boxes: Table, track: Track, film_s: Floats, min_track_s: float) -> bool:
    """Whether a vehicle is seen for long enough; half as long if the film begins or ends with it."""
    times = boxes["time_s"][track.rows]
    cut = times[0] - film_s[0] < min_track_s / 2 or film_s[-1] - times[-1] < min_track_s / 2
    return len(track.rows) >= FEWEST and bool(times[-1] - times[0] >= (min_track_s / 2 if cut else min_track_s))
