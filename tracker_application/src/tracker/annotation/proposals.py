"""The labels to begin with: the tracks that the tracker found, on every so many frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tracker.annotation.labels import Labels, Stand, Vehicle
from tracker.arrays import Floats
from tracker.contract import StageFiles
from tracker.detectors.boxes import KINDS
from tracker.errors import ParameterInvalid
from tracker.ground import Ground
from tracker.proxy import FILM_FILE
from tracker.tables import groups, read_table

DEFAULT_EVERY = 10


def key_frames(times_s: Floats, every: int, from_s: float, seconds: float | None) -> tuple[int, ...]:
    """Every so many frames of this part of the film. Raises ParameterInvalid if there are fewer than two."""
    until_s = np.inf if seconds is None else from_s + seconds
    frames = np.flatnonzero((times_s >= from_s) & (times_s <= until_s))[::every].tolist()
    if len(frames) < 2:  # noqa: PLR2004  nothing lies between fewer
        raise ParameterInvalid(
            f"there are {len(frames)} frames to label from {from_s:g} s on",
            remedy=f"The film has {len(times_s)} frames and ends at {times_s[-1]:.1f} s: label a longer part, or more "
            "of its frames (--every)",
        )
    return tuple(frames)


def film_of(files: StageFiles) -> Mapping[str, Any]:
    """What tells this film, and the metres in it, from others."""
    film = json.loads(files.upstream("track_reference_points", FILM_FILE).read_text(encoding="utf-8"))
    to_world = Ground.read(files.upstream("estimate_camera", "ground.json")).to_world
    return {**film, "to_world": to_world.tolist()}


def proposed(files: StageFiles, frames: tuple[int, ...]) -> Labels:
    """The tracks of `track_vehicles` on these frames, and their own ends; those between two of them are left out."""
    tracks = read_table(
        files.upstream("track_vehicles", "tracks.parquet"),
        ("track_id", "frame", "x_m", "y_m", "heading_deg", "length_m", "width_m", "class"),
    )
    vehicles = {}
    for number, track in groups(tracks, "track_id").items():
        on_frames = np.isin(track["frame"], frames)
        if not on_frames.any():
            continue
        # The ends say how fast a vehicle comes and goes that is on few of the frames.
        near = (track["frame"] >= frames[0]) & (track["frame"] <= frames[-1])
        rows = np.union1d(np.flatnonzero(on_frames), np.flatnonzero(near)[[0, -1]])
        headings = np.radians(track["heading_deg"])
        stands = {
            int(track["frame"][row]): Stand(*(float(column[row]) for column in (track["x_m"], track["y_m"], headings)))
            for row in rows.tolist()
        }
        kind = str(track["class"][0])
        size_m = float(np.median(track["length_m"])), float(np.median(track["width_m"]))
        vehicles[int(number)] = Vehicle(kind if kind in KINDS else "car", *size_m, stands)
    return Labels(film_of(files), frames, vehicles)
