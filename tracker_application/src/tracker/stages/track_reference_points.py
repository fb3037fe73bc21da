"""Decodes the film once: tracks stationary points, registers each frame to the reference frame, writes the proxy."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import numpy as np

from tracker.arrays import Floats, Picture
from tracker.checkpoint import folder_for
from tracker.contract import Report, StageFiles
from tracker.errors import ParameterInvalid, ReferenceLost
from tracker.film_progress import Enough, FilmProgress, unregistered
from tracker.footage import open_footage
from tracker.homographies import write_homographies
from tracker.lens import Lens
from tracker.parameters import parameter
from tracker.parts import Part, read_film
from tracker.pieces import REFERENCE_FILE, Job, make_piece
from tracker.point_doubts import metres_per_pixel_of
from tracker.proxy import FILM_FILE, PROXY_FILE, USUAL_WIDTH_PX, join_pieces, proxy_size
from tracker.reference import Frame, ReferencePoints, parse_points
from tracker.segments import Segment, plan
from tracker.tables import Table, write_table
from tracker.workers import affordable, share_out

CAMERAS = ("moving", "fixed")
# Proposed points closer to a given one than this share of the width add nothing.
TOO_NEAR = 0.01
SELDOM = 0.5
# Memory of a worker at 4K, and of the stage itself.
WORKER_BYTES, OWN_BYTES = 420 << 20, 400 << 20
# What the encoder of a worker holds more for each pixel of a larger proxy.
ENCODER_BYTES_PER_PX = 16


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    min_inlier_share: float = parameter(
        0.3, "share of the points that must be found in a frame for it to count as registered", minimum=0.05, maximum=1
    )
    max_lost_seconds: float = parameter(
        10.0, "how long registration may fail before the stage stops and keeps the good part", minimum=0
    )
    camera: str = parameter(
        "moving", "moving or fixed; fixed: every frame aligns with the reference frame, nothing is tracked"
    )
    workers: int | None = parameter(
        None, "number of worker processes; none: one per core, as far as memory allows", minimum=1
    )
    proxy_quality_crf: int = parameter(
        22, "H.264 quality (CRF) of the proxy: 16 is close to the footage, 26 is small", minimum=0, maximum=40
    )
    horizontal_fov_deg: float = parameter(
        73.7, "horizontal field of view after undistortion (24 mm equivalent: 73.7)", minimum=5, maximum=150
    )
    lens_k1: float = parameter(0.0, "radial lens distortion, first coefficient (Brown); 0: none")
    lens_k2: float = parameter(0.0, "radial lens distortion, second coefficient")


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `homographies.csv` (one row per frame), `point_quality.csv`, `proxy.mp4` and `film.json`.

    Raises ReferenceLost if registration fails for longer than allowed and less than half of the film is left.
    """
    if parameters.camera not in CAMERAS:
        raise ParameterInvalid(f"CAMERA is {parameters.camera!r}", remedy=f"Expected {' or '.join(CAMERAS)}")
    fixed = parameters.camera == "fixed"
    points = parse_points(files.upstream("define_reference_points", "reference_points.json"), Frame(0.0, 0, 0))
    proposed = parse_points(files.upstream("extract_frame", "proposed_points.json"), Frame(0.0, 0, 0))
    names, places = _all_points(points, proposed)
    film = read_film(files)
    facts, parts = film.facts, film.parts
    lens = Lens(facts.width_px, facts.height_px, parameters.horizontal_fov_deg, parameters.lens_k1, parameters.lens_k2)
    size = proxy_size(facts.width_px, facts.height_px, metres_per_pixel_of(points.in_metres()[0]))
    what = (
        places.tolist(), points.frame, lens, parameters.min_inlier_share, fixed, parameters.proxy_quality_crf, size
    )  # fmt: skip
    folder = folder_for(files.checkpoint, [part.path for part in parts], what)
    np.save(folder / REFERENCE_FILE, _reference_luma(film.at(points.frame.time_s), points.frame.time_s))
    segments: list[Segment] = []
    for number, part in enumerate(parts):
        with open_footage(part.path, facts=part.facts) as footage:
            whole_s = footage.whole_until_s()
            planned = plan(footage, whole_s)
        segments += [replace(each, number=len(segments) + each.number, part=number) for each in planned]
    job = Job(parts, folder, places, lens, parameters.min_inlier_share, fixed, parameters.proxy_quality_crf, size)
    length_s = parts[-1].start_s + min(whole_s, parts[-1].facts.duration_s)
    film_progress = FilmProgress(
        job, segments, facts.frames, length_s, points.frame.time_s, parameters.max_lost_seconds, report
    )
    todo = [segment for segment in segments if not job.table(segment).exists()]
    if len(todo) < len(segments):
        report.say(f"{len(segments) - len(todo)} of {len(segments)} segments were already done")
    more_px = max(0, size[0] * size[1] - USUAL_WIDTH_PX * (USUAL_WIDTH_PX * 9 // 16))
    worker_bytes = WORKER_BYTES + ENCODER_BYTES_PER_PX * more_px
    workers = min(parameters.workers or affordable(worker_bytes, OWN_BYTES), max(1, len(todo)))
    report.say(f"{len(segments)} segments, {workers} workers")

    def on_progress(segment: Segment, frames: int | None) -> None:
        film_progress.record(segment, frames)
        report.progress("frames", *film_progress.frames_done())

    with suppress(Enough):
        film_progress.advance()
        share_out(make_piece, job, todo, workers, on_progress)
    pieces, count = film_progress.good_part()
    report.progress("frames", count, count)
    matrices = _held(np.concatenate([piece.matrices for piece in pieces])[:count])
    inliers = np.concatenate([piece.inliers for piece in pieces])[:count]
    columns: Table = {
        "frame": np.arange(count),
        "time_s": np.concatenate([piece.times_s for piece in pieces])[:count],
        "registered": np.concatenate([piece.registered for piece in pieces])[:count].astype(np.int64),
        "inliers": inliers.sum(axis=1),
        "residual_px": np.concatenate([piece.residual_px for piece in pieces])[:count],
    }
    write_homographies(files.output("homographies.csv"), columns, matrices)
    share = inliers.sum(axis=0) / max(1, int(columns["registered"].sum()))
    quality: Table = {"name": np.array(names), "x_px": places[:, 0], "y_px": places[:, 1], "found_share": share}
    write_table(files.output("point_quality.csv"), quality)
    # A segment may be damaged throughout.
    shown = [job.proxy(segment) for segment, piece in zip(segments, pieces, strict=False) if len(piece.times_s)]
    join_pieces(shown, count, files.output(PROXY_FILE))
    film_facts = {"reference_frame": asdict(points.frame), "frames": count}
    files.output(FILM_FILE).write_text(json.dumps(film_facts, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(files.checkpoint)
    _report_quality(columns, quality, len(points.points), report)


def _reference_luma(part: Part, time_s: float) -> Picture:
    with open_footage(part.path, facts=part.facts) as footage:
        for frame in footage.frames_at([time_s - part.start_s]):
            return frame.luma()
    raise ReferenceLost(f"{part.path.name} has no frame at {time_s} s, the time of the reference points")


def _all_points(points: ReferencePoints, proposed: ReferencePoints) -> tuple[list[str], Floats]:
    """The given points, and those proposed points that are not close to one of them."""
    marked = points.pixels()
    names, places = [point.name for point in points.points], list(marked)
    for point in proposed.points:
        place = np.array([point.x_px, point.y_px])
        if not len(marked) or np.hypot(*(marked - place).T).min() > TOO_NEAR * points.frame.width_px:
            names.append(point.name)
            places.append(place)
    return names, np.array(places).reshape(-1, 2)


def _held(matrices: Floats) -> Floats:
    """Fill gaps: unregistered frames take the previous frame's matrix, those at the beginning the first one."""
    known = np.isfinite(matrices[:, 0, 0])
    last = np.maximum.accumulate(np.where(known, np.arange(len(matrices)), -1))
    held: Floats = matrices[np.where(last < 0, known.argmax(), last)]
    return held


def _report_quality(columns: Table, quality: Table, marked_count: int, report: Report) -> None:
    """Report the quality; the first `marked_count` points are a person's."""
    lost = int((columns["registered"] == 0).sum())
    if lost:
        longest = unregistered(columns["time_s"], columns["registered"] == 1)
        report.warning(
            f"{lost} of {len(columns['frame'])} frames could not be registered{longest and ', for example '}{longest}: "
            "vehicles are not detected in them"
        )
    for name, share in zip(quality["name"][:marked_count], quality["found_share"], strict=False):
        if share < SELDOM:
            report.warning(
                f"reference point {str(name)!r} fits in only {100 * share:.0f} % of the frames: is it on the ground, "
                "away from the border and from moving objects?"
            )
    report.result("points_followed", len(quality["name"]))
    report.result("mean_residual_px", float(np.nanmean(columns["residual_px"])))
    report.result("frames_registered", f"{len(columns['frame']) - lost} of {len(columns['frame'])}")
