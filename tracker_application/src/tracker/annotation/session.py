"""The acts of a person who labels a film. Each is saved at once and can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tracker.annotation.course import stand_at, stand_beyond, truth_frames, truth_rows
from tracker.annotation.labels import Labels, Stand, Vehicle, known_kind
from tracker.annotation.view import View
from tracker.arrays import Floats
from tracker.errors import ParameterInvalid
from tracker.tables import write_table

Act = Mapping[str, Any]
# Smaller things are slips of the hand.
SMALLEST_M = 0.3


class Session:
    """Labels that change, written to `path` after each act."""

    def __init__(self, labels: Labels, view: View, path: Path) -> None:
        self.labels, self.view, self.path = labels, view, path
        self._earlier: list[Labels] = []
        self._acts: dict[str, Callable[[Act], Labels]] = {
            "move": self._move,
            "resize": self._resize,
            "add": self._add,
            "place": self._place,
            "class": self._class,
            "delete": lambda act: self.labels.without(_whole(act, "vehicle")),
            "begin": lambda act: self._trim(act, first=_whole(act, "frame")),
            "end": lambda act: self._trim(act, last=_whole(act, "frame")),
            "divide": lambda act: self.labels.divided(_whole(act, "vehicle"), _whole(act, "frame")),
            "join": lambda act: self.labels.joined(_whole(act, "vehicle"), _whole(act, "other")),
            "check": self._check,
        }

    def do(self, act: Act) -> None:
        """Do what the act says. Raises ParameterInvalid if it says nothing that can be done."""
        name = act.get("act")
        if name == "undo":
            if not self._earlier:
                raise ParameterInvalid("there is nothing to undo", remedy="Go on labelling")
            self.labels = self._earlier.pop()
        elif name in self._acts:
            changed = self._acts[name](act)
            self._earlier.append(self.labels)
            self.labels = changed
        else:
            raise ParameterInvalid(f"{name!r} is no act", remedy=f"Expected undo, {', '.join(self._acts)}")
        self.labels.write(self.path)

    def boxes(self, frame: int) -> list[dict[str, Any]]:
        """What is drawn on a frame: the outlines of all vehicles.

        They were `placed` there, or are `between` two frames where they were, or `beyond` the last one, where a person
        may go on placing them.
        """
        drawn = []
        for number, vehicle in sorted(self.labels.vehicles.items()):
            stand = stand_at(vehicle, self.view.times_s, frame)
            state = "beyond" if stand is None else "placed" if frame in vehicle.stands else "between"
            if stand is None:
                if not any(vehicle.first <= beside <= vehicle.last for beside in self.labels.beside(frame)):
                    continue
                stand = stand_beyond(vehicle, self.view.times_s, frame)
            seen = self.view.seen(frame, vehicle.kind, vehicle.box(stand))
            if state == "beyond" and not self.view.touches(seen):
                continue
            x, y, angle, length, width = seen.tolist()
            drawn.append(
                {"vehicle": number, "class": vehicle.kind, "state": state}
                | {"x": x, "y": y, "angle": angle, "length": length, "width": width}
                | {"length_m": vehicle.length_m, "width_m": vehicle.width_m}
            )
        return drawn

    def write_truth(self, path: Path) -> str:
        """Write `truth.csv`, and say in words what it has; write nothing if no frame was checked."""
        frames = len(truth_frames(self.labels))
        if not frames:
            return f"No frame was checked: {path} was not written. Run the command again to go on"
        columns = truth_rows(self.labels, self.view)
        write_table(path, columns)
        vehicles = len(set(columns["vehicle_id"]))
        checked = f"{len(self.labels.checked)} of {len(self.labels.frames)} frames were checked"
        return f"{path} has {vehicles} vehicles on {frames} frames; {checked}"

    def _move(self, act: Act) -> Labels:
        """Of the same size, whatever the outline there."""
        number, frame = _whole(act, "vehicle"), self._frame(act)
        vehicle, x, y, angle = self.labels.vehicle(number), *(_number(act, name) for name in ("x", "y", "angle"))
        return self.labels.having(number, self._put(vehicle, frame, x, y, angle))

    def _put(self, vehicle: Vehicle, frame: int, x: float, y: float, angle: float) -> Vehicle:
        """The vehicle with its outline centred at these pixels. What was proposed between key frames is forgotten."""
        checkable = {at: stand for at, stand in vehicle.stands.items() if at in self.labels.frames}
        rough = self.view.stands(frame, vehicle.kind, np.array([x, y, angle, 1.0, 1.0]))
        outline = self.view.seen(frame, vehicle.kind, vehicle.box(Stand(*rough[:3].tolist())))
        exact = self.view.stands(frame, vehicle.kind, np.array([x, y, angle, *outline[3:]]))
        return replace(vehicle, stands=checkable).placed(frame, Stand(*exact[:3].tolist()))

    def _resize(self, act: Act) -> Labels:
        number, frame = _whole(act, "vehicle"), self._frame(act)
        vehicle = self.labels.vehicle(number)
        before = self._stand(vehicle, number, frame)
        return self.labels.having(number, vehicle.resized(frame, before, self._box(act, frame, vehicle.kind)))

    def _add(self, act: Act) -> Labels:
        frame, kind = self._frame(act), known_kind(str(act.get("class")))
        box = self._box(act, frame, kind)
        return self.labels.with_new(Vehicle(kind, float(box[3]), float(box[4]), {frame: Stand(*box[:3].tolist())}))[0]

    def _place(self, act: Act) -> Labels:
        """A vehicle where it is not seen yet, turned as on the nearest frame."""
        number, frame = _whole(act, "vehicle"), self._frame(act)
        vehicle = self.labels.vehicle(number)
        nearest = vehicle.stands[min(vehicle.stands, key=lambda other: abs(other - frame))]
        angle = float(self.view.seen(frame, vehicle.kind, vehicle.box(nearest))[2])
        return self.labels.having(number, self._put(vehicle, frame, _number(act, "x"), _number(act, "y"), angle))

    def _class(self, act: Act) -> Labels:
        """The outline on this frame stays: a higher body has a smaller footprint in it."""
        number, frame, kind = _whole(act, "vehicle"), self._frame(act), known_kind(str(act.get("class")))
        vehicle = self.labels.vehicle(number)
        before = self._stand(vehicle, number, frame)
        box = self.view.stands(frame, kind, self.view.seen(frame, vehicle.kind, vehicle.box(before)))
        return self.labels.having(number, replace(vehicle, kind=kind).resized(frame, before, box))

    def _trim(self, act: Act, first: int | None = None, last: int | None = None) -> Labels:
        """From or up to a frame, on which it is placed where it was seen."""
        number, frame = _whole(act, "vehicle"), self._frame(act)
        vehicle = self.labels.vehicle(number)
        labels = self.labels.having(number, vehicle.placed(frame, self._stand(vehicle, number, frame)))
        ends = (vehicle.first if first is None else first), (vehicle.last if last is None else last)
        return labels.trimmed(number, *ends)

    def _check(self, act: Act) -> Labels:
        frame, checked = self._frame(act), self.labels.checked
        return replace(self.labels, checked=checked | {frame} if act.get("checked", True) else checked - {frame})

    def _stand(self, vehicle: Vehicle, number: int, frame: int) -> Stand:
        stand = stand_at(vehicle, self.view.times_s, frame)
        if stand is None:
            raise ParameterInvalid(f"vehicle {number} is not on frame {frame}", remedy="Place it there first")
        return stand

    def _frame(self, act: Act) -> int:
        frame = _whole(act, "frame")
        if frame not in self.labels.frames:
            raise ParameterInvalid(f"frame {frame} is not among those to label", remedy="Reload the page")
        return frame

    def _box(self, act: Act, frame: int, kind: str) -> Floats:
        outline = np.array([_number(act, name) for name in ("x", "y", "angle", "length", "width")])
        box = self.view.stands(frame, kind, outline)
        if min(box[3:]) < SMALLEST_M:
            raise ParameterInvalid(
                f"this box is only {box[3]:.1f} m long and {box[4]:.1f} m wide", remedy="Draw it around the vehicle"
            )
        return box


def _number(act: Act, name: str) -> float:
    value = act.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ParameterInvalid(f"{name} is {value!r}", remedy="Expected a number")
    return float(value)


def _whole(act: Act, name: str) -> int:
    value = act.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParameterInvalid(f"{name} is {value!r}", remedy="Expected a whole number")
    return value
