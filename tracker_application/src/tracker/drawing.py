"""Draws vehicles onto a frame: oriented boxes, trails, labels, a scale bar and a clock."""

from __future__ import annotations

import colorsys
from typing import TypeAlias

import cv2
import numpy as np

from tracker.arrays import Floats, Picture

FONT = cv2.FONT_HERSHEY_DUPLEX
GOLDEN_TURN = 0.61803
BLEND = 0.55
LABEL_SIZE = 0.5
Bounds: TypeAlias = tuple[float, float, float, float]


def colour_of(number: int) -> tuple[int, int, int]:
    """A bright colour for a vehicle, different from its neighbours'; blue first."""
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_TURN % 1.0, 0.75, 1.0)
    return int(255 * blue), int(255 * green), int(255 * red)


class Drawing:
    """A frame being drawn on. Translucent parts go onto a copy; `finish` blends it in and adds the rest."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.veil = picture.copy()
        self.size = max(0.5, picture.shape[1] / 1920)
        self._lines: list[tuple[Floats, tuple[int, int, int], int]] = []
        self._labels: list[tuple[Floats, str, tuple[int, int, int]]] = []

    def _px(self, size: float) -> int:
        return max(1, round(float(size * self.size)))

    def lane(self, points_px: Floats) -> None:
        """Draw the centre line of a lane, with an arrow at its end."""
        cv2.polylines(self.veil, [_fixed(points_px)], False, (255, 255, 255), self._px(1.5), cv2.LINE_AA, 4)
        tip, back = points_px[-1], points_px[-min(4, len(points_px))]
        along = (tip - back) / max(float(np.hypot(*(tip - back))), 1e-6) * 12 * self.size
        across = np.array([-along[1], along[0]]) * 0.5
        cv2.fillPoly(
            self.veil, [_fixed(np.array([tip + along, tip + across, tip - across]))], (255, 255, 255), cv2.LINE_AA, 4
        )

    def trail(self, points_px: Floats, colour: tuple[int, int, int]) -> None:
        """Draw a vehicle's past positions, the latest last."""
        if len(points_px) > 1:
            cv2.polylines(self.veil, [_fixed(points_px)], False, colour, self._px(4), cv2.LINE_AA, 4)

    def box(self, corners_px: Floats, colour: tuple[int, int, int]) -> None:
        """Draw an oriented box, front left corner first, with a thick front edge."""
        cv2.fillPoly(self.veil, [_fixed(corners_px)], colour, cv2.LINE_AA, 4)
        self._lines.append((np.vstack([corners_px, corners_px[:1]]), colour, self._px(2)))
        self._lines.append((corners_px[:2], (255, 255, 255), self._px(4)))

    def label(self, corners_px: Floats, text: str, colour: tuple[int, int, int]) -> None:
        """Draw a small dark text label beside a box, where it covers no other box or label if possible."""
        self._labels.append((corners_px, text, colour))

    def finish(self, corner_text: str, metres_per_pixel: float) -> Picture:
        """The finished image."""
        drawn = cv2.addWeighted(self.picture, 1 - BLEND, self.veil, BLEND, 0)
        for points, colour, width in self._lines:
            cv2.polylines(drawn, [_fixed(points)], False, colour, width, cv2.LINE_AA, 4)
        taken = [_bounds(corners) for corners, _, _ in self._labels]
        for corners, text, colour in self._labels:
            plate = self._free_place(drawn, corners, text, taken)
            taken.append(plate)
            self._plate(drawn, np.array([plate[0], plate[3]]), text, colour, LABEL_SIZE)
        height, width = drawn.shape[:2]
        self._plate(drawn, np.array([16.0, height - 16.0 * self.size]), corner_text, (255, 255, 255), 0.75)
        self._scale_bar(drawn, metres_per_pixel)
        return drawn

    def _free_place(self, drawn: Picture, corners_px: Floats, text: str, taken: list[Bounds]) -> Bounds:
        """The position around a box where a label overlaps `taken` least: left, upper, right and lower border."""
        width, height = self._plate_size(text, LABEL_SIZE)
        left, upper, right, lower = _bounds(corners_px)
        middle, gap = (left + right - width) / 2, self._px(4)
        limit_y, limit_x = drawn.shape[:2]
        places = (
            (right + gap, upper - height), (right + gap, lower), (left - gap - width, upper - height),
            (left - gap - width, lower), (middle, upper - height - gap), (middle, lower + gap),
            (right + gap, (upper + lower - height) / 2), (left - gap - width, (upper + lower - height) / 2),
        )  # fmt: skip
        xs = [min(max(x, 0.0), max(0.0, limit_x - width)) for x, _ in places]
        ys = [min(max(y, 0.0), max(0.0, limit_y - height)) for _, y in places]
        around = (min(xs), min(ys), max(xs) + width, max(ys) + height)
        near = [other for other in taken if _overlap(around, other) > 0]
        plates = [(x, y, x + width, y + height) for x, y in zip(xs, ys, strict=True)]
        return min(plates, key=lambda plate: sum(_overlap(plate, other) for other in near))

    def _plate_size(self, text: str, scale: float) -> tuple[int, int]:
        (width, height), below = cv2.getTextSize(text, FONT, scale * self.size, 1)
        return width + 2 * self._px(4), height + below + self._px(4)

    def _plate(self, drawn: Picture, place: Floats, text: str, colour: tuple[int, int, int], scale: float) -> None:
        scale, pad = scale * self.size, self._px(4)
        (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
        limit_y, limit_x = drawn.shape[:2]
        x = int(np.clip(place[0], 0, max(0, limit_x - width - 2 * pad)))
        y = int(np.clip(place[1], height + 2 * pad, limit_y - 1))
        plate = drawn[y - height - below - pad : y, x : x + width + 2 * pad]
        plate[:] = plate // 4
        cv2.putText(drawn, text, (x + pad, y - below), FONT, scale, colour, 1, cv2.LINE_AA)

    def _scale_bar(self, drawn: Picture, metres_per_pixel: float) -> None:
        height, width = drawn.shape[:2]
        metres = next((m for m in (1, 2, 5, 10, 20, 50, 100) if m / metres_per_pixel > width * 0.06), 200)
        length = round(metres / metres_per_pixel)
        x, y = width - length - self._px(24), height - self._px(22)
        self._plate(drawn, np.array([x, y - 6 * self.size]), f"{metres} m", (255, 255, 255), 0.6)
        cv2.rectangle(drawn, (x - 2, y - 2), (x + length + 2, y + self._px(6) + 2), (0, 0, 0), -1)
        cv2.rectangle(drawn, (x, y), (x + length, y + self._px(6)), (255, 255, 255), -1)


def _bounds(points_px: Floats) -> Bounds:
    """Left, upper, right and lower border."""
    (left, upper), (right, lower) = points_px.min(axis=0), points_px.max(axis=0)
    return float(left), float(upper), float(right), float(lower)


def _overlap(first: Bounds, second: Bounds) -> float:
    """The intersection area of two rectangles."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    return max(across, 0.0) * max(down, 0.0)


def _fixed(points_px: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """In sixteenths of a pixel, as OpenCV draws with `shift` 4."""
    return np.round(points_px * 16).astype(np.int32)
