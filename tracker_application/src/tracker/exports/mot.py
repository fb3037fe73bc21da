"""The layout of the MOT challenge: boxes along the axes of each frame, in its pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tracker.exports.recording import Recording
from tracker.geometry import transform


def write_mot(recording: Recording, output: Callable[[str], Path]) -> None:
    """Write `mot/tracks.txt` (frame, id, left, top, width, height, score, -1, -1, -1) and `mot/seqinfo.ini`.

    Frames and pixels count from 1. The score is 1 where the vehicle was seen, 0 between two sightings. The boxes are
    around the vehicle's outline on the ground.
    """
    tracks, lines = recording.tracks, []
    to_reference_px = np.linalg.inv(recording.ground.to_world)
    for row in np.lexsort([tracks["track_id"], recording.steps]):
        step = recording.steps[row]
        pixels = transform(np.linalg.inv(recording.to_reference[step]) @ to_reference_px, recording.corners[row])
        left, top = pixels.min(axis=0)
        width, height = np.ptp(pixels, axis=0)
        lines.append(
            f"{step + 1},{tracks['track_id'][row]},{left + 1:.2f},{top + 1:.2f},{width:.2f},{height:.2f},"
            f"{tracks['observed'][row]},-1,-1,-1\n"
        )
    output("mot/tracks.txt").write_text("".join(lines), encoding="utf-8")
    frame = recording.ground.frame
    output("mot/seqinfo.ini").write_text(
        f"[Sequence]\nname=recording\nframeRate={recording.rate_hz:g}\nseqLength={len(recording.times_s)}\n"
        f"imWidth={frame.width_px}\nimHeight={frame.height_px}\n",
        encoding="utf-8",
    )
