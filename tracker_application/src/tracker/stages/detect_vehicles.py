"""Finds vehicles as oriented boxes: by a network, by what moves against the background, or by both (the default)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.background import Background, make_background
from tracker.contract import Report, StageFiles
from tracker.detectors.fusion import Fusion
from tracker.detectors.looks import Looks, ShippedLooks, UserLooks
from tracker.detectors.motion import Scene, learned_shadows
from tracker.detectors.places import Heights, standing
from tracker.detectors.providers import ON_A_GPU
from tracker.detectors.sightings import Sighting, sightings_of
from tracker.detectors.user_model import UserModel, Wishes
from tracker.detectors.views import View, Views, gain_between, levelled
from tracker.errors import InputMissing, NoVehicles, ParameterInvalid
from tracker.geometry import scaling, transform
from tracker.ground import Ground
from tracker.parameters import parameter
from tracker.proxy import Proxy, open_proxy
from tracker.tables import Table, read_table, write_table

DETECTORS = ("fused", "network", "motion", "model")
# Finer pixels cost time and find no more vehicles.
FINEST_PIXEL_M, NARROWEST_PX = 0.035, 160
# Key frames are decoded alone; fewer are too few to see the road between vehicles.
FEWEST_SAMPLES = 15
SHADOW_SAMPLES = 9
LEAST_IN_VIEW = 0.7
# Vehicles whose middle is inside the road reach so far beyond.
ROAD_MARGIN_M = 2.0
# Looks of the network a second where NETWORK_RATE_HZ leaves it open.
RATE_ON_CPU_HZ, RATE_ON_GPU_HZ = 2.0, 10.0
NUMBERS = (
    "frame", "time_s", "x_m", "y_m", "heading_deg", "length_m", "width_m", "score", "whole", "x_px", "y_px",
    "position_std_m",
)  # fmt: skip
WORDS = ("class", "source")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    detector: str = parameter("fused", "fused (network and motion), network, motion, or model (a user's own)")
    detection_rate_hz: float = parameter(10.0, "how many frames a second are searched", minimum=0.5)
    network_rate_hz: float = parameter(
        0.0, "how often the network looks at everything; 0: 2 on the CPU, 10 on a GPU", minimum=0
    )
    network_score: float = parameter(
        0.4, "how sure the network must be of a vehicle that does not move", minimum=0.05, maximum=1
    )
    provider: str = parameter("auto", "where networks are computed: auto, cpu, cuda, tensorrt, openvino")
    model_file: str = parameter("", "a detector as ONNX file, in place of the one that is shipped")
    model_classes: str = parameter("", "which of its classes are vehicles: 0=car 1=truck_bus 2=two_wheeler 3=vehicle")
    model_layout: str = parameter("auto", "how its outputs are laid out, where its file does not tell")
    model_score: float = parameter(0.25, "how sure it must be", minimum=0.01, maximum=1)
    model_picture_width_px: int = parameter(
        0, "width to which pictures are brought for it; 0: as they are, in tiles", minimum=0
    )
    detection_threshold: int = parameter(
        20, "grey levels that a vehicle differs from the road at least", minimum=3, maximum=200
    )
    background_samples: int = parameter(
        41, "frames the background is made from, over the whole video", minimum=5, maximum=255
    )
    working_width_px: int = parameter(1920, "width at most to which frames are reduced for the search", minimum=320)
    min_area_m2: float = parameter(1.2, "smallest area of a vehicle", minimum=0.1)
    max_length_m: float = parameter(20.0, "longest vehicle", minimum=1)
    max_width_m: float = parameter(4.5, "widest vehicle", minimum=0.5)
    min_fill: float = parameter(0.5, "share of its rectangle that a vehicle fills at least", minimum=0, maximum=1)
    vehicle_height_m: float = parameter(
        1.5, "height assumed to correct how vehicles lean outwards; 0: no correction", minimum=0
    )
    large_vehicle_height_m: float = parameter(3.1, "the same for trucks and buses", minimum=0)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The table as it grows, a few bytes a value."""

    numbers: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in NUMBERS})
    words: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in WORDS})

    def add(self, numbers: Iterable[float], words: Iterable[str]) -> None:
        """One row more."""
        for name, value in zip(NUMBERS, numbers, strict=True):
            self.numbers[name].append(float(value))
        for name, word in zip(WORDS, words, strict=True):
            self.words[name].append(word)

    def columns(self) -> Table:
        """The table, its columns in the order of the contract."""
        found = {name: np.array(values) for name, values in self.numbers.items()}
        found |= {name: np.array(values, dtype=object) for name, values in self.words.items()}
        return found


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `detections.parquet` (one row a box) and `background.jpg`.

    Raises NoVehicles, ModelUnusable, and ParameterInvalid for a detector or provider that is not there.
    """
    if parameters.detector not in DETECTORS:
        raise ParameterInvalid(f"DETECTOR is {parameters.detector!r}", remedy=f"Expected {', '.join(DETECTORS)}")
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("x_m", "y_m", "z_m"))
    places = np.column_stack([camera["x_m"], camera["y_m"], camera["z_m"]])
    with open_proxy(files) as proxy:
        if len(places) != len(proxy.matrices):
            raise InputMissing(
                f"camera.csv has {len(places)} frames, the proxy {len(proxy.matrices)}", remedy="Redo estimate_camera"
            )
        views = _views(proxy, ground, parameters)
        looks = _looks(files, parameters, views.pixel_m)
        if looks is not None:
            report.say(f"the network {looks.name} is computed by {looks.provider}")
            report.result("provider", looks.provider)
        scene = _scene(views, _key_rows(proxy), ground, parameters, report)
        cv2.imwrite(str(files.output("background.jpg")), scene.background.picture)
        see = _detector(parameters, looks, scene)
        heights = Heights(parameters.vehicle_height_m, parameters.large_vehicle_height_m)
        searched = range(0, len(places), max(1, round(proxy.rate_fps / parameters.detection_rate_hz)))
        rows = _Rows()
        full_size = np.linalg.inv(scaling(views.factor))
        for count, view in enumerate(views.at(searched), 1):
            for sighting in see(*scene.levelled(view)):
                place = standing(sighting.corners_px, views.to_world, places[view.row], heights, sighting.kind)
                if place[3] <= parameters.max_length_m and place[4] <= parameters.max_width_m:
                    middle_px = transform(full_size, sighting.corners_px).mean(axis=0)
                    _add(rows, view, sighting, place, middle_px)
            report.progress("frames", count, len(searched))
    _finish(files, rows, len(searched), report)


def _add(rows: _Rows, view: View, sighting: Sighting, place: Floats, middle_px: Floats) -> None:
    whole = bool(view.inside(sighting.corners_px).all())
    x, y, heading, length, width = place
    size = np.degrees(heading), length, width
    where = whole, *middle_px, sighting.std_m
    rows.add((view.row, view.time_s, x, y, *size, sighting.score, *where), (sighting.kind, sighting.source))


def _finish(files: StageFiles, rows: _Rows, searched: int, report: Report) -> None:
    columns = rows.columns()
    count = len(columns["frame"])
    if not count:
        raise NoVehicles(
            "no vehicle was found on any frame",
            remedy="Look at background.jpg; try a lower DETECTION_THRESHOLD or NETWORK_SCORE, and check the scale in "
            "ground.json",
        )
    write_table(files.output("detections.parquet"), columns)
    report.result("detections", count)
    report.result("detections_per_frame", count / searched)
    for source in ("fused", "network", "motion"):
        report.result(f"share_{source}", float(np.mean(columns["source"] == source)))


def _views(proxy: Proxy, ground: Ground, parameters: Parameters) -> Views:
    """The frames over the reference frame."""
    fine_enough = round(ground.frame.width_px * ground.metres_per_pixel / FINEST_PIXEL_M)
    width = min(parameters.working_width_px, proxy.width_px, max(fine_enough, NARROWEST_PX))
    height = round(width * proxy.height_px / proxy.width_px)
    factor = width / ground.frame.width_px
    return Views(
        proxy.frames_at, proxy.matrices, ground.to_world, width, height, factor, ground.metres_per_pixel / factor
    )


def _key_rows(proxy: Proxy) -> list[int]:
    """The frames that are decoded without others."""
    footage = proxy.footage
    seconds = (np.array(footage.key_ticks()) - footage.start_ticks) * footage.tick_s
    return sorted({int(np.abs(proxy.times_s - second).argmin()) for second in seconds})


def _looks(files: StageFiles, parameters: Parameters, pixel_m: float) -> Looks | None:
    """The network, or None where none is wanted."""
    if parameters.detector == "motion":
        return None
    path = Path(parameters.model_file) if parameters.model_file else files.resource("model")
    if path is not None and not path.is_file():
        raise InputMissing(f"MODEL_FILE is {path}, and there is no such file")
    if path is None and parameters.detector == "model":
        raise InputMissing(
            "DETECTOR is 'model', and there is none",
            remedy="Name it in MODEL_FILE, or put it into model/ of --resources",
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
) -> Callable[[View, Picture], Sequence[Sighting]]:
    """What gives the vehicles of one frame after the other, whose middle is inside the road."""
    if looks is None:
        return lambda view, coarse: scene.on_road(
            [Sighting.of_blob(blob) for blob in scene.blobs(view, coarse) if blob.fill >= parameters.min_fill]
        )
    if parameters.detector != "fused":
        return lambda view, _: scene.on_road(sightings_of(looks.at(view, None)))
    fusion = Fusion(looks, scene, parameters.network_score)
    default_hz = RATE_ON_GPU_HZ if looks.provider in ON_A_GPU else RATE_ON_CPU_HZ
    rate_hz = parameters.network_rate_hz or default_hz
    last_look_s = -np.inf

    def see(view: View, coarse: Picture) -> Sequence[Sighting]:
        nonlocal last_look_s
        # Half a frame early is in time.
        due = view.time_s - last_look_s >= 1 / rate_hz - 0.5 / parameters.detection_rate_hz
        last_look_s = view.time_s if due else last_look_s
        return fusion.frame(view, coarse, everything=due)

    return see


def _scene(views: Views, key_rows: Sequence[int], ground: Ground, parameters: Parameters, report: Report) -> Scene:
    """The background, where the road is, and how dark shadows are."""
    road = views.mask(ground.road_polygon_px)
    samples, in_view = _samples(views, key_rows, parameters, report)
    share = float(in_view[road > 0].mean()) / len(samples)
    if share < LEAST_IN_VIEW:
        report.warning(f"only {100 * share:.0f} % of the reference frame stay in view")
    background: Background = make_background(samples, parameters.detection_threshold)
    step = max(1, len(samples) // SHADOW_SAMPLES)
    shadows = learned_shadows(samples[::step], background, views.pixel_m)
    if shadows is None:
        report.say("no darkness stands out as that of shadows: what is only a little darker than the road is left out")
    else:
        report.say(f"shadows leave about {100 * shadows.share_left:.0f} % of the light")
    return Scene(background, views.reduction, road, shadows, views.pixel_m, parameters.min_area_m2, ROAD_MARGIN_M)


def _samples(
    views: Views, key_rows: Sequence[int], parameters: Parameters, report: Report
) -> tuple[list[Picture], Floats]:
    """Frames for the background, all as bright as the first of them, and how many of them show each pixel."""
    rows = key_rows if len(key_rows) >= FEWEST_SAMPLES else range(len(views.matrices))
    count = min(parameters.background_samples, len(rows))
    chosen = sorted({rows[at] for at in np.linspace(0, len(rows) - 1, count).round().astype(int).tolist()})
    pictures: list[Picture] = []
    first: Picture | None = None
    in_view = np.zeros((views.height_px, views.width_px))
    for view in views.at(chosen):
        coarse = view.coarse()
        first = coarse if first is None else first
        pictures.append(levelled(view.whole(), gain_between(coarse, first)))
        in_view += cv2.resize(view.seen(), (views.width_px, views.height_px), interpolation=cv2.INTER_NEAREST) > 0
        report.progress("background", len(pictures), len(chosen))
    return pictures, in_view
