"""Joins detections to vehicles, closes gaps, and smooths where they are, how fast, and which way they point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats
from tracker.association import associate
from tracker.contract import Report, StageFiles
from tracker.errors import NoVehicles
from tracker.geometry import angle_between
from tracker.parameters import parameter
from tracker.smoothing import Motion, smooth
from tracker.tables import Table, read_table, select, write_table

# Below, the direction of motion says little about the direction of the vehicle.
SLOW_M_S = 1.5
# By outline, metres: shorter than the first a two-wheeler, longer than the second a truck or bus.
TWO_WHEELER_M, LARGE_M = 2.8, 6.8


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    min_track_seconds: float = parameter(1.0, "what is seen for a shorter time is no vehicle", minimum=0)
    min_travel_m: float = parameter(
        3.0, "what moves less than this between first and last sight is no vehicle", minimum=0
    )
    max_gap_seconds: float = parameter(1.0, "for how long a vehicle may be hidden and is still the same", minimum=0)
    gate_m: float = parameter(2.5, "how far from the expected place a vehicle may be seen", minimum=0.1)
    position_noise_m: float = parameter(0.15, "standard deviation of a detected position", minimum=0.001)
    jerk_density: float = parameter(
        4.0, "how abruptly vehicles accelerate, m2/s5: higher follows faster, smooths less", minimum=0.01
    )


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `tracks.parquet`: one row a vehicle and frame. Raises NoVehicles."""
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("frame", "time_s"))
    table = read_table(files.upstream("detect_vehicles", "detections.parquet"), ("frame", "x_m", "y_m", "whole"))
    # A vehicle that is cut by the border is not centred where its box is.
    cut = int((table["whole"] == 0).sum())
    table = select(table, table["whole"] == 1)
    places = np.column_stack([table["x_m"], table["y_m"]])
    motion = Motion(parameters.jerk_density, parameters.position_noise_m)
    tracks = associate(
        _by_frame(table, report), places, motion, gate_m=parameters.gate_m, max_gap_s=parameters.max_gap_seconds
    )
    kept = []
    for track in tracks:
        seen = select(table, np.array(track.rows))
        lasts = seen["time_s"][-1] - seen["time_s"][0]
        reach = np.hypot(seen["x_m"] - seen["x_m"][0], seen["y_m"] - seen["y_m"][0]).max()
        if lasts >= parameters.min_track_seconds and reach >= parameters.min_travel_m:
            kept.append(seen)
    if not kept:
        raise NoVehicles(
            f"no vehicle was followed for {parameters.min_track_seconds:g} s and {parameters.min_travel_m:g} m",
            remedy=f"{len(tracks)} shorter tracks were left out, and {cut} of {cut + len(places)} boxes because "
            "the border cuts them; try lower MIN_TRACK_SECONDS and MIN_TRAVEL_M, or film from further away",
        )
    kept.sort(key=lambda seen: (seen["frame"][0], seen["x_m"][0]))
    parts = []
    for number, seen in enumerate(kept, 1):
        parts.append(_trajectory(number, seen, camera, motion))
        report.progress("vehicles", number, len(kept))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    write_table(files.output("tracks.parquet"), whole, decimals=4)
    report.result("vehicles", len(kept))
    report.result("left_out", len(tracks) - len(kept))
    report.result("median_speed_km_h", float(np.median(whole["speed_m_s"])) * 3.6)


def _by_frame(table: Table, report: Report) -> Iterator[tuple[float, list[int]]]:
    frames, starts = np.unique(table["frame"], return_index=True)
    for count, rows in enumerate(np.split(np.arange(len(table["frame"])), starts[1:]), 1):
        if len(rows):
            yield float(table["time_s"][rows[0]]), rows.tolist()
        report.progress("frames", count, len(frames))


def _trajectory(number: int, seen: Table, camera: Table, motion: Motion) -> Table:
    """One vehicle on every frame from its first to its last sight."""
    rows = np.flatnonzero((camera["frame"] >= seen["frame"][0]) & (camera["frame"] <= seen["frame"][-1]))
    frames, times = camera["frame"][rows], camera["time_s"][rows]
    at = np.searchsorted(frames, seen["frame"])
    places = np.full((len(rows), 2), np.nan)
    places[at] = np.column_stack([seen["x_m"], seen["y_m"]])
    states, spread = smooth(times, places, motion)
    velocity, acceleration = states[:, 1], states[:, 2]
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    along = (velocity * acceleration).sum(axis=1) / np.maximum(speed, 0.1)
    observed = np.zeros(len(rows), np.int64)
    observed[at] = 1
    length, width = float(np.median(seen["length_m"])), float(np.median(seen["width_m"]))
    count = len(rows)
    return {
        "track_id": np.full(count, number),
        "frame": frames,
        "time_s": times,
        "x_m": states[:, 0, 0],
        "y_m": states[:, 0, 1],
        "heading_deg": np.degrees(_headings(velocity, speed, np.radians(seen["heading_deg"]))),
        "speed_m_s": speed,
        "acceleration_m_s2": along,
        "vx_m_s": velocity[:, 0],
        "vy_m_s": velocity[:, 1],
        "length_m": np.full(count, length),
        "width_m": np.full(count, width),
        "class": np.full(count, _class(length), dtype=object),
        "position_std_m": spread,
        "observed": observed,
    }


def _headings(velocity: Floats, speed: Floats, axes: Floats) -> Floats:
    """Where the vehicle points: along its motion while it moves; while it stands, the way it last (or next) did.

    If it never moves fast enough: along its box.
    """
    moving = np.flatnonzero(speed >= SLOW_M_S)
    if not len(moving):
        towards = np.arctan2(*(velocity.mean(axis=0)[::-1]))
        axis = 0.5 * np.arctan2(np.sin(2 * axes).mean(), np.cos(2 * axes).mean())
        return np.full(len(speed), axis if abs(angle_between(axis, towards)) < np.pi / 2 else axis + np.pi)
    directions = np.unwrap(np.arctan2(velocity[moving, 1], velocity[moving, 0]))
    whole: Floats = np.interp(np.arange(len(speed)), moving, directions)
    turned: Floats = angle_between(whole, 0.0)
    return turned


def _class(length_m: float) -> str:
    if length_m < TWO_WHEELER_M:
        return "two_wheeler"
    return "truck_bus" if length_m > LARGE_M else "car"
