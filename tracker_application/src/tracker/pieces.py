"""Results of each segment of the film: homographies and a piece of the proxy.

They are kept on disk until all are done, so that an interrupted stage can reuse them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture
from tracker.follower import Follower, Still
from tracker.footage import open_footage
from tracker.lens import Lens
from tracker.parts import Part
from tracker.proxy import PieceWriter
from tracker.registration import Registration
from tracker.segments import Segment, frames_of

TELL_EVERY = 5
REFERENCE_FILE = "reference.npy"


@dataclass(frozen=True, eq=False)
class Job:
    """What to produce for every segment. `folder` holds the luma of the reference frame, and gets the pieces.

    `fixed`: the camera does not move at all.
    """

    parts: tuple[Part, ...]
    folder: Path
    points_px: Floats
    lens: Lens
    min_inlier_share: float
    fixed: bool
    quality_crf: int
    proxy_size: tuple[int, int]

    def table(self, segment: Segment) -> Path:
        """Exists once the segment is done."""
        return self.folder / f"{segment.number:05d}.npz"

    def proxy(self, segment: Segment) -> Path:
        """Its piece of the proxy."""
        return self.folder / f"{segment.number:05d}.mp4"


@dataclass(frozen=True, eq=False)
class Piece:
    """Results of a segment, one row per frame; `inliers` is frames x points."""

    times_s: Floats
    registered: Flags
    residual_px: Floats
    matrices: Floats
    inliers: Flags
    damaged_pictures: int

    @classmethod
    def read(cls, path: Path) -> Piece:
        """Read what `make_piece` wrote."""
        with np.load(path) as data:
            return cls(
                data["times_s"], data["registered"], data["residual_px"], data["matrices"], data["inliers"],
                int(data["damaged_pictures"]),
            )  # fmt: skip


def make_piece(job: Job, segment: Segment, on_progress: Callable[[int | None], None]) -> None:
    """Decode a segment once: register its frames and encode its piece of the proxy, independently of other segments."""
    cv2.setNumThreads(1)
    half_done = job.proxy(segment).with_suffix(".part")
    times, residuals, matrices, inliers = [], [], [], []
    part = job.parts[segment.part]
    with open_footage(part.path, threads=1, facts=part.facts) as film:
        follower = _follower(job)
        with PieceWriter(half_done, film, part.start_s, job.lens, job.quality_crf, job.proxy_size) as writer:
            for count, frame in enumerate(frames_of(film, segment), 1):
                time_s = part.start_s + frame.time_s
                registered = follower.step(frame.luma(), time_s)
                times.append(time_s)
                residuals.append(np.nan if registered is None else registered.residual_px)
                matrices.append(np.full((3, 3), np.nan) if registered is None else registered.to_reference)
                inliers.append(np.zeros(len(job.points_px), bool) if registered is None else registered.inliers)
                writer.write(frame)
                if count % TELL_EVERY == 0:
                    on_progress(count)
        damaged = film.damaged_pictures
    if times:  # a segment that is damaged throughout has no piece
        half_done.rename(job.proxy(segment))
    half_done = job.table(segment).with_suffix(".part.npz")
    np.savez(
        half_done, times_s=np.array(times), registered=np.isfinite(residuals), residual_px=np.array(residuals),
        matrices=np.array(matrices).reshape(-1, 3, 3), inliers=np.array(inliers).reshape(-1, len(job.points_px)),
        damaged_pictures=damaged,
    )  # fmt: skip
    half_done.rename(job.table(segment))


def _reference(job: Job) -> Picture:
    luma: Picture = np.load(job.folder / REFERENCE_FILE)
    return luma


def _follower(job: Job) -> Still | Follower:
    if job.fixed:
        return Still(len(job.points_px))
    return Follower(Registration(_reference(job), job.points_px, job.lens), job.min_inlier_share)
