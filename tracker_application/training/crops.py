"""Renders crops of roads from above with the boxes of their vehicles, for training and tuning.

    python crops.py --seed 1000000 --count 3000 --output crops/train_0.npz

No real images are used. Crop k of a run has the seed `seed + k`, so runs can be done in parallel.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from canvas import FINER, Canvas, Floats, unit
from overhead import great_shadow, leaf_shadows, mast_shadows, masts
from road_markings import markings
from scenery import buildings, clutter, ground, hedges, is_free, trees
from vehicles import Vehicle, any_car, any_vehicle, cast, draw

SIZE_PX = 224
FINEST_M, COARSEST_M = 0.06, 0.12
# Columns of a box: x, y, length, width (pixels, from the centre of the first one), angle, class.
COLUMNS = 6


def usual_scale(seed: int) -> float:
    """Metres per pixel of a crop, unless specified."""
    return float(np.exp(np.random.default_rng(seed).uniform(np.log(FINEST_M), np.log(COARSEST_M))))


def render(seed: int, size_px: int, metres: float) -> tuple[NDArray[np.uint8], Floats]:
    """One crop, size x size x 3, BGR, at `metres` per pixel; and its boxes, n x 6."""
    random = np.random.default_rng([seed, 1])
    lean = unit(random.uniform(0, 2 * np.pi)) * abs(random.normal(0, 0.3))
    sun = unit(random.uniform(0, 2 * np.pi)) * random.uniform(0.15, 1.6 if random.random() < 0.5 else 2.8)
    canvas = Canvas(random, size_px * FINER, FINER / metres, lean, sun)
    angle = (
        random.uniform(0, np.pi) if random.random() < 0.6 else random.choice([0, np.pi / 2]) + random.normal(0, 0.06)
    )
    lane, origin = random.uniform(2.8, 3.7), random.uniform(0.3, 0.7, 2) * canvas.extent_m
    ground(canvas)
    if random.random() < 0.85:
        markings(canvas, angle, lane, origin)
    traffic = _Traffic(canvas)
    traffic.in_lanes(angle, lane, origin)
    traffic.elsewhere()
    standing, taken = traffic.standing, traffic.taken
    clutter(canvas, taken)
    buildings(canvas, taken)
    sunny = random.random() < 0.75
    if sunny:
        mast_shadows(canvas)
        leaf_shadows(canvas)
    for vehicle, *pose in standing:
        cast(canvas, vehicle, *pose) if sunny else _contact(canvas, vehicle, *pose)
    canvas.shade(random.uniform(0.3, 0.8), 0.04 if sunny else 0.3, np.array([random.uniform(0.8, 1), 0.97, 1.0]))
    boxes = [[*draw(canvas, vehicle, *pose), vehicle.kind] for vehicle, *pose in standing]
    trees(canvas, taken)
    hedges(canvas, taken)
    masts(canvas, sunny=sunny)
    great_shadow(canvas)
    table = np.array(boxes, np.float32).reshape(-1, COLUMNS)
    table[:, :2] = (table[:, :2] + 0.5) / FINER - 0.5
    table[:, 2:4] /= FINER
    small = cv2.resize(canvas.picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return optics(random, small), table


class _Traffic:
    """Vehicles on one canvas, none on another; `taken`: occupied circles of ground, x, y, radius."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas, self.random = canvas, canvas.random
        self.standing: list[tuple[Vehicle, float, float, float]] = []
        self.taken: list[Floats] = []

    def put(self, vehicle: Vehicle, place: Floats, heading: float) -> None:
        """Place it if there is room."""
        if not (place.min() > -5 and place.max() < self.canvas.extent_m + 5):
            return
        along, reach = unit(heading), max(0.0, (vehicle.length_m - vehicle.width_m) / 2)
        count = max(1, int(np.ceil(2 * reach / vehicle.width_m)) + 1)
        radius = vehicle.width_m / 2 + 0.12
        circles = [np.array([*(place + along * step), radius]) for step in np.linspace(-reach, reach, count)]
        if all(is_free(self.taken, circle[:2], radius) for circle in circles):
            self.taken.extend(circles)
            self.standing.append((vehicle, float(place[0]), float(place[1]), heading))

    def in_lanes(self, angle: float, lane_m: float, origin: Floats) -> None:
        """From an empty road to a queue."""
        random, extent = self.random, self.canvas.extent_m
        along, across = unit(angle), unit(angle + np.pi / 2)
        lanes = int(0.75 * extent / lane_m) + 1
        dense = random.choice([0.0, 0.12, 0.35, 0.75], p=[0.15, 0.35, 0.33, 0.17])
        for lane in range(-lanes - 1, lanes):
            backwards = np.pi * (random.random() < 0.5)
            for step in np.arange(-0.75 * extent, 0.75 * extent, random.uniform(5.6, 8)):
                if random.random() < dense:
                    place = origin + across * ((lane + 0.5) * lane_m + random.normal(0, 0.25))
                    place = place + along * (step + random.uniform(-0.8, 0.8))
                    self.put(any_vehicle(random), place, angle + backwards + random.normal(0, 0.04))

    def elsewhere(self) -> None:
        """A few anywhere, and sometimes a row of parked ones."""
        random, extent = self.random, self.canvas.extent_m
        for _ in range(random.integers(0, 4)):
            self.put(any_vehicle(random), random.uniform(0, extent, 2), random.uniform(0, 2 * np.pi))
        if random.random() < 0.18:
            start, row = random.uniform(0, extent, 2), random.uniform(0, 2 * np.pi)
            slant = np.pi / 2 + random.choice([0, 0, 0.5])
            step = random.uniform(2.3, 3.0)
            same = any_vehicle(random) if random.random() < 0.15 else None
            for index in range(14):
                if random.random() < 0.85:
                    self.put(same or any_car(random), start + unit(row) * index * step, row + slant)


