"""Runs a network on views: on a whole one, or again on a piece of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from typing import Protocol

import numpy as np

from tracker.detectors.boxes import Boxes
from tracker.detectors.shipped import GLANCES, PLAIN, ShippedNetwork
from tracker.detectors.user_model import UserModel
from tracker.detectors.views import Piece, View

# Context that a network sees around a piece.
CONTEXT_PX = 64
# Least score of the shipped network's faint boxes: two-wheelers that wait score 0.3 to 0.4 on average, and now and then
# less.
FAINT = 0.2


class Looks(Protocol):
    """A network. `provider` is where it runs, `name` its file.

    Boxes with a score below `threshold` are faint: they show that a known vehicle is still there, but no new one.
    """

    name: str
    provider: str
    threshold: float

    def at(self, view: View, piece: Piece | None) -> Boxes:
        """Vehicles in a view, in its stabilised pixels, or only those with their centre in a piece of it."""
        ...


class ShippedLooks:
    """The shipped network. It looks at successive views with different augmentations."""

    def __init__(self, pixel_m: float, provider: str) -> None:
        self.network = ShippedNetwork(pixel_m, threshold=FAINT, provider=provider)
        self.threshold = self.network.facts.threshold
        self.name = "vehicles.onnx"
        self.provider = self.network.provider
        self._glances = cycle(GLANCES)
        self._glance = PLAIN

    def at(self, view: View, piece: Piece | None) -> Boxes:
        """See Looks. A piece is seen with the augmentation of the last whole view."""
        if piece is None:
            self._glance = next(self._glances)
            return self.network.detect(view.whole(), glance=self._glance)
        wide = _wider(piece, view, CONTEXT_PX, CONTEXT_PX)
        inner = piece.left_px - wide.left_px, piece.top_px - wide.top_px, piece.width_px, piece.height_px
        return _moved(self.network.detect(view.piece(wide), [inner], self._glance), wide)


class UserLooks:
    """A user's network. It sees pieces as large as its input, the scale it was trained for."""

    def __init__(self, model: UserModel) -> None:
        self.model = model
        self.name = model.name
        self.provider = model.provider
        self.threshold = model.wishes.least_score

    def at(self, view: View, piece: Piece | None) -> Boxes:
        """See Looks."""
        if piece is None or self.model.wishes.picture_width_px:
            found = self.model.detect(view.whole())
        else:
            rest = self.model.width_px - piece.width_px, self.model.height_px - piece.height_px
            wide = _wider(piece, view, *(max(0, side // 2) for side in rest))
            found = _moved(self.model.detect(view.piece(wide)), wide)
        return found if piece is None else _inside(found, piece)


def _wider(piece: Piece, view: View, across_px: int, down_px: int) -> Piece:
    left, top = max(0, piece.left_px - across_px), max(0, piece.top_px - down_px)
    right = min(view.size[0], piece.left_px + piece.width_px + across_px)
    bottom = min(view.size[1], piece.top_px + piece.height_px + down_px)
    return Piece(left, top, right - left, bottom - top)


def _moved(boxes: Boxes, piece: Piece) -> Boxes:
    return replace(boxes, x_px=boxes.x_px + piece.left_px, y_px=boxes.y_px + piece.top_px)


def _inside(boxes: Boxes, piece: Piece) -> Boxes:
    across, down = boxes.x_px - piece.left_px, boxes.y_px - piece.top_px
    return boxes.select(
        np.flatnonzero((across >= 0) & (across < piece.width_px) & (down >= 0) & (down < piece.height_px))
    )
