"""Evaluates the exported network on rendered crops, rendered films, and real frames with boxes.

    python evaluate.py --model vehicles.onnx --crops crops/tune.npz          # also finds the best threshold
    python evaluate.py --model vehicles.onnx --film films/a --film films/b
    python evaluate.py --model vehicles.onnx --frames songdo_frames --pixel-m 0.05 --drawn drawn

A vehicle is found if a box is centred within `--reach-m` of it, matched one to one. Prints one line of JSON per figure.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.background import make_background
from tracker.detectors.boxes import KINDS, Boxes
from tracker.detectors.fusion import Fusion
from tracker.detectors.looks import ShippedLooks
from tracker.detectors.motion import Scene
from tracker.detectors.options import Parameters
from tracker.detectors.overlap import boxes_around
from tracker.detectors.searching import RATE_ON_CPU_HZ, ROAD_MARGIN_M
from tracker.detectors.shipped import GLANCES, ShippedNetwork
from tracker.detectors.sightings import Sighting
from tracker.detectors.views import View
from tracker.neighbours import cheapest

Floats = NDArray[Any]
REACH_M = 1.5
THRESHOLDS = np.arange(0.1, 0.81, 0.02)
# The real frames' classes: car, bus, truck, two-wheeler.
SONGDO = ("car", "truck_bus", "truck_bus", "two_wheeler")
# The road in the two real frames, drawn by hand on images of 1440 x 810 before anything was detected.
ROADS = {
    "00003": [(0, 428), (130, 428), (560, 398), (625, 365), (700, 290), (800, 0), (1070, 0), (1030, 130), (985, 215),
              (990, 280), (1035, 345), (1100, 372), (1440, 368), (1440, 548), (1100, 560), (1000, 575), (930, 615),
              (895, 680), (885, 810), (668, 810), (672, 680), (650, 640), (590, 600), (480, 588), (0, 620)],
    "00972": [(0, 175), (150, 155), (520, 145), (575, 100), (580, 0), (790, 0), (815, 100), (900, 165), (1440, 178),
              (1440, 262), (1010, 305), (985, 335), (1025, 490), (1045, 520), (1440, 515), (1440, 610), (1000, 618),
              (940, 650), (930, 730), (920, 810), (715, 810), (712, 740), (690, 660), (640, 630), (600, 625), (0, 612),
              (0, 520), (130, 497), (520, 490), (590, 460), (625, 420), (620, 350), (560, 280), (480, 245), (0, 245)],
}  # fmt: skip


@dataclass(slots=True)
class Score:
    """Counts over images; `reach_m` is the largest distance of a match."""

    reach_m: float = REACH_M
    found: int = 0
    missed: int = 0
    invented: int = 0
    right_class: int = 0
    missed_by_class: dict[str, list[int]] = field(default_factory=lambda: {kind: [0, 0] for kind in KINDS})
    errors_m: list[float] = field(default_factory=list)

    def add(
        self, boxes: Boxes, true_px: Floats, kinds: Sequence[str], pixel_m: float, counted: Floats, inside: Floats
    ) -> None:
        """`counted`: the true vehicles that count; `inside`: the boxes that count as false if unmatched."""
        apart = np.hypot(boxes.x_px[:, None] - true_px[:, 0], boxes.y_px[:, None] - true_px[:, 1]) * pixel_m
        rows, columns = cheapest(np.minimum(apart, 10 * self.reach_m))
        near = apart[rows, columns] <= self.reach_m
        matched = dict(zip(columns[near].tolist(), rows[near].tolist(), strict=True))
        for index, kind in enumerate(kinds):
            if not counted[index]:
                continue
            self.missed_by_class[kind][1] += 1
            if index in matched:
                self.found += 1
                self.missed_by_class[kind][0] += 1
                self.right_class += boxes.kind[matched[index]] == kind
                self.errors_m.append(float(apart[matched[index], index]))
            else:
                self.missed += 1
        self.invented += int(sum(inside)) - sum(bool(inside[row]) for row in matched.values())

    @property
    def f1(self) -> float:
        return 2 * self.found / max(1, 2 * self.found + self.missed + self.invented)

    def report(self, name: str, **more: object) -> None:
        """One line of JSON."""
        errors = np.array(self.errors_m or [0.0])
        precision = self.found / max(1, self.found + self.invented)
        recall = self.found / max(1, self.found + self.missed)
        by_class = {kind: f"{hit}/{of}" for kind, (hit, of) in self.missed_by_class.items()}
        line = {
            "name": name, "f1": self.f1, "precision": precision, "recall": recall, "found": self.found,
            "missed": self.missed, "invented": self.invented, "recall_by_class": by_class,
            "right_class": self.right_class / max(1, self.found), "error_median_m": float(np.median(errors)),
            "error_p95_m": float(np.percentile(errors, 95)), **more,
        }  # fmt: skip
        print(json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()}))


def on_crops(model: Path, path: Path, threshold: float | None) -> None:
    """Crops rendered with `--metres`, with the given threshold or the one with the best F1."""
    thresholds = THRESHOLDS if threshold is None else np.array([threshold])
    with np.load(path) as crops:
        pictures, boxes = crops["pictures"], np.split(crops["boxes"], np.cumsum(crops["counts"])[:-1])
        pixel_m = float(crops["metres"][0])
    network = ShippedNetwork(pixel_m, threshold=float(thresholds[0]), model=model)
    scores = [Score() for _ in thresholds]
    for picture, true in zip(pictures, boxes, strict=True):
        found = network.detect(picture)
        size = picture.shape[0]
        counted = ((true[:, :2] > 0) & (true[:, :2] < size - 1)).all(1)
        for least, score in zip(thresholds, scores, strict=True):
            some = found.select(found.score >= least)
            score.add(
                some,
                true[:, :2],
                [KINDS[int(kind)] for kind in true[:, 5]],
                pixel_m,
                counted,
                np.ones(len(some), bool),
            )
    best = max(range(len(scores)), key=lambda index: scores[index].f1)
    scores[best].report("rendered crops", threshold=float(thresholds[best]))


def on_film(network: ShippedNetwork, directory: Path, every_s: float = 2.0, width_px: int = 1920) -> None:
    """Frames of a rendered film, reduced like the proxy; heights of 1.5 m for cars and 3 m for others."""
    truth: dict[int, list[dict[str, str]]] = {}
    with (directory / "truth.csv").open() as file:
        for row in csv.DictReader(file):
            truth.setdefault(int(row["frame"]), []).append(row)
    with (directory / "camera_truth.csv").open() as file:
        cameras = list(csv.DictReader(file))
    film = cv2.VideoCapture(str(directory / "video.mp4"))
    step = max(1, round(every_s * film.get(cv2.CAP_PROP_FPS)))
    score = Score()
    for frame, camera in enumerate(cameras):
        if not film.grab():
            break
        if frame % step:
            continue
        picture = film.retrieve()[1]
        factor = min(1.0, width_px / picture.shape[1])
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        boxes = network.detect(small)
        matrix = np.array([float(camera[f"h{r}{c}"]) for r in "123" for c in "123"]).reshape(3, 3)
        pixels = np.column_stack([(boxes.x_px + 0.5) / factor - 0.5, (boxes.y_px + 0.5) / factor - 0.5])
        ground = cv2.perspectiveTransform(pixels[:, None], np.linalg.inv(matrix))[:, 0] if len(boxes) else pixels
        foot, height = np.array([float(camera["x_m"]), float(camera["y_m"])]), float(camera["z_m"])
        middle = np.where(boxes.kind == "truck_bus", 1.5, 0.75)[:, None]
        ground = foot + (ground - foot) * (height - middle) / height
        on_ground = Boxes(
            ground[:, 0],
            ground[:, 1],
            *(getattr(boxes, name) for name in ("length_px", "width_px", "angle_rad", "score", "kind")),
        )
        rows = truth.get(frame, [])
        true = np.array([[float(row["x_m"]), float(row["y_m"])] for row in rows]).reshape(-1, 2)
        kinds = [
            "truck_bus"
            if row["class"] in {"truck", "bus", "truck_bus"}
            else "two_wheeler"
            if row["class"] in {"two_wheeler", "motorcycle", "motorbike", "bicycle"}
            else "car"
            for row in rows
        ]
        score.add(
            on_ground, true, kinds, 1.0, np.array([row["visible"] == "1" for row in rows]), np.ones(len(boxes), bool)
        )
    score.report(f"film {directory.name}", threshold=network.threshold)


def on_frames(network: ShippedNetwork, directory: Path, arguments: argparse.Namespace) -> None:
    """Real frames with boxes as YOLO text files, reduced to a width; on the road, and everywhere."""
    in_road, everywhere, film = Score(arguments.reach_m), Score(arguments.reach_m), Score(arguments.reach_m)
    times, width_px, pixel_m, drawn = [], arguments.width, arguments.pixel_m, arguments.drawn
    for path in sorted(directory.glob("*.jpg")):
        whole = cv2.imread(str(path))
        factor = width_px / whole.shape[1]
        picture = cv2.resize(whole, (width_px, round(whole.shape[0] * factor)), interpolation=cv2.INTER_AREA)
        started = time.process_time()
        boxes = network.detect(picture)
        times.append(time.process_time() - started)
        rows = np.loadtxt(path.with_suffix(".txt"), ndmin=2)
        true = rows[:, 1:3] * picture.shape[1::-1] - 0.5
        kinds = [SONGDO[int(kind)] for kind in rows[:, 0]]
        everywhere.add(boxes, true, kinds, pixel_m / factor, np.ones(len(true), bool), np.ones(len(boxes), bool))
        road = np.array(ROADS[path.stem], np.float32) * width_px / 1440
        counted = np.array([_contains(road, place) for place in true])
        for score, found in ((in_road, boxes), (film, in_a_film(network, picture, pixel_m / factor))):
            inside = [_contains(road, place) for place in np.column_stack([found.x_px, found.y_px])]
            score.add(found, true, kinds, pixel_m / factor, counted, np.array(inside, bool))
        if drawn:
            drawn.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(drawn / f"{path.stem}.png"), draw(picture, boxes, true, road))
    in_road.report("real frames, in the road", threshold=network.threshold, core_ms=1e3 * float(np.median(times)))
    everywhere.report("real frames, everywhere", threshold=network.threshold)
    film.report("real frames, in the road, each as a film that stands", threshold=network.threshold)


def in_a_film(network: ShippedNetwork, picture: NDArray[np.uint8], pixel_m: float) -> Boxes:
    """Detections of detect-vehicles with the fused detector in a film that shows one image for two seconds."""
    looks = ShippedLooks(pixel_m, "cpu")
    looks.network = network
    everywhere = np.full(picture.shape[:2], 255, np.uint8)
    usual = Parameters()
    background = make_background([picture] * usual.background_samples, usual.detection_threshold)
    scene = Scene(background, 2, everywhere, None, pixel_m, usual.min_area_m2, ROAD_MARGIN_M)
    fusion = Fusion(looks, scene, usual.network_score)
    found: list[Sighting] = []
    for number in range(len(GLANCES)):
        seen, coarse = scene.levelled(View(number, number / RATE_ON_CPU_HZ, picture, np.eye(3), 2))
        found = fusion.frame(seen, coarse, everything=True)
    corners = np.array([sighting.corners_px for sighting in found]).reshape(-1, 4, 2)
    scores, kinds = [sighting.score for sighting in found], [sighting.kind for sighting in found]
    return boxes_around(corners, np.array(scores), np.array(kinds, object))


def draw(picture: NDArray[np.uint8], boxes: Boxes, true_px: Floats, road: Floats) -> NDArray[np.uint8]:
    """Boxes by class and score, dots at the true vehicles, the road's edge."""
    image = picture.copy()
    cv2.polylines(image, [road.astype(np.int32)], True, (255, 0, 255), 1)
    colours = {"car": (0, 255, 255), "truck_bus": (255, 255, 0), "two_wheeler": (0, 255, 0)}
    for index in range(len(boxes)):
        centre, size = (
            (float(boxes.x_px[index]), float(boxes.y_px[index])),
            (float(boxes.length_px[index]), float(boxes.width_px[index])),
        )
        corners = cv2.boxPoints((centre, size, float(np.degrees(boxes.angle_rad[index]))))
        cv2.polylines(image, [corners.round().astype(np.int32)], True, colours[boxes.kind[index]], 2, cv2.LINE_AA)
        cv2.putText(
            image,
            f"{boxes.score[index]:.2f}"[1:],
            (int(centre[0]) + 12, int(centre[1]) - 8),
            0,
            0.45,
            (255, 255, 255),
            1,
        )
    for x, y in true_px:
        cv2.circle(image, (round(float(x)), round(float(y))), 3, (0, 0, 255), -1)
    return image


