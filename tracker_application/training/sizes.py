"""How long and wide the network sees vehicles of each build, and what the vote over a track makes of them.

    python sizes.py --real real/train

The numbers of `tracker.vehicle_class` come from this: `BUILDS` from the means and standard deviations, `LOOKS_WORTH`
from how many vehicles of each build get the right class. It looks four times (with each augmentation) at every labelled
vehicle of the pictures, and up to twenty times at those of rendered stills. Prints one line of JSON per figure.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker import vehicle_class
from tracker.association import Track
from tracker.detectors.boxes import CLASS_SCORES, Boxes
from tracker.detectors.classes import kind_of
from tracker.detectors.options import Parameters
from tracker.detectors.overlap import corners_px
from tracker.detectors.places import Heights, standing
from tracker.detectors.shipped import GLANCES, ShippedNetwork
from tracker.neighbours import cheapest
from tracker.simulation.camera import VIEW_WIDTH_M
from tracker.simulation.light import Grain
from tracker.simulation.render import FilmPlan, Stage
from tracker.simulation.traffic import Traffic
from tracker.vehicles import seen_as, size

REACH_M, FAR_M = 1.5, 15.0
SEEN_M = 0.08
# Tuning seeds that no film has.
STILLS = (("crossroads", range(130, 144)), ("straight", range(150, 164)))
STILL_SECONDS, STILL_EVERY_S, STILL_WIDTH_PX, STILL_HEIGHT_PX = 13, 3, 1920, 1080
LEAST_SCORE = 0.3
WORTHS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
# Trucks in pictures that are seen this long are light ones; the simulation has none.
LIGHT_TRUCK_M = 6.3
# Builds of the labels and of the simulation.
BUILDS = {"car": "car", "hand": "car", "minibus": "van", "van": "van", "truck": "truck", "bus": "bus"}


@dataclass(slots=True)
class Seen:
    """A vehicle, and the network's looks at it: length_m, width_m, score, and the score of each class."""

    build: str
    kind: str
    looks: list[tuple[float, ...]] = field(default_factory=list)

    def table(self) -> dict[str, NDArray[Any]]:
        """Like rows of `detections.parquet`."""
        names = ("length_m", "width_m", "score", *CLASS_SCORES)
        columns = dict(zip(names, np.array(self.looks).T, strict=True))
        kinds = vehicle_class.KINDS
        best = np.column_stack([columns[name] for name in CLASS_SCORES]).argmax(axis=1)
        return columns | {"whole": np.ones(len(best)), "class": np.array(kinds, object)[best]}


