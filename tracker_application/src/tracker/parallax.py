"""Parallax: seen from above, a vehicle's roof leans away from the point below the camera.

A point at height h is seen on the ground k = H / (H - h) times as far from the camera's foot as it is, where H is the
camera's height; the camera's orientation does not matter. A vehicle is modelled as a stack of horizontal outlines.
Along each axis, its visible outline reaches from the nearest to the farthest edge of any of them, so these two edges
determine where the vehicle is, and how long and wide.

Boxes are n x 5: x_m, y_m (centre), heading_rad (an axis, modulo a half turn), length_m, width_m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tracker.arrays import Floats

# Nothing that drives comes closer to the camera than this share of the camera's height.
HIGHEST_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Layer:
    """A horizontal outline, `height_m` above the ground.

    It is inset from the vehicle's full outline by `ends` of the length at front and back, and by `sides` of the width
    on each side.
    """

    height_m: float
    ends: float = 0.0
    sides: float = 0.0


Body: TypeAlias = tuple[Layer, ...]


def box(height_m: float) -> Body:
    """A body with vertical walls."""
    return (Layer(0.0), Layer(height_m))


# A car has its full length and width at its bumpers and shoulders; its roof is inset from both.
CAR: Body = (Layer(0.15), Layer(0.85), Layer(1.5, 0.3, 0.12))
# So has a van; its roof reaches the rear but is inset at the bonnet. As front and rear are not known here, half of that
# inset is used at both ends.
VAN: Body = (Layer(0.2), Layer(1.1), Layer(2.2, 0.06, 0.06))
TWO_WHEELER: Body = box(1.0)
TRUCK_BUS: Body = box(3.1)
BODIES: dict[str, Body] = {"car": CAR, "two_wheeler": TWO_WHEELER, "truck_bus": TRUCK_BUS}


def point_on_ground(places_m: Floats, camera_m: Floats, height_m: float | Floats) -> Floats:
    """The ground positions of points at a height that are seen at `places_m`, n x 2.

    `camera_m` is 3, or n x 3 with one row per point; `height_m` is one height, or n.
    """
    foot, magnified = _camera(camera_m, np.asarray(height_m, np.float64))
    moved: Floats = foot + (places_m - foot) / np.reshape(magnified, (-1, 1))
    return moved


def on_ground(seen: Floats, camera_m: Floats, body: Body) -> Floats:
    """The ground boxes of vehicles whose outlines are `seen`: moved inwards, and smaller.

    `camera_m` is 3, or n x 3 with one row per box.
    """
    foot = np.atleast_2d(camera_m)[:, :2]
    near, far, stand_back = _edges(seen, foot), _edges(seen, foot, 1), _stand_back(body)
    low, high = np.full(near.shape, -np.inf), np.full(far.shape, np.inf)
    for layer, back in zip(body, stand_back, strict=True):
        magnified = np.reshape(_camera(camera_m, np.asarray(layer.height_m))[1], (-1, 1))
        inset = back * seen[:, 3:]
        low, high = np.maximum(low, near / magnified - inset), np.minimum(high, far / magnified + inset)
    # A body lower than the measured outline would be turned inside out.
    high = np.maximum(high, low)
    return _boxes(low, high, seen, foot)


def as_seen(boxes: Floats, camera_m: Floats, body: Body) -> Floats:
    """The visible outlines of vehicles in ground `boxes`; the inverse of `on_ground`."""
    foot = np.atleast_2d(camera_m)[:, :2]
    near, far, stand_back = _edges(boxes, foot), _edges(boxes, foot, 1), _stand_back(body)
    low, high = np.full(near.shape, np.inf), np.full(far.shape, -np.inf)
    for layer, back in zip(body, stand_back, strict=True):
        magnified = np.reshape(_camera(camera_m, np.asarray(layer.height_m))[1], (-1, 1))
        inset = back * boxes[:, 3:]
        low, high = np.minimum(low, magnified * (near + inset)), np.maximum(high, magnified * (far - inset))
    return _boxes(low, high, boxes, foot)


def _camera(camera_m: Floats, height_m: Floats) -> tuple[Floats, Floats]:
    """The camera's foot (n x 2 or 1 x 2), and the outward magnification of points at a height."""
    camera = np.atleast_2d(camera_m)
    return camera[:, :2], 1 / (1 - np.minimum(height_m / np.maximum(camera[:, 2], 1e-6), HIGHEST_SHARE))


def _stand_back(body: Body) -> list[Floats]:
    return [np.array([layer.ends, layer.sides]) for layer in body]


def _axes(boxes: Floats) -> Floats:
    """N x 2 x 2: unit vectors along and across each box."""
    cosine, sine = np.cos(boxes[:, 2]), np.sin(boxes[:, 2])
    return np.stack([np.column_stack([cosine, sine]), np.column_stack([-sine, cosine])], axis=1)


def _edges(boxes: Floats, foot: Floats, side: int = -1) -> Floats:
    """Distances of the lower (-1) or upper (1) edges from the camera's foot, along and across: n x 2."""
    middle = np.einsum("nij,nj->ni", _axes(boxes), boxes[:, :2] - foot)
    edges: Floats = middle + side * boxes[:, 3:] / 2
    return edges


def _boxes(low: Floats, high: Floats, turned: Floats, foot: Floats) -> Floats:
    """The boxes between edges, with the orientation of `turned`."""
    middle = foot + np.einsum("nij,ni->nj", _axes(turned), (low + high) / 2)
    return np.column_stack([middle, turned[:, 2], high - low])
