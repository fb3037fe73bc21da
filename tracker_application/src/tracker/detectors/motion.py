"""The detector that needs no weights: differences from the background that are not shadows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from tracker.arrays import Picture
from tracker.background import Background
from tracker.detectors.sightings import Sighting
from tracker.detectors.views import Piece, View, gain_between, levelled, reduced
from tracker.foreground import Blob, Shadows, blobs, difference, foreground_mask, learn_shadows

# For outlines: smaller differences are specks, narrower gaps are part of the vehicle (a windscreen like the road).
SPECK_M, GAP_M = 0.2, 0.7
# Softness of shadow edges.
SHADOW_EDGE_M = 0.35
# In the small image differences are diluted, so smaller ones may be vehicles.
COARSE_SHARE = 0.6
COARSE_LEAST_AREA = 0.4
MARGIN_M = 0.4
# A gain closer to one is noise.
LEAST_GAIN_CHANGE = 0.01


@dataclass(frozen=True, eq=False)
class Scene:
    """The reference for motion. `road` is 255 where vehicles may be; they extend up to `road_margin_m` beyond."""

    background: Background
    reduction: int
    road: Picture
    shadows: Shadows | None
    pixel_m: float
    smallest_m2: float
    road_margin_m: float
    coarse: Background = field(init=False)
    _coarse_road: Picture = field(init=False)
    _around: tuple[Picture, Picture] = field(init=False)

    def __post_init__(self) -> None:
        parts: tuple[Picture, ...] = (self.background.picture, self.background.threshold, self.road)
        picture, threshold, road = (reduced(part, self.reduction) for part in parts)
        margin = round(self.road_margin_m / (self.pixel_m * self.reduction))
        near: Picture = cv2.dilate(road, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
        object.__setattr__(self, "coarse", Background(picture, threshold))
        object.__setattr__(self, "_coarse_road", np.where(near > 0, 255, 0).astype(np.uint8))
        # Small images are softer at edges than the background's: values between a pixel's neighbours do not count.
        neighbours = np.ones((3, 3), np.uint8)
        object.__setattr__(self, "_around", (cv2.erode(picture, neighbours), cv2.dilate(picture, neighbours)))

    def levelled(self, view: View) -> tuple[View, Picture]:
        """The view with its gain, and its small image without the gain."""
        coarse = view.coarse()
        gain = gain_between(coarse, self.coarse.picture)
        if np.abs(gain - 1).max() < LEAST_GAIN_CHANGE:
            return view, coarse
        return replace(view, gain=gain), levelled(coarse, gain)

    def background_view(self) -> View:
        """The background as a frame."""
        return View(0, 0.0, self.background.picture, np.eye(3), self.reduction)

    def on_road(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """Those with their centre on the road."""
        height, width = self.road.shape
        kept = []
        for sighting in sightings:
            x, y = np.round(sighting.corners_px.mean(axis=0)).astype(int)
            if 0 <= x < width and 0 <= y < height and self.road[y, x]:
                kept.append(sighting)
        return kept

    def blobs(self, view: View, coarse: Picture) -> list[Blob]:
        """The differences in a view, as outlines in stabilised pixels; view and small image are `levelled`."""
        found: list[Blob] = []
        for piece, mask in self._places(coarse, view.seen()):
            different = difference(view.piece(piece), self._part(piece), piece.of(self.background.threshold))
            shown = cv2.bitwise_and(foreground_mask(different, self.shadows), mask)
            for blob in blobs(shown, SPECK_M / self.pixel_m, GAP_M / self.pixel_m, self.smallest_m2 / self.pixel_m**2):
                moved = blob.moved(piece.left_px, piece.top_px)
                found.append(replace(moved, whole=bool(view.inside(moved.corners_px).all())))
        return found

    def _part(self, piece: Piece) -> Picture:
        return piece.of(self.background.picture)

    def _places(self, coarse: Picture, seen: Picture) -> Iterable[tuple[Piece, Picture]]:
        """Regions of sufficient size, and their masks."""
        darkest, brightest = self._around
        beyond = cv2.max(cv2.subtract(coarse, brightest), cv2.subtract(darkest, coarse))
        blue, green, red = cv2.split(beyond)
        most = cv2.max(cv2.max(blue, green), red)
        mask = cv2.compare(most, cv2.multiply(self.coarse.threshold, np.array(COARSE_SHARE)), cv2.CMP_GT)
        mask = cv2.bitwise_and(mask, cv2.bitwise_and(self._coarse_road, seen))
        size = 2 * round(GAP_M / (2 * self.pixel_m * self.reduction)) + 1
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((size, size), np.uint8))
        _, labels, facts, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        pixel_m2 = (self.pixel_m * self.reduction) ** 2
        times = self.reduction
        margin = max(1, round(MARGIN_M / (self.pixel_m * times)))
        for number in range(1, len(facts)):
            left, top, across, down, area = (int(value) for value in facts[number])
            if area * pixel_m2 < COARSE_LEAST_AREA * self.smallest_m2:
                continue
            x0, y0 = max(0, left - margin), max(0, top - margin)
            x1, y1 = min(labels.shape[1], left + across + margin), min(labels.shape[0], top + down + margin)
            # Two nearby blobs may share a rectangle: each has its own, slightly dilated mask.
            only = np.where(labels[y0:y1, x0:x1] == number, 255, 0).astype(np.uint8)
            wider: Picture = cv2.dilate(only, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
            piece = Piece(*(times * side for side in (x0, y0, x1 - x0, y1 - y0)))
            mask = cv2.resize(wider, (piece.width_px, piece.height_px), interpolation=cv2.INTER_NEAREST)
            yield piece, mask


def learned_shadows(pictures: Iterable[Picture], background: Background, pixel_m: float) -> Shadows | None:
    """Shadow darkness in some of the background's images; None without sunshine."""
    found = (difference(picture, background.picture, background.threshold) for picture in pictures)
    return learn_shadows(found, SHADOW_EDGE_M / pixel_m)
