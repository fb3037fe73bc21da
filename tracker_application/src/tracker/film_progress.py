"""Tracks which segments of the film are processed, and up to where the film can be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracker.arrays import Flags, Floats, runs
from tracker.contract import Report
from tracker.errors import FootageDamaged, ReferenceLost
from tracker.pieces import Job, Piece
from tracker.segments import Segment

# If no more than this share of the film matches the reference frame, the stage gives up.
WORTH_KEEPING = 0.5
# Unusable stretches longer than this are reported, and cut off at the end.
WORTH_REPORTING_S = 1.0
# Frames further apart than this, also relative to the usual interval, have a gap between them.
GAP_S, GAP_STEPS = 0.5, 5


class Enough(Exception):
    """The reference frame is lost for good, and the good part is kept."""


class FilmProgress:
    """Checks finished segments in the order of the film, to stop early when the reference frame is lost.

    Decisions do not depend on the order in which segments finish. The film is `length_s` long, and the points belong to
    its frame at `reference_s`.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what it decides by
        self, job: Job, segments: Sequence[Segment], frames: int, length_s: float, reference_s: float,
        max_lost_s: float, report: Report,
    ) -> None:  # fmt: skip
        self._job, self._segments, self._frames, self._length_s = job, segments, frames, length_s
        self._reference_s, self._max_lost_s, self._report = reference_s, max_lost_s, report
        self._pieces: list[Piece] = []
        self._done: dict[int, int] = {}
        self._good_until_s = -np.inf

    def record(self, segment: Segment, frames: int | None) -> None:
        """Record finished frames of a segment, or all of them (None). Raises ReferenceLost, or Enough."""
        if frames is None:
            self.advance()
        else:
            self._done[segment.number] = frames

    def frames_done(self) -> tuple[int, int]:
        """The number of finished frames and of all frames."""
        done = sum(self._done.values())
        return done, max(self._frames, done)

    def advance(self) -> None:
        """Process finished segments up to the first unfinished one. Raises ReferenceLost, or Enough."""
        for segment in self._segments[len(self._pieces) :]:
            if not self._job.table(segment).exists():
                return
            piece = Piece.read(self._job.table(segment))
            self._done[segment.number] = len(piece.times_s)
            self._pieces.append(piece)
            self._look(piece)

    def _look(self, piece: Piece) -> None:
        for time_s, registered in zip(piece.times_s.tolist(), piece.registered, strict=True):
            if registered:
                self._good_until_s = time_s
            # Before the reference frame there may be black frames, or the ascent.
            elif time_s - max(self._good_until_s, self._reference_s) > self._max_lost_s:
                if self._good_until_s < WORTH_KEEPING * self._length_s:
                    raise self._lost(time_s)
                raise Enough

    def _lost(self, time_s: float) -> ReferenceLost:
        damaged = self._damaged()
        return ReferenceLost(
            self._how_lost(time_s),
            remedy=(f"{damaged} frames up to there are damaged: copy the video again, or c" if damaged else "C")
            + "hoose points that stay in view, on another frame if needed (REFERENCE_TIME_S), or cut the video there; "
            "if the camera is fixed, set CAMERA=fixed",
        )

    def _how_lost(self, time_s: float) -> str:
        if not np.isfinite(self._good_until_s):
            return f"no frame up to {time_s:.2f} s matches the reference frame"
        return f"the reference points were lost at {self._good_until_s:.2f} s and not found again by {time_s:.2f} s"

    def _damaged(self) -> int:
        return sum(piece.damaged_pictures for piece in self._pieces)

    def good_part(self) -> tuple[list[Piece], int]:
        """The pieces, and how many of their frames are good. Raises ReferenceLost or FootageDamaged if none."""
        times_s = np.concatenate([piece.times_s for piece in self._pieces])
        registered = np.concatenate([piece.registered for piece in self._pieces])
        if not len(times_s):
            raise FootageDamaged("no frame of the video can be decoded", remedy="Copy it from the camera again")
        worked_through = len(self._pieces) == len(self._segments)
        self._report_gaps(times_s, worked_through=worked_through)
        if registered.sum() <= WORTH_KEEPING * len(registered):
            raise self._lost(float(times_s[-1]))
        count = int(np.flatnonzero(registered)[-1]) + 1
        if times_s[-1] - times_s[count - 1] <= WORTH_REPORTING_S:
            count = len(times_s)
        else:
            self._report.warning(f"{self._how_lost(float(times_s[-1]))}: only the part before is used")
        return self._pieces, count

    def _report_gaps(self, times_s: Floats, *, worked_through: bool) -> None:
        steps = np.diff(times_s)
        usual_s = float(np.median(steps)) if len(steps) else 0.0
        wide = np.flatnonzero(steps > max(GAP_S, GAP_STEPS * usual_s)).tolist()
        gaps = [f"from {times_s[at]:.1f} to {times_s[at + 1]:.1f} s" for at in wide]
        damaged = self._damaged()
        if damaged:
            self._report.warning(
                f"{damaged} frames of the video were left out because they, or frames they depend on, are damaged"
            )
        if gaps:
            self._report.warning(f"the video has gaps {_listed(gaps)}: vehicles are not tracked across long gaps")
        if worked_through and times_s[-1] < self._length_s - WORTH_REPORTING_S:
            self._report.warning(
                f"the video should be {self._length_s:.1f} s long but ends at {times_s[-1]:.1f} s: the existing part "
                "is used; was the file copied completely?"
            )


def unregistered(times_s: Floats, registered: Flags) -> str:
    """Lists stretches without registered frames as text; omits short ones."""
    stretches = [(times_s[first], times_s[end - 1]) for first, end in runs(~registered)]
    return _listed([f"from {a:.1f} to {b:.1f} s" for a, b in stretches if b - a > WORTH_REPORTING_S])


def _listed(parts: list[str], most: int = 5) -> str:
    more = [f"and {len(parts) - most} more"] if len(parts) > most else []
    return ", ".join([*parts[:most], *more])
