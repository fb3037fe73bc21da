"""The shipped network on labelled real pictures, at their own scale and as if taken from higher up, or compressed.

WINSLOW_REAL_PICTURES names a directory with `images/`, `images.csv`, `labels.csv` and `ignore.csv`, as described in
`tracker_application/training/README.md`. The pictures are not part of the project. A vehicle is found if a box is
centred within 1.5 m of it, one to one. Only classes that a picture has complete labels of count, and nothing in places
where vehicles may be without a label.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tracker.arrays import Floats, Picture
from tracker.detectors.boxes import Boxes
from tracker.detectors.shipped import ShippedNetwork
from tracker.neighbours import cheapest

from bench.figure import Figure

DIRECTORY = "WINSLOW_REAL_PICTURES"
REACH_M = 1.5
FAR_M = 15.0
# Metres per pixel (None: the pictures' own), JPEG quality (None: as they are), and the least F1.
CASES: tuple[tuple[float | None, int | None, float], ...] = (
    (None, None, 0.93),
    (0.2, None, 0.92),
    (0.3, None, 0.90),
    (0.4, None, 0.85),
    (0.3, 40, 0.85),
)
Rows = list[dict[str, str]]


@dataclass(slots=True)
class Tally:
    """Counts over pictures."""

    found: int = 0
    missed: int = 0
    invented: int = 0
    right_class: int = 0

    @property
    def f1(self) -> float:
        return 2 * self.found / max(1, 2 * self.found + self.missed + self.invented)

    def add(self, boxes: Boxes, labels: Labels, pixel_m: float) -> None:
        """Count the boxes of one picture, which are in its pixels, against its labels."""
        counts = np.isin(boxes.kind, labels.complete_for)
        found = np.column_stack([boxes.x_px, boxes.y_px])
        apart = np.hypot(*(found[:, None] - labels.centres).transpose(2, 0, 1)) * pixel_m
        rows, columns = cheapest(np.minimum(np.where(counts[:, None], apart, 1e3), FAR_M))
        near = apart[rows, columns] <= REACH_M
        matched = dict(zip(columns[near].tolist(), rows[near].tolist(), strict=True))
        hidden = labels.hidden(labels.centres)
        for index, kind in enumerate(labels.kinds):
            if hidden[index]:
                continue
            if index in matched:
                self.found += 1
                self.right_class += boxes.kind[matched[index]] == kind
            else:
                self.missed += 1
        counts[list(matched.values())] = False
        self.invented += int((counts & ~labels.hidden(found)).sum())


@dataclass(slots=True)
class Labels:
    """The labels of one picture; `ignored`: n x 4 (left, top, right, bottom)."""

    centres: Floats
    kinds: list[str]
    ignored: Floats
    complete_for: list[str] = field(default_factory=list)

    def hidden(self, places: Floats) -> Floats:
        """Which places are where vehicles may be without a label."""
        x, y = places[:, 0, None], places[:, 1, None]
        left, top, right, bottom = self.ignored.T
        inside: Floats = ((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).any(1)
        return inside


def figures() -> Iterator[Figure]:
    """F1, precision, recall and share of right classes for each case."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        yield Figure("real_f1", None, "", f">= {CASES[0][2]}", None, f"not measured: {DIRECTORY} is not set")
        return
    for metres, quality, goal in CASES:
        tally = tally_of(Path(directory), metres, quality)
        scale = "own_scale" if metres is None else f"{metres:g}_m"
        name = f"real_{scale}" + (f"_quality_{quality}" if quality else "")
        yield Figure(f"{name}_f1", round(tally.f1, 3), "", f">= {goal}", tally.f1 >= goal)
        yield Figure(f"{name}_precision", round(tally.found / max(1, tally.found + tally.invented), 3), "", "", None)
        yield Figure(f"{name}_recall", round(tally.found / max(1, tally.found + tally.missed), 3), "", "", None)
        yield Figure(f"{name}_right_class", round(tally.right_class / max(1, tally.found), 3), "", "", None)


def tally_of(directory: Path, metres: float | None, quality: int | None) -> Tally:
    """All pictures, reduced to so many metres per pixel, and compressed."""
    cv2.setNumThreads(1)
    labels, ignored = _rows(directory / "labels.csv"), _rows(directory / "ignore.csv")
    tally = Tally()
    for name, (facts,) in _rows(directory / "images.csv").items():
        own_m = float(facts["metres_per_pixel"])
        factor = 1.0 if metres is None else min(1.0, own_m / metres)
        boxes = ShippedNetwork(own_m / factor).detect(_seen(directory / "images" / name, factor, quality))
        boxes.x_px[:] = (boxes.x_px + 0.5) / factor - 0.5
        boxes.y_px[:] = (boxes.y_px + 0.5) / factor - 0.5
        tally.add(boxes, _labels(labels[name], ignored[name], facts), own_m)
    return tally


def _seen(path: Path, factor: float, quality: int | None) -> Picture:
    picture = _read(cv2.imread(str(path)), path)
    if factor < 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    if quality is not None:
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = _read(cv2.imdecode(coded, cv2.IMREAD_COLOR), path)
    return picture


def _read(picture: Picture | None, path: Path) -> Picture:
    if picture is None:
        raise ValueError(f"not a picture: {path}")
    return picture


def _labels(rows: Rows, ignored: Rows, facts: dict[str, str]) -> Labels:
    return Labels(
        np.array([[float(row["cx"]), float(row["cy"])] for row in rows]).reshape(-1, 2),
        [row["class"] for row in rows],
        np.array([[float(row[side]) for side in ("x0", "y0", "x1", "y1")] for row in ignored]).reshape(-1, 4),
        facts["labels_complete_for"].split(";"),
    )


def _rows(path: Path) -> defaultdict[str, Rows]:
    found: defaultdict[str, Rows] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found[row["image"]].append(row)
    return found
