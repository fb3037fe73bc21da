"""Follows stationary points through all frames and registers each frame to the reference frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats, Picture
from tracker.contract import Report, StageFiles
from tracker.errors import ReferenceLost
from tracker.footage import Footage, open_footage
from tracker.homographies import write_homographies
from tracker.parameters import parameter
from tracker.reference import Frame, ReferencePoints, parse_points
from tracker.registration import FEWEST_INLIERS, Registered, Registration
from tracker.tables import Table, from_rows, write_table

# Proposed points nearer than this share of the width to a given one add nothing.
TOO_NEAR = 0.02
SELDOM = 0.5
COLUMNS = ("frame", "time_s", "registered", "inliers", "residual_px")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    min_inlier_share: float = parameter(
        0.3, "share of the points that must be found on a frame for it to count as registered", minimum=0.05, maximum=1
    )
    max_lost_seconds: float = parameter(1.0, "how long registration may fail before the stage gives up", minimum=0)


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `homographies.csv` (one row a frame) and `point_quality.csv` (how often each point was found).

    Raises ReferenceLost if frames cannot be registered for longer than allowed.
    """
    nowhere = Frame(0.0, 0, 0)
    points = parse_points(files.upstream("define_reference_points", "reference_points.json"), nowhere)
    proposed = parse_points(files.upstream("define_reference_points", "proposed_points.json"), nowhere)
    names, places = _all_points(points, proposed)
    with open_footage(files.video()) as footage:
        luma = _reference_luma(footage, points.frame.time_s)
        registration = Registration(luma, places)
        follower = _Follower(registration, parameters, footage.facts.rate_fps)
        rows: list[tuple[float, ...]] = []
        matrices: list[Floats] = []
        found = np.zeros(len(places), np.int64)
        for frame in footage.frames():
            registered = follower.step(frame.luma(), frame.time_s)
            if registered is None:
                rows.append((frame.index, frame.time_s, 0, 0, np.nan))
            else:
                rows.append((frame.index, frame.time_s, 1, int(registered.inliers.sum()), registered.residual_px))
                found += registered.inliers
            matrices.append(follower.to_reference)
            report.progress("frames", frame.index + 1, max(footage.facts.frames, frame.index + 1))
    columns = {name: np.array(values) for name, values in from_rows(COLUMNS, rows).items()}
    write_homographies(files.output("homographies.csv"), columns, np.array(matrices))
    share = found / max(1, int(columns["registered"].sum()))
    quality: Table = {"name": np.array(names), "x_px": places[:, 0], "y_px": places[:, 1], "found_share": share}
    write_table(files.output("point_quality.csv"), quality)
    _tell(columns, quality, len(points.points), report)


def _all_points(points: ReferencePoints, proposed: ReferencePoints) -> tuple[list[str], Floats]:
    """The given points, and those proposed ones that are not beside one of them."""
    given = points.pixels()
    names, places = [point.name for point in points.points], list(given)
    for point in proposed.points:
        place = np.array([point.x_px, point.y_px])
        if not len(given) or np.hypot(*(given - place).T).min() > TOO_NEAR * points.frame.width_px:
            names.append(point.name)
            places.append(place)
    return names, np.array(places).reshape(-1, 2)


def _reference_luma(footage: Footage, time_s: float) -> Picture:
    for frame in footage.frames_at([time_s]):
        return frame.luma()
    raise ReferenceLost(f"{footage.path.name} has no frame at {time_s} s, on which the points were clicked")


class _Follower:
    """Registers frame after frame; each begins where the one before was found."""

    def __init__(self, registration: Registration, parameters: Parameters, rate_fps: float) -> None:
        self.registration = registration
        self.parameters = parameters
        self.needed = max(FEWEST_INLIERS, parameters.min_inlier_share * int(registration.usable.sum()))
        self.to_reference: Floats = np.eye(3)
        self.good_until_s = -1 / rate_fps

    def step(self, luma: Picture, time_s: float) -> Registered | None:
        """Register one frame; None if it is held where the one before was. Raises ReferenceLost."""
        registered = self._good(self.registration.follow(luma, np.linalg.inv(self.to_reference)))
        if registered is None:
            elsewhere = self.registration.search(luma)
            if elsewhere is not None:
                registered = self._good(self.registration.follow(luma, elsewhere))
        if registered is not None:
            self.to_reference, self.good_until_s = registered.to_reference, time_s
            return registered
        if time_s - self.good_until_s > self.parameters.max_lost_seconds:
            raise ReferenceLost(
                f"the reference points were lost at {max(self.good_until_s, 0):.2f} s, and still are at {time_s:.2f} s",
                remedy="Choose points that stay in view, or cut the video there; a camera that is fixed needs only a "
                "higher MAX_LOST_SECONDS",
            )
        return None

    def _good(self, registered: Registered | None) -> Registered | None:
        return registered if registered is not None and int(registered.inliers.sum()) >= self.needed else None


def _tell(columns: Table, quality: Table, given: int, report: Report) -> None:
    """Say how well it went; the first `given` points are a person's."""
    lost = int((columns["registered"] == 0).sum())
    if lost:
        report.warning(f"{lost} of {len(columns['frame'])} frames could not be registered and are held in place")
    for name, share in zip(quality["name"][:given], quality["found_share"], strict=False):
        if share < SELDOM:
            report.warning(
                f"reference point {str(name)!r} fits on only {100 * share:.0f} % of the frames: is it on the ground, "
                "away from the border, and was nobody beside it?"
            )
    report.result("points_followed", len(quality["name"]))
    report.result("mean_residual_px", float(np.nanmean(columns["residual_px"])))
    report.result("frames_registered", f"{len(columns['frame']) - lost} of {len(columns['frame'])}")