def matched(found: NDArray[Any], true: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Pairs of boxes and vehicles, by their centres in metres."""
    apart = np.hypot(*(found[:, None] - true[None]).transpose(2, 0, 1))
    rows, columns = cheapest(np.minimum(apart, FAR_M))
    near = apart[rows, columns] < REACH_M
    return zip(rows[near].tolist(), columns[near].tolist(), strict=True)


def in_pictures(directory: Path) -> Iterator[Seen]:
    """The labelled vehicles of real pictures, reduced to SEEN_M per pixel; sizes are not corrected for parallax."""
    labels = defaultdict(list)
    with (directory / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            labels[row["image"]].append(row)
    with (directory / "images.csv").open(newline="") as file:
        pictures = [row for row in csv.DictReader(file) if labels[row["image"]]]
    for facts in pictures:
        rows, own_m = labels[facts["image"]], float(facts["metres_per_pixel"])
        factor = min(1.0, own_m / SEEN_M)
        picture = cv2.imread(str(directory / "images" / facts["image"]))
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        pixel_m = own_m / factor
        true = (np.array([[float(row["cx"]), float(row["cy"])] for row in rows]) + 0.5) * own_m
        vehicles = [Seen(BUILDS[source_of(row)], row["class"]) for row in rows]
        network = ShippedNetwork(pixel_m, threshold=LEAST_SCORE)
        for glance in GLANCES:
            boxes = network.detect(picture, glance=glance)
            places = (np.column_stack([boxes.x_px, boxes.y_px]) + 0.5) * pixel_m
            for box, vehicle in matched(places, true):
                look(vehicles[vehicle], boxes, box, boxes.length_px[box] * pixel_m, boxes.width_px[box] * pixel_m)
        for vehicle in vehicles:
            lengths_m = [length_m for length_m, *_ in vehicle.looks]
            if vehicle.build == "truck" and lengths_m and np.median(lengths_m) < LIGHT_TRUCK_M:
                vehicle.build = "light truck"
        yield from vehicles


def source_of(row: dict[str, str]) -> str:
    """The class that the source of a label gave; a motorcycle has no build of its own."""
    return row["source_class"] if row["source_class"] in BUILDS else "car"


def in_stills(scene: str, seed: int) -> Iterator[Seen]:
    """The vehicles of a rendered scene that are fully in view at some moments."""
    usual = Parameters()
    heights = Heights(usual.vehicle_height_m, usual.large_vehicle_height_m)
    stage = Stage(FilmPlan(scene=scene, seed=seed, width_px=STILL_WIDTH_PX, height_px=STILL_HEIGHT_PX))
    grain = Grain(seed, STILL_WIDTH_PX, STILL_HEIGHT_PX)
    network = ShippedNetwork(VIEW_WIDTH_M / STILL_WIDTH_PX, threshold=LEAST_SCORE)
    vehicles: dict[int, Seen] = {}
    for time_s, traffic in Traffic(seed, 1.0, stage.scene).frames(STILL_SECONDS):
        if time_s % STILL_EVERY_S:
            continue
        view = stage.view(time_s)
        whole = [vehicle for vehicle in traffic if stage.is_visible(vehicle, view)]
        planes = cv2.cvtColor(stage.picture(time_s, traffic), cv2.COLOR_BGR2YUV_I420)
        grain.onto(planes[:STILL_HEIGHT_PX])
        picture = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
        for glance in GLANCES:
            boxes = network.detect(picture, glance=glance)
            camera, who = np.repeat(view.position_m[None], len(boxes), 0), [(str(k), "network") for k in boxes.kind]
            on_ground = standing(corners_px(boxes), np.linalg.inv(view.ground_to_pixels), camera, heights, who)
            for box, index in matched(on_ground[:, :2], np.array([vehicle.pose[:2] for vehicle in whole])):
                own = whole[index]
                seen = Seen(BUILDS.get(own.kind, own.kind), kind_of(own.kind) or own.kind)
                look(vehicles.setdefault(own.number, seen), boxes, box, on_ground[box, 3], on_ground[box, 4])
    yield from vehicles.values()


def look(vehicle: Seen, boxes: Boxes, box: int, length_m: float, width_m: float) -> None:
    """Add a look at a vehicle."""
    vehicle.looks.append((length_m, width_m, float(boxes.score[box]), *boxes.class_scores[box].tolist()))


def report(name: str, vehicles: list[Seen]) -> None:
    """Sizes, and right classes by the majority of the looks and by the vote."""
    groups: dict[str, list[tuple[str, dict[str, Any], Track]]] = defaultdict(list)
    for vehicle in vehicles:
        if not vehicle.looks:
            continue
        table, count = vehicle.table(), len(vehicle.looks)
        track = Track(list(range(count)), [False] * count)
        build = "two_wheeler" if vehicle.kind == "two_wheeler" else vehicle.build
        groups[build].append((vehicle.kind, table, track))
    usual = vehicle_class.LOOKS_WORTH
    for build, group in groups.items():
        sizes = np.array([size(table, track) for _, table, track in group])
        line: dict[str, Any] = {"name": f"{name} {build}", "vehicles": len(group)}
        line |= dict(zip(("length_m", "width_m"), sizes.mean(axis=0).round(2).tolist(), strict=True))
        line |= dict(zip(("length_std_m", "width_std_m"), sizes.std(axis=0).round(2).tolist(), strict=True))
        line["right_by_majority"] = sum(seen_as(table, track)[0] == kind for kind, table, track in group)
        for worth in WORTHS:
            vehicle_class.LOOKS_WORTH = worth
            right = sum(vehicle_class.class_of(table, track)[0] == kind for kind, table, track in group)
            line[f"right_with_worth_{worth:g}"] = right
        print(json.dumps(line), flush=True)
    vehicle_class.LOOKS_WORTH = usual


def main() -> None:
    """Parse the command line and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="directory of labelled pictures, laid out as in README.md")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.real:
        report("pictures", list(in_pictures(arguments.real)))
    report("stills", [vehicle for scene, seeds in STILLS for seed in seeds for vehicle in in_stills(scene, seed)])


if __name__ == "__main__":
    main()
