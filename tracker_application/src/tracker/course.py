"""How far the film is worked through, and up to where it can be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracker.arrays import Flags, Floats, runs
from tracker.contract import Report
from tracker.errors import FootageDamaged, ReferenceLost
from tracker.pieces import Job, Piece
from tracker.segments import Segment

# Where no more than this share of the film fits the reference frame, it is not worth to go on.
WORTH_KEEPING = 0.5
# What cannot be used for longer than this is told, and cut off at the end.
WORTH_TELLING_S = 1.0
# Frames that are further apart, also in steps of the usual length, have something missing between them.
GAP_S, GAP_STEPS = 0.5, 5


class Enough(Exception):
    """The reference frame is lost for good, and the good part is kept."""


class Course:
    """Looks at finished segments in the order of the film, so that what is lost is not worked through.

    What it decides does not depend on the order in which segments were finished. The film is `length_s` long, and the
    points are of its frame at `reference_s`.
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

    def tell(self, segment: Segment, frames: int | None) -> None:
        """So many frames of a segment are done, or all of them (None). Raises ReferenceLost, or Enough."""
        if frames is None:
            self.advance()
        else:
            self._done[segment.number] = frames

    def frames_done(self) -> tuple[int, int]:
        """So many frames are done, of so many."""
        done = sum(self._done.values())
        return done, max(self._frames, done)

    def advance(self) -> None:
        """Take in what is done up to the first segment that is not. Raises ReferenceLost, or Enough."""
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
            # Before the reference frame there may be black frames, or the way up to the place.
            elif time_s - max(self._good_until_s, self._reference_s) > self._max_lost_s:
                if self._good_until_s < WORTH_KEEPING * self._length_s:
                    raise self._lost(time_s)
                raise Enough

    def _lost(self, time_s: float) -> ReferenceLost:
        damaged = self._damaged()
        return ReferenceLost(
            self._how_lost(time_s),
            remedy=(f"{damaged} pictures up to there are damaged: copy the film again, or c" if damaged else "C")
            + "hoose points that stay in view, on another frame if need be (REFERENCE_TIME_S), or cut the video there; "
            "if the camera is fixed, say so (CAMERA=fixed)",
        )

    def _how_lost(self, time_s: float) -> str:
        if not np.isfinite(self._good_until_s):
            return f"no frame up to {time_s:.2f} s shows what the reference frame shows"
        return f"the reference points were lost at {self._good_until_s:.2f} s, and still are at {time_s:.2f} s"

    def _damaged(self) -> int:
        return sum(piece.damaged_pictures for piece in self._pieces)

    def good_part(self) -> tuple[list[Piece], int]:
        """The pieces, and how many of their frames are good. Raises ReferenceLost or FootageDamaged for none."""
        times_s = np.concatenate([piece.times_s for piece in self._pieces])
        registered = np.concatenate([piece.registered for piece in self._pieces])
        if not len(times_s):
            raise FootageDamaged("no frame of the film can be decoded", remedy="Copy it from the camera again")
        worked_through = len(self._pieces) == len(self._segments)
        self._tell_gaps(times_s, worked_through=worked_through)
        if registered.sum() <= WORTH_KEEPING * len(registered):
            raise self._lost(float(times_s[-1]))
        count = int(np.flatnonzero(registered)[-1]) + 1
        if times_s[-1] - times_s[count - 1] <= WORTH_TELLING_S:
            count = len(times_s)
        else:
            self._report.warning(f"{self._how_lost(float(times_s[-1]))}: the film is used up to there, and no further")
        return self._pieces, count

    def _tell_gaps(self, times_s: Floats, *, worked_through: bool) -> None:
        steps = np.diff(times_s)
        usual_s = float(np.median(steps)) if len(steps) else 0.0
        wide = np.flatnonzero(steps > max(GAP_S, GAP_STEPS * usual_s)).tolist()
        gaps = [f"from {times_s[at]:.1f} to {times_s[at + 1]:.1f} s" for at in wide]
        damaged = self._damaged()
        if damaged:
            self._report.warning(f"{damaged} pictures of the film are damaged or build on damaged ones, and left out")
        if gaps:
            self._report.warning(f"the film shows nothing {_listed(gaps)}: vehicles are not followed through long gaps")
        if worked_through and times_s[-1] < self._length_s - WORTH_TELLING_S:
            self._report.warning(
                f"the film is said to be {self._length_s:.1f} s long, and ends at {times_s[-1]:.1f} s: what is there "
                "is used; was it copied to its end?"
            )


def unregistered(times_s: Floats, registered: Flags) -> str:
    """The stretches in which no frame is registered, in words; short ones are left out."""
    stretches = [(times_s[first], times_s[end - 1]) for first, end in runs(~registered)]
    return _listed([f"from {a:.1f} to {b:.1f} s" for a, b in stretches if b - a > WORTH_TELLING_S])


def _listed(parts: list[str], most: int = 5) -> str:
    more = [f"and {len(parts) - most} times more"] if len(parts) > most else []
    return ", ".join([*parts[:most], *more])
