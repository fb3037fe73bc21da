"""Labelled vehicles: where they stand on key frames of a film. Values; every act returns new ones.

A vehicle has one size and one kind. Between two frames on which it was placed, its course is interpolated.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from tracker.arrays import Floats
from tracker.detectors.boxes import KINDS
from tracker.errors import InputMissing, ParameterInvalid

LABELS_FILE = "labels.json"


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a vehicle stands: its centre on the ground, and its direction counter-clockwise from x."""

    x_m: float
    y_m: float
    heading_rad: float


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle; `stands` by frame, at least one."""

    kind: str
    length_m: float
    width_m: float
    stands: Mapping[int, Stand]

    @property
    def first(self) -> int:
        """The frame it is first seen on."""
        return min(self.stands)

    @property
    def last(self) -> int:
        """The frame it is last seen on."""
        return max(self.stands)

    def box(self, stand: Stand) -> Floats:
        """Centre, heading, length and width in metres and radians."""
        return np.array([stand.x_m, stand.y_m, stand.heading_rad, self.length_m, self.width_m])

    def placed(self, frame: int, stand: Stand) -> Vehicle:
        """The vehicle, standing there on this frame."""
        return replace(self, stands={**self.stands, frame: stand})

    def resized(self, frame: int, before: Stand, box: Floats) -> Vehicle:
        """The vehicle with the size of this box, which replaces the one that stood at `before`.

        On other frames, the same ends and sides of the vehicle move by as much.
        """
        ahead, aside = _turned(-before.heading_rad, *(box[:2] - [before.x_m, before.y_m]))
        stands = {}
        for other, stand in self.stands.items():
            x_m, y_m = _turned(stand.heading_rad, ahead, aside)
            stands[other] = Stand(stand.x_m + x_m, stand.y_m + y_m, stand.heading_rad)
        resized = replace(self, length_m=float(box[3]), width_m=float(box[4]), stands=stands)
        return resized.placed(frame, Stand(*box[:3].tolist()))


def _turned(angle: float, x: float, y: float) -> tuple[float, float]:
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    return cosine * x - sine * y, sine * x + cosine * y


@dataclass(frozen=True, slots=True)
class Labels:
    """All vehicles by number, and which of the key `frames` a person has `checked`.

    `film` identifies the film, and what one metre is in it.
    """

    film: Mapping[str, Any]
    frames: tuple[int, ...]
    vehicles: Mapping[int, Vehicle]
    checked: frozenset[int] = field(default=frozenset())

    def vehicle(self, number: int) -> Vehicle:
        """The vehicle with this number. Raises ParameterInvalid."""
        if number not in self.vehicles:
            raise ParameterInvalid(f"there is no vehicle {number}", remedy="Reload the page")
        return self.vehicles[number]

    def beside(self, frame: int) -> tuple[int, int]:
        """The key frames before and after a frame; at the ends, the first and the last one."""
        before = self.frames[max(0, bisect_left(self.frames, frame) - 1)]
        return before, self.frames[min(bisect_right(self.frames, frame), len(self.frames) - 1)]

    def having(self, number: int, vehicle: Vehicle) -> Labels:
        """The labels with this vehicle instead of the one with its number."""
        return replace(self, vehicles={**self.vehicles, number: vehicle})

    def without(self, number: int) -> Labels:
        """The labels without a vehicle."""
        self.vehicle(number)
        return replace(self, vehicles={other: it for other, it in self.vehicles.items() if other != number})

    def with_new(self, vehicle: Vehicle) -> tuple[Labels, int]:
        """The labels with one more vehicle, and its number."""
        number = max(self.vehicles, default=0) + 1
        return self.having(number, vehicle), number

    def trimmed(self, number: int, first: int, last: int) -> Labels:
        """The labels with a vehicle only from `first` to `last`; without it if it was not placed in between."""
        vehicle = self.vehicle(number)
        stands = {frame: stand for frame, stand in vehicle.stands.items() if first <= frame <= last}
        return self.having(number, replace(vehicle, stands=stands)) if stands else self.without(number)

    def divided(self, number: int, frame: int) -> Labels:
        """The labels with another vehicle from this frame on."""
        vehicle = self.vehicle(number)
        later = {at: stand for at, stand in vehicle.stands.items() if at >= frame}
        if not later or len(later) == len(vehicle.stands):
            raise ParameterInvalid(f"vehicle {number} is not seen before and after this frame", remedy="Nothing to do")
        return self.trimmed(number, 0, frame - 1).with_new(replace(vehicle, stands=later))[0]

    def joined(self, number: int, other: int) -> Labels:
        """The labels with two numbers for one vehicle made one, `number`, which decides where both were placed."""
        if number == other:
            raise ParameterInvalid(f"{number} is the number of this vehicle itself", remedy="Enter that of the other")
        vehicle, same = self.vehicle(number), self.vehicle(other)
        whole = replace(vehicle, stands={**same.stands, **vehicle.stands})
        return self.having(number, whole).without(other)

    def write(self, path: Path) -> None:
        """Write the file completely or not at all."""
        data = {
            "film": self.film,
            "frames": self.frames,
            "checked": sorted(self.checked),
            "vehicles": {
                number: {
                    "class": vehicle.kind,
                    "length_m": round(vehicle.length_m, 3),
                    "width_m": round(vehicle.width_m, 3),
                    "stands": {
                        frame: [round(stand.x_m, 3), round(stand.y_m, 3), round(stand.heading_rad, 5)]
                        for frame, stand in sorted(vehicle.stands.items())
                    },
                }
                for number, vehicle in sorted(self.vehicles.items())
            },
        }
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_text(json.dumps(data) + "\n", encoding="utf-8")
        unfinished.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote. Raises InputMissing."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            vehicles = {
                int(number): Vehicle(
                    known_kind(each["class"]),
                    float(each["length_m"]),
                    float(each["width_m"]),
                    {int(frame): Stand(*map(float, stand)) for frame, stand in each["stands"].items()},
                )
                for number, each in data["vehicles"].items()
            }
            return cls(data["film"], tuple(data["frames"]), vehicles, frozenset(data["checked"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputMissing(
                f"{path} was not written by tracker annotate", remedy="Move it away to begin anew"
            ) from error


def known_kind(kind: str) -> str:
    """The kind itself. Raises ParameterInvalid if there is none of this name."""
    if kind not in KINDS:
        raise ParameterInvalid(f"{kind!r} is no class", remedy=f"Expected {', '.join(KINDS)}")
    return kind
