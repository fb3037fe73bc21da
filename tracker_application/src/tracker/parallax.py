"""What height does to a vehicle seen from above: its roof leans away from the camera's foot.

A point at height h above the ground is seen on the ground k = H / (H - h) times as far from the camera's foot as it is,
H being the camera's height; how the camera is turned does not matter. A vehicle is a stack of level outlines. Along
each of its axes the outline that is seen reaches from the nearest to the farthest edge of any of them, so where the
vehicle stands, how long and how wide it is follow from where those two edges are seen.

Boxes are n x 5: x_m, y_m (the middle), heading_rad (an axis: either way round), length_m, width_m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tracker.arrays import Floats

# Nothing that drives comes nearer to the camera than this share of the camera's height.
HIGHEST_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Layer:
    """A level outline, `height_m` above the ground.

    It stands back from the vehicle's whole outline by `ends` of the length at front and back, and by `sides` of the
    width on either side.
    """

    height_m: float
    ends: float = 0.0
    sides: float = 0.0


Body: TypeAlias = tuple[Layer, ...]


def box(height_m: float) -> Body:
    """A body with upright walls."""
    return (Layer(0.0), Layer(height_m))


# A car is as long and wide as it is at its bumpers and shoulders; its roof stands back from both.
CAR: Body = (Layer(0.15), Layer(0.85), Layer(1.5, 0.3, 0.12))
# So is a van; its roof ends with the rear, and well behind the bonnet. Which end is which is not known here: the roof
# stands back by what is between the two.
VAN: Body = (Layer(0.2), Layer(1.1), Layer(2.2, 0.06, 0.06))
TWO_WHEELER: Body = box(1.0)
TRUCK_BUS: Body = box(3.1)
BODIES: dict[str, Body] = {"car": CAR, "two_wheeler": TWO_WHEELER, "truck_bus": TRUCK_BUS}


def point_on_ground(places_m: Floats, camera_m: Floats, height_m: float | Floats) -> Floats:
    """Where points at a height are, n x 2, that are seen at `places_m` on the ground.

    `camera_m` is 3, or n x 3 with one row a point; `height_m` is one height, or n.
    """
    foot, magnified = _camera(camera_m, np.asarray(height_m, np.float64))
    moved: Floats = foot + (places_m - foot) / np.reshape(magnified, (-1, 1))
    return moved


def on_ground(seen: Floats, camera_m: Floats, body: Body) -> Floats:
    """The boxes in which vehicles stand whose outlines are seen in the boxes `seen`: moved inwards, and smaller.

    `camera_m` is 3, or n x 3 with one row a box.
    """
    foot = np.atleast_2d(camera_m)[:, :2]
    near, far, stand_back = _edges(seen, foot), _edges(seen, foot, 1), _stand_back(body)
    low, high = np.full(near.shape, -np.inf), np.full(far.shape, np.inf)
    for layer, back in zip(body, stand_back, strict=True):
        magnified = np.reshape(_camera(camera_m, np.asarray(layer.height_m))[1], (-1, 1))
        inset = back * seen[:, 3:]
        low, high = np.maximum(low, near / magnified - inset), np.minimum(high, far / magnified + inset)
    # A body lower than the outline that was measured would be turned inside out.
    high = np.maximum(high, low)
    return _boxes(low, high, seen, foot)


def as_seen(boxes: Floats, camera_m: Floats, body: Body) -> Floats:
    """The boxes around the outlines in which vehicles are seen that stand in `boxes`; undoes `on_ground`."""
    foot = np.atleast_2d(camera_m)[:, :2]
    near, far, stand_back = _edges(boxes, foot), _edges(boxes, foot, 1), _stand_back(body)
    low, high = np.full(near.shape, np.inf), np.full(far.shape, -np.inf)
    for layer, back in zip(body, stand_back, strict=True):
        magnified = np.reshape(_camera(camera_m, np.asarray(layer.height_m))[1], (-1, 1))
        inset = back * boxes[:, 3:]
        low, high = np.minimum(low, magnified * (near + inset)), np.maximum(high, magnified * (far - inset))
    return _boxes(low, high, boxes, foot)


def _camera(camera_m: Floats, height_m: Floats) -> tuple[Floats, Floats]:
    """The camera's foot (n x 2 or 1 x 2), and how far outwards points at a height are seen (a factor)."""
    camera = np.atleast_2d(camera_m)
    return camera[:, :2], 1 / (1 - np.minimum(height_m / np.maximum(camera[:, 2], 1e-6), HIGHEST_SHARE))


def _stand_back(body: Body) -> list[Floats]:
    return [np.array([layer.ends, layer.sides]) for layer in body]


def _axes(boxes: Floats) -> Floats:
    """N x 2 x 2: unit vectors along each box and across it."""
    cosine, sine = np.cos(boxes[:, 2]), np.sin(boxes[:, 2])
    return np.stack([np.column_stack([cosine, sine]), np.column_stack([-sine, cosine])], axis=1)


def _edges(boxes: Floats, foot: Floats, side: int = -1) -> Floats:
    """How far the lower (-1) or upper (1) edges are from the camera's foot, along and across: n x 2."""
    middle = np.einsum("nij,nj->ni", _axes(boxes), boxes[:, :2] - foot)
    edges: Floats = middle + side * boxes[:, 3:] / 2
    return edges


def _boxes(low: Floats, high: Floats, turned: Floats, foot: Floats) -> Floats:
    """The boxes between edges, turned as `turned`."""
    middle = foot + np.einsum("nij,ni->nj", _axes(turned), (low + high) / 2)
    return np.column_stack([middle, turned[:, 2], high - low])