def _contact(canvas: Canvas, vehicle: Vehicle, x: float, y: float, angle: float) -> None:
    """Contact shadow under an overcast sky: the darkness right around a vehicle."""
    sun, canvas.sun = canvas.sun, canvas.sun * 0.05
    cast(canvas, vehicle, x, y, angle)
    canvas.sun = sun


def optics(random: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Camera effects: blur or sharpening, light, colour, noise, compression."""
    seen = picture.astype(np.float32)
    if random.random() < 0.5:
        # Surface variation: drawn surfaces are uniform, real ones never are.
        strength = random.uniform(0.01, 0.05)
        fine, coarse = (
            cv2.resize(
                random.standard_normal((side, side), np.float32), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR
            )
            for side in (len(picture) // 2, len(picture) // 9)
        )
        seen *= 1 + strength * (fine + coarse)[..., None]
    if random.random() < 0.55:
        seen = cv2.GaussianBlur(seen, (0, 0), random.uniform(0.3, 1.1))
    elif random.random() < 0.5:
        seen += random.uniform(0.2, 1.0) * (seen - cv2.GaussianBlur(seen, (0, 0), random.uniform(0.6, 1.2)))
    seen = seen * random.uniform(0.8, 1.35) * random.uniform(0.92, 1.08, 3) + random.uniform(-22, 25)
    grey = seen.mean(2, keepdims=True)
    seen = grey + (seen - grey) * random.uniform(0.5, 1.5)
    seen = 255 * np.clip(seen / 255, 0, 1) ** random.uniform(0.7, 1.4)
    seen += random.standard_normal(seen.shape, np.float32) * random.uniform(0, 6)
    image = np.clip(seen, 0, 255).astype(np.uint8)
    if random.random() < 0.7:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.uniform(35, 95))]
        image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
    return image


def main() -> None:
    """Render crops into one file: `pictures`, `metres` per pixel, `counts` of boxes, and all `boxes`, n x 6."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--output", type=Path, required=True)
    options.add_argument("--size", type=int, default=SIZE_PX)
    options.add_argument("--metres", type=float, help="metres per pixel; default: one of the usual scales")
    arguments = options.parse_args()
    cv2.setNumThreads(1)
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    metres = [arguments.metres or usual_scale(seed) for seed in seeds]
    crops = [render(seed, arguments.size, scale) for seed, scale in zip(seeds, metres, strict=True)]
    np.savez(
        arguments.output,
        metres=np.array(metres),
        pictures=np.stack([picture for picture, _ in crops]),
        counts=np.array([len(boxes) for _, boxes in crops]),
        boxes=np.concatenate([boxes for _, boxes in crops]),
    )


if __name__ == "__main__":
    main()
