"""Trees with crowns of leaves that lean and sway."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.simulation.camera import View

TRUNK_M = 2.2
CLUMPS = 60
SWAY_M = 0.14
LEAF_GREEN = np.array([42.0, 88.0, 66.0])


def ring(radius: float) -> Floats:
    """A circle around the origin, 28 x 2."""
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    points: Floats = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    return points


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Clumps of leaves (offsets from the foot, n x 3; radii; colours) that gusts move individually."""

    centre_m: Floats
    radius_m: float
    clumps_m: Floats
    radii_m: Floats
    colours: Floats
    phase: float

    @classmethod
    def grown(cls, random: np.random.Generator, centre_m: Floats, radius_m: float) -> Tree:
        """A tree of random leaves; higher ones are lighter."""
        flat = random.normal(0, 0.42, (CLUMPS, 2)) * radius_m
        out = np.hypot(flat[:, 0], flat[:, 1]) / radius_m
        heights = TRUNK_M + radius_m * (1.4 - 0.9 * np.minimum(out, 1.3)) * random.uniform(0.6, 1.1, CLUMPS)
        order = np.argsort(heights)
        light = np.linspace(0.55, 1.3, CLUMPS) * random.uniform(0.85, 1.15, CLUMPS)
        tint = random.uniform(0.85, 1.2) * np.array([1.0, 1.0, random.uniform(0.8, 1.3)])
        clumps = np.column_stack([flat, heights])[order]
        colours = np.clip(LEAF_GREEN * tint * light[:, None], 0, 240)
        return cls(centre_m, radius_m, clumps, random.uniform(0.2, 0.5, CLUMPS), colours, random.uniform(0, 60))

    def sway(self, time_s: float, gusts: float) -> Floats:
        """Displacement of the crown, in metres."""
        t = time_s + self.phase
        strength = gusts * SWAY_M * (0.6 + 0.4 * math.sin(t / 2.9))
        return strength * np.array([math.sin(2.3 * t) + 0.4 * math.sin(5.1 * t), 0.7 * math.sin(1.9 * t + 1)])

    def leaves(self, time_s: float, *, gusts: float) -> tuple[Floats, Floats, Floats]:
        """Positions (n x 3, metres), radii and colours, the lowest first; each leaf flutters a little."""
        places = self.clumps_m + np.array([*self.centre_m, 0.0])
        phases = self.phase + np.arange(CLUMPS) * 1.7
        flutter = gusts * 0.05 * np.column_stack([np.sin(7.1 * time_s + phases), np.cos(6.3 * time_s + 2 * phases)])
        places[:, :2] += self.sway(time_s, gusts) + flutter
        return places, self.radii_m, self.colours

    def shadow(self, fall: Floats, time_s: float, *, gusts: float) -> Floats:
        """The outline on the ground, n x 2 metres."""
        outline: Floats = ring(1.02 * self.radius_m) + self.centre_m + fall * TRUNK_M + self.sway(time_s, gusts)
        return outline


def draw_trees(picture: Picture, trees: Sequence[Tree], view: View, time_s: float) -> None:
    """Paint the crowns of swaying trees."""
    for tree in trees:
        places, radii, colours = tree.leaves(time_s, gusts=1.0)
        pixels = np.round(view.pixels(places) * 16).astype(int).tolist()
        scales = view.intrinsics[0, 0] / (view.position_m[2] - places[:, 2])
        sizes = np.round(radii * scales * 16).astype(int).tolist()
        for centre, size, colour in zip(pixels, sizes, colours.tolist(), strict=True):
            cv2.circle(picture, centre, size, colour, -1, cv2.LINE_AA, 4)
