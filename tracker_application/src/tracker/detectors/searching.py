"""Detects vehicles in independent stretches of the film, so that several workers can share the work.

Results are kept on disk until all are done, so that an interrupted stage can reuse them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture
from tracker.contract import StageFiles
from tracker.detectors.boxes import CLASS_SCORES, Boxes
from tracker.detectors.fusion import Fusion
from tracker.detectors.looks import Looks, ShippedLooks, UserLooks
from tracker.detectors.motion import Scene
from tracker.detectors.options import Parameters
from tracker.detectors.places import Heights, standing
from tracker.detectors.providers import ON_A_GPU
from tracker.detectors.scenery import Scenery
from tracker.detectors.sightings import Sighting, sightings_of
from tracker.detectors.user_model import UserModel, Wishes
from tracker.detectors.views import View, Views
from tracker.errors import InputMissing
from tracker.geometry import scaling, transform
from tracker.ground import Ground
from tracker.lean import LEAN
from tracker.proxy import Proxy, open_proxy
from tracker.tables import Table, read_table, select, write_table

SCENERY_FILE = "scenery.npz"
# Length of stretches, and their number in a short film. Even, as most machines have an even number of cores.
LONGEST_S, SHORTEST_S, FEWEST = 30.0, 5.0, 8
# Warm-up before each stretch, to learn which vehicles are stopped and how fast the others are.
WARM_UP_S = 0.6
TELL_EVERY = 5
# Finer pixels cost time and find no more vehicles.
FINEST_PIXEL_M, NARROWEST_PX = 0.035, 160
# Outlines are no more accurate than this share of a pixel, however coarse the film.
OUTLINE_PX = 0.3
# A smaller difference is noise, whatever its area on the ground.
SMALLEST_PX2 = 12.0
# Vehicles with their centre on the road extend this far beyond.
ROAD_MARGIN_M = 2.0
# Network runs per second if NETWORK_RATE_HZ is not set.
RATE_ON_CPU_HZ, RATE_ON_GPU_HZ = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The frames (rows of the homographies) to search, and the warm-up frames before them."""

    number: int
    warm_up: tuple[int, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Search:
    """What to do with every stretch. `folder` holds the scenery, and gets the results."""

    files: StageFiles
    parameters: Parameters
    folder: Path

    def found(self, stretch: Stretch) -> Path:
        """Its vehicles; exists once the stretch is done."""
        return self.folder / f"{stretch.number:05d}.parquet"

    def looked(self, stretch: Stretch) -> Path:
        """All boxes of the network when it looked at whole frames, faint ones too."""
        return self.folder / f"{stretch.number:05d}_looks.parquet"


def plan(registered: Flags, rate_fps: float, detection_rate_hz: float) -> tuple[Stretch, ...]:
    """The stretches of a film: every n-th frame, if registered.

    They depend only on the film, not on the number of workers.
    """
    step = max(1, round(rate_fps / detection_rate_hz))
    searched = [row for row in range(0, len(registered), step) if registered[row]]
    duration_s = len(registered) / rate_fps
    length_s = min(max(duration_s / FEWEST, SHORTEST_S), LONGEST_S)
    count = min(max(1, 2 * round(duration_s / length_s / 2)), len(searched))
    borders = [len(searched) * number // count for number in range(count + 1)]
    early = round(WARM_UP_S * rate_fps / step)
    return tuple(
        Stretch(number, tuple(searched[max(0, first - early) : first]), tuple(searched[first:last]))
        for number, (first, last) in enumerate(pairwise(borders))
    )


def search(job: Search, stretch: Stretch, on_progress: Callable[[int | None], None]) -> None:
    """Write the vehicles of a stretch, independently of other stretches."""
    cv2.setNumThreads(1)
    parameters = job.parameters
    ground, places = read_ground(job.files)
    with open_proxy(job.files, threads=1) as proxy:
        views = views_of(proxy, ground, parameters)
        scenery = Scenery.read(job.folder / SCENERY_FILE)
        scene = Scene(
            scenery.background, views.reduction, scenery.road, scenery.shadows, views.pixel_m,
            max(parameters.min_area_m2, SMALLEST_PX2 * views.pixel_m**2), ROAD_MARGIN_M,
        )  # fmt: skip
        see = _detector(parameters, looks_of(job.files, parameters, views.pixel_m), scene)
        seen: list[_Seen] = []
        looked: list[_Seen] = []
        for count, view in enumerate(views.at((*stretch.warm_up, *stretch.rows)), 1 - len(stretch.warm_up)):
            sightings, looks = see(*scene.levelled(view))
            if count < 1:
                continue
            seen += _seen(view, sightings)
            looked += _seen(view, scene.on_road(sightings_of(looks)))
            if count % TELL_EVERY == 0:
                on_progress(count)
    write_table(job.looked(stretch), _table(looked, views, places, parameters))
    write_table(job.found(stretch), _table(seen, views, places, parameters))


def read_ground(files: StageFiles) -> tuple[Ground, Floats]:
    """The ground, and the camera position of every frame (n x 3, metres)."""
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("x_m", "y_m", "z_m"))
    return ground, np.column_stack([camera["x_m"], camera["y_m"], camera["z_m"]])


def views_of(proxy: Proxy, ground: Ground, parameters: Parameters) -> Views:
    """The frames aligned with the reference frame."""
    fine_enough = round(ground.frame.width_px * ground.metres_per_pixel / FINEST_PIXEL_M)
    width = min(parameters.working_width_px or proxy.width_px, proxy.width_px, max(fine_enough, NARROWEST_PX))
    height = round(width * proxy.height_px / proxy.width_px)
    factor = width / ground.frame.width_px
    return Views(
        proxy.frames_at,
        proxy.times_s,
        proxy.matrices,
        ground.to_world,
        width,
        height,
        factor,
        ground.metres_per_pixel / factor,
    )


def model_of(files: StageFiles, parameters: Parameters) -> Path | None:
    """The user's model, or None. The named file may not exist."""
    return Path(parameters.model_file) if parameters.model_file else files.resource("model")


def looks_of(files: StageFiles, parameters: Parameters, pixel_m: float) -> Looks | None:
    """The network, or None if the detector needs none."""
    if parameters.detector == "motion":
        return None
    path = model_of(files, parameters)
    if path is not None and not path.is_file():
        raise InputMissing(f"MODEL_FILE is {path}, but this file does not exist")
    if path is None and parameters.detector == "model":
        raise InputMissing(
            "DETECTOR is 'model', but there is no model",
            remedy="Set MODEL_FILE, or put the model in model/ of --resources",
        )
    if path is None or parameters.detector == "network":
        return ShippedLooks(pixel_m, parameters.provider)
    overlap_px = round(parameters.max_length_m / pixel_m)
    wishes = Wishes(
        parameters.provider, parameters.model_layout, parameters.model_classes, parameters.model_score,
        parameters.model_picture_width_px, overlap_px,
    )  # fmt: skip
    return UserLooks(UserModel(path, wishes))


def _detector(
    parameters: Parameters, looks: Looks | None, scene: Scene
) -> Callable[[View, Picture], tuple[Sequence[Sighting], Boxes]]:
    """A function from frames, in order, to their vehicles with the centre on the road, and to what a network saw.

    The second is empty unless it looked at the whole frame.
    """
    if looks is None:
        return lambda view, coarse: (
            scene.on_road(
                [Sighting.of_blob(blob) for blob in scene.blobs(view, coarse) if blob.fill >= parameters.min_fill]
            ),
            Boxes.empty(),
        )
    network = looks
    if parameters.detector != "fused":

        def see_all(view: View, _coarse: Picture) -> tuple[Sequence[Sighting], Boxes]:
            found = network.at(view, None)
            return scene.on_road(sightings_of(found.select(found.score >= network.threshold))), found

        return see_all
    fusion = Fusion(network, scene, parameters.network_score)
    default_hz = RATE_ON_GPU_HZ if network.provider in ON_A_GPU else RATE_ON_CPU_HZ
    rate_hz = parameters.network_rate_hz or default_hz
    last_look_s = -np.inf

    def see(view: View, coarse: Picture) -> tuple[Sequence[Sighting], Boxes]:
        nonlocal last_look_s
        # Half a frame early counts as on time.
        due = view.time_s - last_look_s >= 1 / rate_hz - 0.5 / parameters.detection_rate_hz
        last_look_s = view.time_s if due else last_look_s
        vehicles = fusion.frame(view, coarse, everything=due)
        return vehicles, fusion.looked if due else Boxes.empty()

    return see


@dataclass(frozen=True, slots=True)
class _Seen:
    """A vehicle in a frame; `whole` means that no border cuts it."""

    row: int
    time_s: float
    sighting: Sighting
    whole: bool


def _seen(view: View, sightings: Sequence[Sighting]) -> list[_Seen]:
    corners = np.array([sighting.corners_px for sighting in sightings]).reshape(-1, 2)
    whole = np.all(view.inside(corners).reshape(-1, 4), axis=1).tolist()
    return [_Seen(view.row, view.time_s, sighting, uncut) for sighting, uncut in zip(sightings, whole, strict=True)]


def _table(seen: Sequence[_Seen], views: Views, places: Floats, parameters: Parameters) -> Table:
    """The columns of the contract."""
    sightings = [each.sighting for each in seen]
    corners = np.array([sighting.corners_px for sighting in sightings]).reshape(-1, 4, 2)
    kinds, sources = [sighting.kind for sighting in sightings], [sighting.source for sighting in sightings]
    rows = np.array([each.row for each in seen], np.int64)
    heights = Heights(parameters.vehicle_height_m, parameters.large_vehicle_height_m)
    who = list(zip(kinds, sources, strict=True))
    stands = standing(corners, views.to_world, places[rows], heights, who)
    x, y, heading, length, width = stands.T
    lean = standing(corners, views.to_world, places[rows], Heights(0, 0), who) - stands
    looked = [sighting.look_px is not None for sighting in sightings]
    looks = np.array([sighting.look_px for sighting in sightings if sighting.look_px is not None]).reshape(-1, 4, 2)
    network_who = [(kind, "network") for kind, also in zip(kinds, looked, strict=True) if also]
    network_places = np.full((len(seen), 2), np.nan)
    network_places[looked] = standing(looks, views.to_world, places[rows[looked]], heights, network_who)[:, :2]
    class_scores = np.array([sighting.class_scores for sighting in sightings]).reshape(-1, len(CLASS_SCORES))
    middle = transform(np.linalg.inv(scaling(views.factor)), corners.reshape(-1, 2)).reshape(-1, 4, 2).mean(axis=1)
    columns: Table = {
        "frame": rows,
        "time_s": np.array([each.time_s for each in seen]),
        "x_m": x,
        "y_m": y,
        "heading_deg": np.degrees(heading),
        "length_m": length,
        "width_m": width,
        "score": np.array([sighting.score for sighting in sightings]),
        "whole": np.array([each.whole for each in seen], np.float64),
        "x_px": middle[:, 0],
        "y_px": middle[:, 1],
        "position_std_m": np.maximum([sighting.std_m for sighting in sightings], OUTLINE_PX * views.pixel_m),
        "network_x_m": network_places[:, 0],
        "network_y_m": network_places[:, 1],
        **{name: lean[:, column] for name, column in zip(LEAN, (0, 1, 3, 4), strict=True)},
        **dict(zip(CLASS_SCORES, class_scores.T, strict=True)),
        "class": np.array(kinds, dtype=object),
        "source": np.array(sources, dtype=object),
    }
    # Nothing but its height may be left of a sliver at the border.
    sized = (np.minimum(length, width) > 0) & (length <= parameters.max_length_m) & (width <= parameters.max_width_m)
    return select(columns, sized)
