"""The formats of the datasets highD (motorways) and inD (intersections): three tables each, with their headers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.arrays import Floats
from tracker.exports.recording import RECORDING_ID, Recording, lane_number
from tracker.following import following
from tracker.tables import Table, write_table

UNKNOWN_LIMIT = -1
# highD distinguishes the driving side: leftwards in the upper, rightwards in the lower part.
UPPER, LOWER = 1, 2


def write_highd(recording: Recording, output: Callable[[str], Path]) -> None:
    """Axis-aligned boxes, y down, metres from the upper left corner of all boxes; frames and vehicles count from 1."""
    tracks, ahead = recording.tracks, following(recording.tracks, recording.lanes)
    lower, upper = recording.corners.min(axis=1), recording.corners.max(axis=1)
    left, top = lower[:, 0].min(initial=np.inf), upper[:, 1].max(initial=-np.inf)
    acceleration = recording.accelerations
    x, width = lower[:, 0] - left, upper[:, 0] - lower[:, 0]
    to_right = (x + width).max(initial=0.0) - (x + width)
    rightwards = tracks["vx_m_s"] >= 0
    nobody = np.zeros(len(x), np.int64)
    table: Table = {
        "frame": recording.steps + 1,
        "id": tracks["track_id"],
        "x": x,
        "y": top - upper[:, 1],
        "width": width,
        "height": upper[:, 1] - lower[:, 1],
        "xVelocity": tracks["vx_m_s"],
        "yVelocity": -tracks["vy_m_s"],
        "xAcceleration": acceleration[:, 0],
        "yAcceleration": -acceleration[:, 1],
        "frontSightDistance": np.where(rightwards, to_right, x),
        "backSightDistance": np.where(rightwards, x, to_right),
        "dhw": np.nan_to_num(ahead["gap_m"]),
        "thw": np.nan_to_num(ahead["time_gap_s"]),
        "ttc": np.nan_to_num(ahead["time_to_collision_s"]),
        "precedingXVelocity": _velocity_of(tracks, ahead["ahead_id"]),
        "precedingId": ahead["ahead_id"],
        "followingId": ahead["behind_id"],
        **{
            f"{side}{where}Id": nobody
            for side in ("left", "right")
            for where in ("Preceding", "Alongside", "Following")
        },
        "laneId": np.array([lane_number(lane) for lane in tracks["lane_id"]], np.int64),
    }
    write_table(output("highd/01_tracks.csv"), table)
    vehicles = _vehicles(recording, table)
    write_table(output("highd/01_tracksMeta.csv"), vehicles)
    kinds = vehicles["class"]
    meta: dict[str, list[Any]] = {
        "id": [RECORDING_ID],
        "frameRate": [recording.rate_hz],
        "locationId": [RECORDING_ID],
        "speedLimit": [UNKNOWN_LIMIT],
        "month": [""],
        "weekDay": [""],
        "startTime": [""],
        "duration": [_duration_s(recording)],
        "totalDrivenDistance": [float(np.sum(recording.vehicles["distance_m"]))],
        "totalDrivenTime": [float(np.sum(recording.vehicles["last_time_s"] - recording.vehicles["first_time_s"]))],
        "numVehicles": [len(kinds)],
        "numCars": [int((kinds == "Car").sum())],
        "numTrucks": [int((kinds == "Truck").sum())],
        "upperLaneMarkings": [""],
        "lowerLaneMarkings": [""],
    }
    write_table(output("highd/01_recordingMeta.csv"), meta)


def _velocity_of(tracks: Table, ids: NDArray[np.int64]) -> Floats:
    """The x velocity of vehicle `ids` in each row's frame; 0 for vehicle 0."""
    at = {
        (frame, number): speed
        for frame, number, speed in zip(tracks["frame"], tracks["track_id"], tracks["vx_m_s"], strict=True)
    }
    return np.array([at.get((frame, number), 0.0) for frame, number in zip(tracks["frame"], ids, strict=True)])


