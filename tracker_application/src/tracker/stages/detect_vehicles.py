"""Detects vehicles as oriented boxes: with a network, by motion against the background, or both (the default)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tracker.checkpoint import folder_for
from tracker.contract import Report, StageFiles
from tracker.detectors.options import DETECTORS, Parameters
from tracker.detectors.providers import ON_A_GPU
from tracker.detectors.scenery import Scenery, make_scenery, sample_rows
from tracker.detectors.searching import (
    SCENERY_FILE,
    Search,
    Stretch,
    looks_of,
    model_of,
    plan,
    read_ground,
    search,
    views_of,
)
from tracker.detectors.sightings import LOOKS_FILE
from tracker.errors import InputMissing, NoVehicles, ParameterInvalid
from tracker.proxy import PROXY_FILE, Proxy, open_proxy
from tracker.tables import Table, read_table, write_table
from tracker.workers import affordable, share_out

__all__ = ["Parameters", "run"]

LEAST_IN_VIEW = 0.7
# Memory of a worker that searches frames of this size or less, and of the stage itself; both grow with the size.
WORKER_BYTES, OWN_BYTES, USUAL_PX = 450 << 20, 600 << 20, 1920 * 1080
MADE_FROM = (
    ("track_reference_points", "homographies.csv"),
    ("track_reference_points", "film.json"),
    ("track_reference_points", PROXY_FILE),
    ("estimate_camera", "ground.json"),
    ("estimate_camera", "camera.csv"),
)


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `detections.parquet` (one row per box), `looks.parquet` and `background.jpg`.

    `looks.parquet` has the same columns for all boxes of the network when it looked at whole frames, faint ones too.

    Raises NoVehicles, ModelUnusable, and ParameterInvalid for an unavailable detector or provider.
    """
    if parameters.detector not in DETECTORS:
        raise ParameterInvalid(f"DETECTOR is {parameters.detector!r}", remedy=f"Expected {', '.join(DETECTORS)}")
    job = Search(files, parameters, _folder(files, parameters))
    with open_proxy(files) as proxy:
        scenery, provider = _prepare(job, proxy, report)
        larger = max(1.0, scenery.road.size / USUAL_PX)
        stretches = plan(proxy.registered, proxy.rate_fps, parameters.detection_rate_hz)
    cv2.imwrite(str(files.output("background.jpg")), scenery.background.picture)
    sizes = round(larger * WORKER_BYTES), round(larger * OWN_BYTES)
    _search_all(job, stretches, 1 if provider in ON_A_GPU else affordable(*sizes), report)
    columns = _joined([job.found(stretch) for stretch in stretches])
    write_table(files.output(LOOKS_FILE), _joined([job.looked(stretch) for stretch in stretches]))
    shutil.rmtree(files.checkpoint)
    _finish(files, columns, sum(len(stretch.rows) for stretch in stretches), report)


def _joined(paths: Sequence[Path]) -> Table:
    """Tables with the same columns, one below the other."""
    parts = [read_table(path) for path in paths]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _folder(files: StageFiles, parameters: Parameters) -> Path:
    """The checkpoint directory for the same inputs and parameters."""
    sources = [files.upstream(*names) for names in MADE_FROM]
    model = model_of(files, parameters)
    if model is not None and model.is_file():
        sources.append(model)
    return folder_for(files.checkpoint, sources, replace(parameters, workers=None))


def _prepare(job: Search, proxy: Proxy, report: Report) -> tuple[Scenery, str]:
    """Make the scenery if it does not exist; return the provider of the network, or nothing without a network."""
    ground, places = read_ground(job.files)
    if len(places) != len(proxy.matrices):
        raise InputMissing(
            f"camera.csv has {len(places)} frames, but the proxy has {len(proxy.matrices)}",
            remedy="Redo estimate_camera",
        )
    views = views_of(proxy, ground, job.parameters)
    looks = looks_of(job.files, job.parameters, views.pixel_m)
    if looks is not None:
        report.say(f"the network {looks.name} runs on {looks.provider}")
        report.result("provider", looks.provider)
    path = job.folder / SCENERY_FILE
    if path.exists():
        scenery = Scenery.read(path)
    else:
        scenery = make_scenery(views, sample_rows(proxy), ground.road_polygon_px, job.parameters, report)
        scenery.write(path)
    if scenery.in_view < LEAST_IN_VIEW:
        report.warning(f"only {100 * scenery.in_view:.0f} % of the reference frame stay in view")
    if scenery.shadows is None:
        report.say("no shadow darkness stands out: areas that are only slightly darker than the road are ignored")
    else:
        report.say(f"shadows leave about {100 * scenery.shadows.share_left:.0f} % of the light")
    return scenery, "" if looks is None else looks.provider


def _search_all(job: Search, stretches: Sequence[Stretch], usual_workers: int, report: Report) -> None:
    """Search the remaining stretches."""
    done = {stretch.number: len(stretch.rows) for stretch in stretches if job.found(stretch).exists()}
    todo = [stretch for stretch in stretches if stretch.number not in done]
    if done:
        report.say(f"{len(done)} of {len(stretches)} stretches were already done")
    workers = min(job.parameters.workers or usual_workers, max(1, len(todo)))
    report.say(f"{len(stretches)} stretches, {workers} workers")
    total = sum(len(stretch.rows) for stretch in stretches)

    def on_progress(stretch: Stretch, frames: int | None) -> None:
        done[stretch.number] = len(stretch.rows) if frames is None else frames
        report.progress("frames", sum(done.values()), total)

    share_out(search, job, todo, workers, on_progress)


def _finish(files: StageFiles, columns: Table, searched: int, report: Report) -> None:
    count = len(columns["frame"])
    if not count:
        raise NoVehicles(
            "no vehicle was detected in any frame",
            remedy="Look at background.jpg; try a lower DETECTION_THRESHOLD or NETWORK_SCORE, and check the scale in "
            "ground.json",
        )
    write_table(files.output("detections.parquet"), columns)
    report.result("detections", count)
    report.result("detections_per_frame", count / searched)
    for source in ("fused", "network", "motion"):
        report.result(f"share_{source}", float(np.mean(columns["source"] == source)))
