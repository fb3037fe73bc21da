"""Combines network and motion: the network classifies vehicles, motion locates them from frame to frame.

A vehicle known to both takes its position from motion. A stopped vehicle is held where the network saw it while the
image there does not change. Differences from the background in which the network sees no vehicle are ignored, unless
they move: tracking decides whether they move like vehicles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.detectors.boxes import Boxes
from tracker.detectors.looks import Looks
from tracker.detectors.motion import Scene
from tracker.detectors.overlap import boxes_around, corners_px, intersections_px2, overlaps
from tracker.detectors.sightings import MOTION_STD_M, NETWORK_STD_M, NO_CLASS_SCORES, SPLIT_STD_M, Sighting
from tracker.detectors.vehicle import Vehicle, expected
from tracker.detectors.views import Piece, View
from tracker.foreground import Blob

# Size of the search area around a vehicle's predicted position.
REACH_M = 0.6
# Least overlap, as a share of either, for a blob to belong to a vehicle.
COMMON_SHARE = 0.3
# Range of the size ratio of a motion box to the network's box within which it shows the whole vehicle.
LEAST_SIZE, MOST_SIZE = 0.85, 1.15
# After this many sightings the velocity is known, and the box must be this close to the prediction.
FEWEST_FOR_VELOCITY, SURPRISE_M = 3, 0.5
# Least overlap for a network box to match a known vehicle.
SAME_OVERLAP = 0.2
# Boxes are duplicates if this share of the smaller one is covered by the other.
DOUBLE_SHARE = 0.5
# A difference that the network does not know is reported while it moves this fast, once that is known.
MOVES_M_S = 1.5
# Below this speed a vehicle is stopped, and is held while the image differs by fewer grey levels on average.
STANDS_M_S, SAME_LEVELS = 0.4, 10.0
# After this many misses in a row, a vehicle is gone or never existed.
MOST_MISSED = 2


class Fusion:
    """Processes frames in order. `looked` is what the network saw when it last looked at a whole view."""

    def __init__(self, looks: Looks, scene: Scene, least_score: float) -> None:
        self.looks = looks
        self.scene = scene
        self.pixel_m = scene.pixel_m
        self.least_score = least_score
        self.vehicles: list[Vehicle] = []
        # Vehicles stopped for so long that they became background: where they leave, the road differs from it.
        ghosts = looks.at(scene.background_view(), None)
        self.ghosts = ghosts.select(ghosts.score >= looks.threshold)
        self.looked = Boxes.empty()

    def frame(self, view: View, coarse: Picture, *, everything: bool) -> list[Sighting]:
        """Process the next frame and return its vehicles.

        `coarse` is its small image. The network looks at `everything`, or only at vehicles that motion lost.
        """
        now = view.time_s
        blobs = self.scene.blobs(view, coarse)
        outlines = _boxes_of(blobs)
        places = expected(self.vehicles, now)
        belongs = self._belongs(places, outlines)
        self._follow(places, belongs, blobs, outlines, now)
        loose = np.flatnonzero(~belongs.any(axis=0))
        self.vehicles += [
            Vehicle(outlines.select(loose[at : at + 1]), now, source="motion", moved=True) for at in range(len(loose))
        ]
        if everything:
            self._look_around(view, now)
        else:
            self._look_after(view, coarse, now)
        self.vehicles = self._without_doubles(self.vehicles)
        shown = [
            sighting for vehicle in self.vehicles if (sighting := self._sighting(vehicle, coarse, view)) is not None
        ]
        if everything:
            for vehicle in self.vehicles:
                if vehicle.looked_s == now:
                    vehicle.appearance = _part(coarse, vehicle.corners_px, view.reduction)
        self.vehicles = [vehicle for vehicle in self.vehicles if not self._gone(vehicle, now)]
        return self.scene.on_road(shown)

    def _without_doubles(self, vehicles: list[Vehicle]) -> list[Vehicle]:
        """Of overlapping vehicles, keep the one with the highest network score."""
        boxes = Boxes.joined([vehicle.box for vehicle in vehicles])
        common = intersections_px2(boxes, boxes)
        areas = boxes.length_px * boxes.width_px
        order = sorted(range(len(vehicles)), key=lambda at: (-vehicles[at].score, -vehicles[at].time_s))
        kept: list[int] = []
        for at in order:
            if not kept or bool((common[at, kept] <= DOUBLE_SHARE * np.minimum(areas[at], areas[kept])).all()):
                kept.append(at)
        return [vehicles[at] for at in sorted(kept)]

    def _belongs(self, places: Boxes, outlines: Boxes) -> Floats:
        """Which blob belongs to which vehicle, n x m."""
        margin = REACH_M / self.pixel_m
        wide = replace(places, length_px=places.length_px + 2 * margin, width_px=places.width_px + 2 * margin)
        common = intersections_px2(wide, outlines)
        ours, theirs = places.length_px * places.width_px, outlines.length_px * outlines.width_px
        inside: Floats = (common > COMMON_SHARE * theirs[None]) | (common > COMMON_SHARE * ours[:, None])
        return inside

    def _follow(self, places: Boxes, belongs: Floats, blobs: Sequence[Blob], outlines: Boxes, now: float) -> None:
        """Move the vehicles to where motion sees them."""
        sharing = belongs.sum(axis=0)
        for row, vehicle in enumerate(self.vehicles):
            parts = np.flatnonzero(belongs[row])
            if not len(parts):
                continue
            own = len(parts) == 1 and sharing[parts[0]] == 1
            here = places.select(np.array([row]))
            if own and self._agrees(vehicle, outlines.select(parts), here):
                vehicle.followed(outlines.select(parts), now, MOTION_STD_M)
                continue
            cut = self._cut([blobs[part] for part in parts.tolist()], here)
            if cut is not None and self._agrees(vehicle, cut, here):
                vehicle.followed(cut, now, SPLIT_STD_M)

    def _agrees(self, vehicle: Vehicle, box: Boxes, place: Boxes) -> bool:
        """Whether a box fits a vehicle, and is within its reach."""
        off_px = np.hypot(box.x_px[0] - place.x_px[0], box.y_px[0] - place.y_px[0])
        led_elsewhere = vehicle.sightings > FEWEST_FOR_VELOCITY and off_px * self.pixel_m > SURPRISE_M
        return self._fits(vehicle, box) and (vehicle.size is None or not led_elsewhere)

    def _fits(self, vehicle: Vehicle, box: Boxes) -> bool:
        """Whether a box has the size that the network reported."""
        if vehicle.size is None:
            return True
        shares = np.array([box.length_px[0], box.width_px[0]]) / vehicle.size
        return bool(shares.min() > LEAST_SIZE and shares.max() < MOST_SIZE)

    def _cut(self, parts: Sequence[Blob], place: Boxes) -> Boxes | None:
        """The box around the parts of some blobs within a vehicle's predicted area."""
        margin = REACH_M / 2 / self.pixel_m
        wide = replace(place, length_px=place.length_px + 2 * margin, width_px=place.width_px + 2 * margin)
        frame = corners_px(wide)[0]
        corner = np.floor(frame.min(axis=0))
        size = np.ceil(frame.max(axis=0) - corner).astype(int) + 1
        window, shown = np.zeros(size[::-1], np.uint8), np.zeros(size[::-1], np.uint8)
        cv2.fillPoly(window, [np.round(frame - corner).astype(np.int32)], (255,))
        cv2.fillPoly(shown, [np.round(part.contour_px - corner).astype(np.int32) for part in parts], (255,))
        contours = cv2.findContours(cv2.bitwise_and(window, shown), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        points = [contour[:, 0] for contour in contours]
        if not points:
            return None
        return _boxes_of([Blob.around(np.vstack(points) + corner, 1.0)])

    def _look_around(self, view: View, now: float) -> None:
        """Compare the known vehicles with the network's detections in the whole view; faint ones only continue them."""
        self.looked = found = self.looks.at(view, None)
        sure = found.score >= self.looks.threshold
        pairs = _pairs(expected(self.vehicles, now), found)
        pairs = {row: at for row, at in pairs.items() if sure[at] or self.vehicles[row].confirmed}
        for row, vehicle in enumerate(self.vehicles):
            if row in pairs:
                self._seen_by_network(vehicle, found.select(np.array([pairs[row]])), now)
            else:
                vehicle.overlooked()
        news = sure & (found.score >= self.least_score)
        news[list(pairs.values())] = False
        for at in np.flatnonzero(news).tolist():
            look = found.select(np.array([at]))
            vehicle = Vehicle(look, now)
            vehicle.looked(look, now)
            vehicle.source, vehicle.std_m = "network", NETWORK_STD_M
            self.vehicles.append(vehicle)

    def _look_after(self, view: View, coarse: Picture, now: float) -> None:
        """Run the network once more where a vehicle should be that motion does not see."""
        for vehicle in self.vehicles:
            lost = vehicle.time_s < now and vehicle.confirmed and vehicle.missed < MOST_MISSED
            if not lost or self._held(vehicle, coarse, view):
                continue
            place = expected([vehicle], now)
            found = self.looks.at(view, _around(place, REACH_M / self.pixel_m, view))
            pairs = _pairs(place, found)
            if 0 in pairs:
                self._seen_by_network(vehicle, found.select(np.array([pairs[0]])), now)
            else:
                vehicle.overlooked()

    def _seen_by_network(self, vehicle: Vehicle, look: Boxes, now: float) -> None:
        followed = vehicle.time_s == now
        vehicle.source = "fused"
        vehicle.looked(look, now, faint=bool(look.score[0] < self.looks.threshold))
        if not followed or not self._fits(vehicle, vehicle.box):
            vehicle.seen(look, now, "network", NETWORK_STD_M)

    def _moves(self, vehicle: Vehicle) -> bool:
        """Whether it moves, not only flickers, as far as motion can tell."""
        return vehicle.sightings > FEWEST_FOR_VELOCITY and self._speed_m_s(vehicle) >= MOVES_M_S

    def _speed_m_s(self, vehicle: Vehicle) -> float:
        return float(np.hypot(*vehicle.velocity)) * self.pixel_m

    def _stands(self, vehicle: Vehicle) -> bool:
        return self._speed_m_s(vehicle) < STANDS_M_S

    def _sighting(self, vehicle: Vehicle, coarse: Picture, view: View) -> Sighting | None:
        """The sighting of a vehicle in this frame, if it is seen."""
        source, std = vehicle.source, vehicle.std_m
        if vehicle.time_s < view.time_s:
            if not self._held(vehicle, coarse, view):
                return None
            source, std = "network", NETWORK_STD_M
        if not vehicle.confirmed:
            if (vehicle.missed >= MOST_MISSED and not self._moves(vehicle)) or self._ghostly(vehicle):
                return None
            source = "motion"
        elif not vehicle.moved and self._stands(vehicle) and vehicle.score < self.least_score:
            return None
        score = vehicle.score if vehicle.confirmed else self.least_score / 2
        look = vehicle.look if vehicle.looked_s == view.time_s else None
        look_px = corners_px(look)[0] if look is not None and source == "fused" else None
        class_scores = NO_CLASS_SCORES if look is None else tuple(look.class_scores[0].tolist())
        return Sighting(vehicle.corners_px, score, vehicle.kind, source, std, look_px, class_scores)

    def _held(self, vehicle: Vehicle, coarse: Picture, view: View) -> bool:
        """Whether a vehicle that motion does not see is still where the network saw it."""
        if vehicle.appearance is None or not vehicle.confirmed or not self._stands(vehicle):
            return False
        part = _part(coarse, vehicle.corners_px, view.reduction)
        if part.shape != vehicle.appearance.shape or not part.size:
            return False
        return float(cv2.absdiff(part, vehicle.appearance).mean()) < SAME_LEVELS

    def _ghostly(self, vehicle: Vehicle) -> bool:
        """Whether it may be the gap that a vehicle left in the background."""
        return bool((overlaps(vehicle.box, self.ghosts) > SAME_OVERLAP).any())

    def _gone(self, vehicle: Vehicle, now: float) -> bool:
        if not vehicle.confirmed:
            return vehicle.time_s < now
        return vehicle.missed >= MOST_MISSED and vehicle.time_s < now


def _boxes_of(blobs: Sequence[Blob]) -> Boxes:
    """Blobs as boxes without a kind; the score is their fill ratio."""
    if not blobs:
        return Boxes.empty()
    corners = np.stack([blob.corners_px for blob in blobs])
    kinds = np.array([""] * len(blobs), dtype=object)
    return boxes_around(corners, np.array([blob.fill for blob in blobs]), kinds)


def _pairs(known: Boxes, found: Boxes) -> dict[int, int]:
    """Matches of `found` to `known`: best overlap first."""
    shares = overlaps(known, found)
    pairs: dict[int, int] = {}
    for flat in np.argsort(-shares, axis=None, kind="stable"):
        row, column = divmod(int(flat), len(found))
        if shares[row, column] <= SAME_OVERLAP:
            break
        if row not in pairs and column not in pairs.values():
            pairs[row] = column
    return pairs


def _around(box: Boxes, margin_px: float, view: View) -> Piece:
    corners = corners_px(box)[0]
    low = np.clip(np.floor(corners.min(axis=0) - margin_px), 0, np.array(view.size) - 2).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + margin_px), low + 1, np.array(view.size)).astype(int)
    return Piece(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def _part(coarse: Picture, box_px: Floats, reduction: int) -> Picture:
    """The part of a small image around the corners of a box."""
    corners = (box_px + 0.5) / reduction
    x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, None).astype(int)
    x1, y1 = np.ceil(corners.max(axis=0)).astype(int)
    return coarse[y0:y1, x0:x1].copy()