def _vehicles(recording: Recording, table: Table) -> Table:
    rows = []
    for number, part in recording.by_vehicle().items():
        mine = part["row"]
        speeds = np.abs(table["xVelocity"][mine])
        lanes = [lane for lane in table["laneId"][mine] if lane]
        rows.append(
            (
                number, part["length_m"][0], part["width_m"][0], table["frame"][mine[0]], table["frame"][mine[-1]],
                len(mine), "Truck" if part["class"][0] == "truck_bus" else "Car",
                LOWER if table["xVelocity"][mine].mean() >= 0 else UPPER,
                float(np.hypot(np.diff(part["x_m"]), np.diff(part["y_m"])).sum()), speeds.min(), speeds.max(),
                speeds.mean(), _least(table["dhw"][mine]), _least(table["thw"][mine]), _least(table["ttc"][mine]),
                sum(one != other for one, other in pairwise(lanes)),
            )
        )  # fmt: skip
    names = (
        "id", "width", "height", "initialFrame", "finalFrame", "numFrames", "class", "drivingDirection",
        "traveledDistance", "minXVelocity", "maxXVelocity", "meanXVelocity", "minDHW", "minTHW", "minTTC",
        "numLaneChanges",
    )  # fmt: skip
    return {name: np.array([row[index] for row in rows], dtype=object) for index, name in enumerate(names)}


def _least(values: Floats) -> float:
    """The smallest defined value; -1 if there is none, as in highD."""
    known = values[values > 0]
    return float(known.min()) if len(known) else -1.0


def write_ind(recording: Recording, output: Callable[[str], Path]) -> None:
    """Centres, y up, metres; headings 0 to 360 degrees counter-clockwise from x; frames count from 0."""
    tracks, acceleration = recording.tracks, recording.accelerations
    heading = np.radians(tracks["heading_deg"])
    velocity = np.column_stack([tracks["vx_m_s"], tracks["vy_m_s"]])
    along = np.column_stack([np.cos(heading), np.sin(heading)])
    left = np.column_stack([-np.sin(heading), np.cos(heading)])
    count = len(heading)
    first = {number: int(recording.steps[part["row"][0]]) for number, part in recording.by_vehicle().items()}
    table = {
        "recordingId": np.full(count, RECORDING_ID),
        "trackId": tracks["track_id"],
        "frame": recording.steps,
        "trackLifetime": recording.steps - np.array([first[number] for number in tracks["track_id"]], np.int64),
        "xCenter": tracks["x_m"],
        "yCenter": tracks["y_m"],
        "heading": tracks["heading_deg"] % 360,
        "width": tracks["width_m"],
        "length": tracks["length_m"],
        "xVelocity": tracks["vx_m_s"],
        "yVelocity": tracks["vy_m_s"],
        "xAcceleration": acceleration[:, 0],
        "yAcceleration": acceleration[:, 1],
        "lonVelocity": (velocity * along).sum(axis=1),
        "latVelocity": (velocity * left).sum(axis=1),
        "lonAcceleration": (acceleration * along).sum(axis=1),
        "latAcceleration": (acceleration * left).sum(axis=1),
    }
    write_table(output("ind/01_tracks.csv"), table, decimals=4)
    rows = [
        (
            RECORDING_ID, number, int(recording.steps[part["row"][0]]), int(recording.steps[part["row"][-1]]),
            len(part["row"]), part["width_m"][0], part["length_m"][0],
            "bicycle" if part["class"][0] == "two_wheeler" else part["class"][0],
        )
        for number, part in recording.by_vehicle().items()
    ]  # fmt: skip
    names = ("recordingId", "trackId", "initialFrame", "finalFrame", "numFrames", "width", "length", "class")
    write_table(output("ind/01_tracksMeta.csv"), {name: [row[at] for row in rows] for at, name in enumerate(names)})
    two_wheelers = sum(row[-1] == "bicycle" for row in rows)
    plane = recording.ground.plane
    origin = None if plane is None else plane.utm(np.zeros((1, 2)))[0]
    meta: dict[str, list[Any]] = {
        "recordingId": [RECORDING_ID],
        "locationId": [RECORDING_ID],
        "frameRate": [recording.rate_hz],
        "speedLimit": [UNKNOWN_LIMIT],
        "weekday": [""],
        "startTime": [""],
        "duration": [_duration_s(recording)],
        "numTracks": [len(rows)],
        "numVehicles": [len(rows) - two_wheelers],
        "numVRUs": [two_wheelers],
        "latLocation": [np.nan if plane is None else plane.latitude_deg],
        "lonLocation": [np.nan if plane is None else plane.longitude_deg],
        "xUtmOrigin": [np.nan if origin is None else origin[0]],
        "yUtmOrigin": [np.nan if origin is None else origin[1]],
        "orthoPxToMeter": [recording.ground.metres_per_pixel],
    }
    write_table(output("ind/01_recordingMeta.csv"), meta, decimals=8)


def _duration_s(recording: Recording) -> float:
    """The duration of all moments, each as long as the step to the next."""
    return len(recording.times_s) / recording.rate_hz if recording.rate_hz else 0.0
