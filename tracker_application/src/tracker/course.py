"""How far the film is worked through, and up to where it can be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracker.contract import Report
from tracker.errors import FootageDamaged, ReferenceLost
from tracker.footage import FootageFacts
from tracker.pieces import Job, Piece
from tracker.segments import Segment

# Where the reference frame is lost for good, the film up to there is kept if it is more than so much of the whole.
WORTH_KEEPING = 0.5


class Enough(Exception):
    """The reference frame is lost for good, and the good part is kept."""


class Course:
    """Looks at finished segments in the order of the film, so that what is lost is not worked through.

    What it decides does not depend on the order in which segments were finished.
    """

    def __init__(
        self, job: Job, segments: Sequence[Segment], facts: FootageFacts, max_lost_s: float, report: Report
    ) -> None:
        self._job, self._segments, self._facts = job, segments, facts
        self._max_lost_s, self._report = max_lost_s, report
        self._pieces: list[Piece] = []
        self._done: dict[int, int] = {}
        self._good_until_s = -np.inf
        self._kept_until_s = np.inf

    def tell(self, segment: Segment, frames: int | None) -> None:
        """So many frames of a segment are done, or all of them (None). Raises ReferenceLost, or Enough."""
        if frames is None:
            self.advance()
        else:
            self._done[segment.number] = frames

    def frames_done(self) -> tuple[int, int]:
        """So many frames are done, of so many."""
        done = sum(self._done.values())
        return done, max(self._facts.frames, done)

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
            elif time_s - max(self._good_until_s, 0.0) > self._max_lost_s:
                self._lost(time_s)

    def _lost(self, time_s: float) -> None:
        until_s = max(self._good_until_s, 0.0)
        lost = f"the reference points were lost at {until_s:.2f} s, and still are at {time_s:.2f} s"
        if until_s < WORTH_KEEPING * self._facts.duration_s:
            raise ReferenceLost(
                lost,
                remedy="Choose points that stay in view, or cut the video there; a camera that is fixed needs only a "
                "higher MAX_LOST_SECONDS",
            )
        self._report.warning(f"{lost}: the film is used up to there, and no further")
        self._kept_until_s = until_s
        raise Enough

    def good_part(self) -> tuple[list[Piece], int]:
        """The pieces, and how many of their frames are good. Raises ReferenceLost or FootageDamaged for none."""
        times_s = np.concatenate([piece.times_s for piece in self._pieces])
        registered = np.concatenate([piece.registered for piece in self._pieces])
        damaged = sum(piece.damaged_packets for piece in self._pieces)
        if not len(times_s):
            raise FootageDamaged("no frame of the film can be decoded", remedy="Copy it from the camera again")
        if damaged:
            self._report.warning(f"{damaged} packets of the film are damaged and left out")
        if not registered.any():
            raise ReferenceLost("no frame fits the reference frame", remedy="Choose points on another frame")
        count = int((times_s <= self._kept_until_s).sum())
        return self._pieces, count
