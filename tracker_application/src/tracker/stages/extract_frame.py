"""Checks the footage before hours are spent on it, chooses a sharp frame, and proposes stationary points on it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from tracker.ahead import ahead
from tracker.arrays import Flags
from tracker.camera import Intrinsics
from tracker.checks import DARKEST, Checks, check_file, check_length, look_over, sharpness
from tracker.contract import Report, StageFiles
from tracker.errors import NotAVideo
from tracker.footage import Footage, VideoFrame, open_footage
from tracker.ground import ground_scale
from tracker.ground_fit import fit_to_world
from tracker.lens import Lens
from tracker.parameters import parameter
from tracker.parts import Part, read_film
from tracker.pictures import write_jpeg
from tracker.point_checks import read_points
from tracker.point_doubts import doubts_about_scale
from tracker.reference import Frame, ReferencePoint, ReferencePoints, parse_points
from tracker.registration import Registration, propose_points

# The sharpest of these is chosen; later ones are tried if all before are nearly black.
CANDIDATES_S = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
LATER_S = (3.0, 5.0, 8.0)
# Corners tried in each cell of the frame; the best one is proposed.
CANDIDATES_EACH = 3


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    reference_time_s: float | None = parameter(
        None, "time of the frame to show; none: that of the points file, or the sharpest early frame", minimum=0
    )
    min_sharpness: float = parameter(15.0, "variance of the Laplacian below which a frame counts as blurred", minimum=0)
    horizontal_fov_deg: float = parameter(
        73.7, "horizontal field of view after undistortion (24 mm equivalent: 73.7)", minimum=5, maximum=150
    )
    lens_k1: float = parameter(0.0, "radial lens distortion, first coefficient (Brown); 0: none")
    lens_k2: float = parameter(0.0, "radial lens distortion, second coefficient")


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `footage.json`, `frame.jpg` and `proposed_points.json`."""
    points_file = files.resource("reference_points")
    checks = Checks(report)
    film = read_film(files)
    facts = film.facts
    for part in film.parts:
        report.say(
            f"{part.path.name}: {part.facts.codec} {facts.width_px}x{facts.height_px}, "
            f"{part.facts.rate_fps:.3f} frames per second, {part.facts.duration_s:.1f} s"
        )
    for doubt in film.doubts:
        checks.warn(doubt)
    lens = Lens(facts.width_px, facts.height_px, parameters.horizontal_fov_deg, parameters.lens_k1, parameters.lens_k2)
    asked_s = parameters.reference_time_s
    if points_file is not None:
        file_time_s = parse_points(points_file, Frame(-1.0, facts.width_px, facts.height_px)).frame.time_s
        asked_s = file_time_s if file_time_s >= 0 else asked_s
    own = film.at(0.0 if asked_s is None else asked_s)
    with open_footage(own.path, facts=own.facts) as footage:
        whole_s = check_file(footage, checks)
        frame = _sharpest(footage, whole_s) if asked_s is None else _frame_at(footage, asked_s - own.start_s)
        luma = frame.luma()
        picture = frame.colours(facts.width_px, facts.height_px)
        shown = Frame(own.start_s + frame.time_s, facts.width_px, facts.height_px)
        _check_frame(frame, parameters, checks)
        corners, cells = propose_points(luma, each=CANDIDATES_EACH)
        registration = Registration(luma, lens.undistorted(corners), lens)
        fits = look_over(footage, whole_s, registration, checks)
    for part in film.parts:
        if part != own:
            part_fits, part_whole_s = _look_over_part(part, registration, checks)
            fits, whole_s = np.minimum(fits, part_fits), whole_s + part_whole_s
    check_length(whole_s, checks)
    proposed = registration.points_px[best_of_each(cells, fits)]
    if points_file is not None:
        _check_scale(read_points(points_file, shown), lens, checks)
    picture = lens.straighten(picture) if lens.bends else picture
    write_jpeg(files.output("frame.jpg"), picture)
    inside = [(x, y) for x, y in proposed.round(1).tolist() if shown.holds(x, y)]
    points = tuple(ReferencePoint(f"P{number}", x, y) for number, (x, y) in enumerate(inside, 1))
    ReferencePoints(shown, points).write(files.output("proposed_points.json"))
    footage_facts = {
        "video": asdict(facts), "reference_frame": asdict(shown), "checks": checks.found, "warnings": checks.warnings,
    }  # fmt: skip
    files.output("footage.json").write_text(json.dumps(footage_facts, indent=2) + "\n", encoding="utf-8")
    report.result("duration_s", facts.duration_s)
    report.result("frame_size", f"{facts.width_px}x{facts.height_px}")
    report.result("reference_time_s", shown.time_s)
    report.result("proposed_points", len(points))


def _look_over_part(part: Part, registration: Registration, checks: Checks) -> tuple[Flags, float]:
    """Check another part of the film, too: which points fit, and how many seconds are intact.

    Measurements are those of the part with the reference frame.
    """
    own = Checks(checks.report)
    with open_footage(part.path, facts=part.facts) as footage:
        whole_s = check_file(footage, own)
        fits = look_over(footage, whole_s, registration, own)
    checks.warnings += own.warnings
    return fits, whole_s


def best_of_each(cells: Flags, fits: Flags) -> list[int]:
    """The point of each cell that fits in most frames, the best corner first; none if all fit in 0."""
    best: dict[int, int] = {}
    for point in np.argsort(-fits, kind="stable").tolist():
        if fits[point] > 0:
            best.setdefault(int(cells[point]), point)
    return sorted(best.values())


def _frame_at(footage: Footage, time_s: float) -> VideoFrame:
    for frame in footage.frames_at([time_s]):
        return frame
    raise NotAVideo(f"{footage.path.name} has no frame at {time_s} s: it is {footage.facts.duration_s:.1f} s long")


def _sharpest(footage: Footage, whole_s: float) -> VideoFrame:
    """The sharpest of a few early frames that are not black; the first one if all are."""
    best: VideoFrame | None = None
    most = -1.0
    for times_s in (CANDIDATES_S, LATER_S):
        for frame in ahead(footage.frames_at([time_s for time_s in times_s if time_s < whole_s])):
            luma = frame.luma()
            clear = sharpness(luma) if float(luma.mean()) >= DARKEST else 0.0
            if clear > most:
                best, most = frame, clear
        if most > 0:
            break
    return best or _frame_at(footage, 0.0)


def _check_frame(frame: VideoFrame, parameters: Parameters, checks: Checks) -> None:
    luma = frame.luma()
    clear = sharpness(luma)
    checks.found["sharpness"] = clear
    checks.report.result("sharpness", clear)
    if float(luma.mean()) < DARKEST:
        checks.warn(f"the frame at {frame.time_s:.2f} s is nearly black")
    elif clear < parameters.min_sharpness:
        checks.warn(f"the frame at {frame.time_s:.2f} s is blurred (sharpness {clear:.1f})")


def _check_scale(points: ReferencePoints, lens: Lens, checks: Checks) -> None:
    """Say what the pixel size means for the result; only if points were supplied."""
    intrinsics = Intrinsics.from_field_of_view(lens.width_px, lens.height_px, lens.horizontal_fov_deg)
    scale_m = ground_scale(fit_to_world(points.in_metres()[0], intrinsics).to_world, points.frame)
    checks.found["metres_per_pixel"] = scale_m
    for doubt in doubts_about_scale(scale_m):
        checks.warn(doubt)