def _contains(polygon: Floats, place: Floats) -> bool:
    return cv2.pointPolygonTest(polygon, (float(place[0]), float(place[1])), measureDist=False) >= 0


def main() -> None:
    """Evaluate according to the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--threshold", type=float, help="default: the model's own")
    options.add_argument("--crops", type=Path)
    options.add_argument("--film", type=Path, action="append", default=[])
    options.add_argument("--frames", type=Path)
    options.add_argument("--pixel-m", type=float, default=0.05, help="pixel size of the full frames")
    options.add_argument("--reach-m", type=float, default=REACH_M, help="output directory for drawings, with --frames")
    options.add_argument("--width", type=int, default=1920)
    options.add_argument("--drawn", type=Path)
    arguments = options.parse_args()
    cv2.setNumThreads(1)
    if arguments.crops:
        on_crops(arguments.model, arguments.crops, arguments.threshold)
    for film in arguments.film:
        capture = cv2.VideoCapture(str(film / "video.mp4"))
        wide = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        network = ShippedNetwork(
            _film_pixel_m(film) * max(1.0, wide / arguments.width), threshold=arguments.threshold, model=arguments.model
        )
        on_film(network, film, width_px=arguments.width)
    if arguments.frames:
        whole = cv2.imread(str(next(arguments.frames.glob("*.jpg")))).shape[1]
        network = ShippedNetwork(
            arguments.pixel_m * whole / arguments.width, threshold=arguments.threshold, model=arguments.model
        )
        on_frames(network, arguments.frames, arguments)


def _film_pixel_m(directory: Path) -> float:
    """Metres per pixel of a rendered film, at the centre of its first frame."""
    with (directory / "camera_truth.csv").open() as file:
        camera = next(csv.DictReader(file))
    matrix = np.array([float(camera[f"h{r}{c}"]) for r in "123" for c in "123"]).reshape(3, 3)
    capture = cv2.VideoCapture(str(directory / "video.mp4"))
    middle = [capture.get(cv2.CAP_PROP_FRAME_WIDTH) / 2, capture.get(cv2.CAP_PROP_FRAME_HEIGHT) / 2]
    ends = np.array([[middle, [middle[0] + 100, middle[1]]]])
    first, second = cv2.perspectiveTransform(ends, np.linalg.inv(matrix))[0]
    return float(np.hypot(*(second - first))) / 100


if __name__ == "__main__":
    main()
