"""Judges trajectories without any ground truth, by what is implausible for vehicles.

Vehicles enter and leave the view at its border, keep their size, stay where their boxes are, and have limits of speed
and acceleration. What breaks these rules is probably a part of a vehicle, two vehicles, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.geometry import transform
from tracker.ground import Ground
from tracker.neighbours import Places
from tracker.point_doubts import doubts_about_scale
from tracker.tables import Table, groups

# A box this far from its vehicle's smoothed position has jumped. Further ones belong to no vehicle.
JUMP_M, OWN_BOX_M = 1.0, 3.0
# Largest share of boxes that may jump before that is worth a doubt.
MOST_JUMPING = 0.02
# A vehicle begins and ends at the border if it is within its length and this share of the picture's width of it.
BORDER_SHARE = 0.03
# A track may begin or end anywhere this close to the film's ends.
FILM_ENDS_S = 1.0
# A vehicle changes its size if so many of its boxes differ by more than this share of the median.
SIZES_DIFFER, MOST_DIFFERENT = 0.2, 0.25
# Limits of vehicles: km/h, and m/s2 for so long.
FASTEST_KM_H, HARDEST_M_S2, HARD_S = 200.0, 10.0, 0.3
# Tilt of the camera up to which anything was tried.
TRIED_TILT_DEG = 30.0
# Places where vehicles cross the border belong to one arm if they are this close to another of it.
ARM_M = 15.0
# Shares of tracks from which a fault is worth a doubt.
WORTH_A_DOUBT = 0.05


@dataclass(frozen=True, slots=True)
class Film:
    """What the trajectories were made from: one homography per frame (n x 3 x 3, frame to reference frame)."""

    ground: Ground
    times_s: Floats
    to_reference: Floats
    tilt_deg: float


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The figures, and what is doubtful about the result in words."""

    figures: dict[str, Any]
    doubts: tuple[str, ...]
    outside_of_what_was_tried: tuple[str, ...]
    arms: tuple[dict[str, Any], ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """For `quality.json`."""
        return {
            "verdict": self.verdict,
            "doubts": list(self.doubts),
            "outside_of_what_was_tried": list(self.outside_of_what_was_tried),
            "figures": self.figures,
            "arms": list(self.arms),
        }

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.outside_of_what_was_tried:
            return "Outside of what this was tried on: " + "; ".join(self.outside_of_what_was_tried)
        return "Nothing implausible was found" if not self.doubts else "; ".join(self.doubts)


def check_self(tracks: Table, detections: Table, film: Film) -> SelfCheck:
    """Judge the trajectories of `tracks.parquet` with the boxes that they were made from."""
    vehicles = groups(tracks, "track_id")
    ends = [_Ends.of(number, track, film) for number, track in vehicles.items()]
    jumping, boxes, changing = _boxes(vehicles, detections)
    impossible = [number for number, track in vehicles.items() if _impossible(track)]
    inside = [end.number for end in ends if end.begins_inside or end.ends_inside]
    entered, left = sum(end.enters for end in ends), sum(end.leaves for end in ends)
    figures: dict[str, Any] = {
        "vehicles": len(vehicles),
        "boxes_that_jump": round(jumping / max(1, boxes), 4),
        "tracks_that_begin_or_end_inside": len(inside),
        "tracks_whose_size_changes": len(changing),
        "tracks_with_impossible_speeds": len(impossible),
        "entered": entered,
        "left": left,
        "in_view_at_the_start": sum(end.at_start for end in ends),
        "in_view_at_the_end": sum(end.at_end for end in ends),
        "track_ids": {"begin_or_end_inside": inside, "size_changes": changing, "impossible_speeds": impossible},
    }
    return SelfCheck(figures, tuple(_doubts(figures)), tuple(_outside(film)), tuple(_arms(ends)))


@dataclass(frozen=True, slots=True)
class _Ends:
    """Where and when a track begins and ends."""

    number: int
    first_m: Floats
    last_m: Floats
    at_start: bool
    at_end: bool
    enters: bool
    leaves: bool

    @property
    def begins_inside(self) -> bool:
        return not (self.enters or self.at_start)

    @property
    def ends_inside(self) -> bool:
        return not (self.leaves or self.at_end)

    @classmethod
    def of(cls, number: int, track: Table, film: Film) -> _Ends:
        places = np.column_stack([track["x_m"], track["y_m"]])
        reach_m = float(track["length_m"][0])
        times = track["time_s"]
        at_start = bool(times[0] - film.times_s[0] <= FILM_ENDS_S)
        at_end = bool(film.times_s[-1] - times[-1] <= FILM_ENDS_S)
        enters, leaves = (
            _at_border(places[row], int(track["frame"][row]), reach_m, film) for row in (0, len(places) - 1)
        )
        return cls(number, places[0], places[-1], at_start, at_end, enters and not at_start, leaves and not at_end)


def _at_border(place: Floats, frame: int, reach_m: float, film: Film) -> bool:
    """Whether a vehicle is at the border of a frame, or of the road polygon."""
    ground = film.ground
    in_reference = transform(np.linalg.inv(ground.to_world), place[None])
    own = transform(np.linalg.inv(film.to_reference[frame]), in_reference)[0]
    size = np.array([ground.frame.width_px, ground.frame.height_px])
    margin_px = reach_m / ground.metres_per_pixel + BORDER_SHARE * size[0]
    if bool(((own < margin_px) | (own > size - 1 - margin_px)).any()):
        return True
    corners = ground.road_polygon_px
    if not len(corners):
        return False
    return bool(_distance_px(in_reference[0], corners) < margin_px)


def _distance_px(point: Floats, corners: Floats) -> float:
    """From a point to the outline of a polygon."""
    starts, ways = corners, np.roll(corners, -1, axis=0) - corners
    along = ((point - starts) * ways).sum(axis=1) / np.maximum((ways**2).sum(axis=1), 1e-9)
    nearest = starts + np.clip(along, 0, 1)[:, None] * ways
    return float(np.hypot(*(nearest - point).T).min())


def _boxes(vehicles: dict[int, Table], detections: Table) -> tuple[int, int, list[int]]:
    """How many boxes are away from their vehicle, of how many; and the vehicles whose boxes change their size."""
    by_frame = groups(detections, "frame")
    places = {frame: Places(np.column_stack([found["x_m"], found["y_m"]])) for frame, found in by_frame.items()}
    jumping = total = 0
    changing = []
    for number, track in vehicles.items():
        lengths = []
        for row in np.flatnonzero(track["observed"] == 1).tolist():
            frame = int(track["frame"][row])
            if frame not in places:
                continue
            here = np.array([track["x_m"][row], track["y_m"][row]])
            near = places[frame].within(here, OWN_BOX_M)
            if not len(near):
                continue
            found = by_frame[frame]
            apart = np.hypot(found["x_m"][near] - here[0], found["y_m"][near] - here[1])
            own = near[int(apart.argmin())]
            if found["whole"][own] == 1:
                total += 1
                jumping += bool(apart.min() > JUMP_M)
                lengths.append(float(found["length_m"][own]))
        if lengths and np.mean(np.abs(np.array(lengths) / np.median(lengths) - 1) > SIZES_DIFFER) > MOST_DIFFERENT:
            changing.append(number)
    return jumping, total, changing


def _impossible(track: Table) -> bool:
    hard = np.abs(track["acceleration_m_s2"]) > HARDEST_M_S2
    steps_s = np.gradient(track["time_s"]) if len(hard) > 1 else np.zeros(len(hard))
    return bool(track["speed_m_s"].max() * 3.6 > FASTEST_KM_H or float(steps_s[hard].sum()) > HARD_S)


def _doubts(figures: dict[str, Any]) -> Iterator[str]:
    many = WORTH_A_DOUBT * figures["vehicles"]
    if figures["boxes_that_jump"] > MOST_JUMPING:
        share = 100 * figures["boxes_that_jump"]
        yield f"{share:.0f} % of the boxes are more than {JUMP_M:g} m from their vehicle's path"
    if figures["tracks_that_begin_or_end_inside"] > many:
        yield (
            f"{figures['tracks_that_begin_or_end_inside']} of {figures['vehicles']} tracks begin or end inside the "
            "picture: they may be parts of one vehicle, or none"
        )
    if figures["tracks_whose_size_changes"] > many:
        yield f"{figures['tracks_whose_size_changes']} of {figures['vehicles']} vehicles change their length"
    if figures["tracks_with_impossible_speeds"]:
        yield (
            f"{figures['tracks_with_impossible_speeds']} of {figures['vehicles']} tracks are faster than "
            f"{FASTEST_KM_H:g} km/h, or accelerate more than vehicles can: is the scale right?"
        )


def _outside(film: Film) -> Iterator[str]:
    """In which respects the film is unlike any that the program was tried on."""
    yield from doubts_about_scale(film.ground.metres_per_pixel)
    if film.tilt_deg > TRIED_TILT_DEG:
        yield (
            f"the camera looks {film.tilt_deg:.0f} degrees away from straight down, which is outside of what this was "
            f"tried on (up to {TRIED_TILT_DEG:g} degrees): vehicles cover each other, and far ones are missed"
        )


def _arms(ends: list[_Ends]) -> Iterator[dict[str, Any]]:
    """Counts of vehicles in and out at each place where they cross the border."""
    crossing = [(end.first_m, 1) for end in ends if end.enters] + [(end.last_m, -1) for end in ends if end.leaves]
    if not crossing:
        return
    places, ways = np.array([place for place, _ in crossing]), np.array([way for _, way in crossing])
    arms = _linked(places)
    for arm in np.unique(arms).tolist():
        own = arms == arm
        x_m, y_m = places[own].mean(axis=0).round(1).tolist()
        yield {"x_m": x_m, "y_m": y_m, "in": int((ways[own] > 0).sum()), "out": int((ways[own] < 0).sum())}


def _linked(places: Floats) -> Flags:
    """The number of the group of each place: of those that are close to another of the group."""
    numbers = np.full(len(places), -1)
    among = Places(places)
    for start in range(len(places)):
        if numbers[start] >= 0:
            continue
        waiting = [start]
        while waiting:
            at = waiting.pop()
            if numbers[at] < 0:
                numbers[at] = start
                waiting += among.within(places[at], ARM_M).tolist()
    return numbers
