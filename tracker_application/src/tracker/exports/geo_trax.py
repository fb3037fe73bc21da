"""The geo-trax format: one table with the header of its sample file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.arrays import Floats
from tracker.exports.recording import Recording, lane_number
from tracker.tables import write_table

CLASSES = {"car": 0, "truck_bus": 2, "two_wheeler": 3}
NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)


def write_geo_trax(recording: Recording, output: Callable[[str], Path]) -> None:
    """Speeds in km/h, accelerations in m/s2, sizes in metres. The date is unknown: times count from 1970-01-01."""
    tracks, plane = recording.tracks, recording.ground.plane
    count = len(tracks["track_id"])
    local = recording.places if plane is None else plane.utm(recording.places)
    degrees = np.full((count, 2), np.nan) if recording.degrees is None else recording.degrees
    order = np.lexsort([tracks["track_id"], recording.steps])
    columns = {
        "Vehicle_ID": tracks["track_id"],
        "Timestamp": _stamps(tracks["time_s"]),
        "Frame_Number": recording.steps,
        "Ortho_X": recording.reference_px[:, 0],
        "Ortho_Y": recording.reference_px[:, 1],
        "Local_X": local[:, 0],
        "Local_Y": local[:, 1],
        "Latitude": degrees[:, 0],
        "Longitude": degrees[:, 1],
        "Vehicle_Length": tracks["length_m"],
        "Vehicle_Width": tracks["width_m"],
        "Vehicle_Class": np.array([CLASSES[kind] for kind in tracks["class"]], np.int64),
        "Vehicle_Speed": tracks["speed_m_s"] * 3.6,
        "Vehicle_Acceleration": tracks["acceleration_m_s2"],
        "Road_Section": np.full(count, "", dtype=object),
        "Lane_Number": np.array([str(lane_number(lane) or "") for lane in tracks["lane_id"]], dtype=object),
        "Visibility": tracks["observed"],
    }
    write_table(output("geo_trax.csv"), {name: values[order] for name, values in columns.items()}, decimals=8)


def _stamps(times_s: Floats) -> NDArray[Any]:
    """Each moment as a date and a time, truncated to milliseconds."""
    moments, which = np.unique(times_s, return_inverse=True)
    texts = [(NO_DATE + timedelta(seconds=time_s)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] for time_s in moments.tolist()]
    return np.array(texts, dtype=object)[which]
