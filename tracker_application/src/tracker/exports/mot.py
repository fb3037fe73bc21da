"""The MOT challenge format: axis-aligned boxes in the pixels of each frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tracker.exports.recording import Recording


def write_mot(recording: Recording, output: Callable[[str], Path]) -> None:
    """Write `mot/tracks.txt` (frame, id, left, top, width, height, score, -1, -1, -1) and `mot/seqinfo.ini`.

    Frames and pixels count from 1. The score is 1 for a sighting and 0 between sightings. The boxes enclose the
    vehicle's outline on the ground.
    """
    tracks, steps = recording.tracks, recording.steps
    to_frame = np.linalg.inv(recording.to_reference) @ np.linalg.inv(recording.ground.to_world)
    corners = np.concatenate([recording.corners, np.ones((len(steps), 4, 1))], axis=2)
    seen = corners @ to_frame[steps].transpose(0, 2, 1)
    pixels = seen[:, :, :2] / seen[:, :, 2:]
    corner, size = pixels.min(axis=1) + 1, np.ptp(pixels, axis=1)
    order = np.lexsort([tracks["track_id"], steps])
    columns = (steps + 1, tracks["track_id"], *corner.T, *size.T, tracks["observed"])
    lines = [
        f"{frame},{number},{left:.2f},{top:.2f},{width:.2f},{height:.2f},{observed},-1,-1,-1\n"
        for frame, number, left, top, width, height, observed in zip(*(c[order].tolist() for c in columns), strict=True)
    ]
    output("mot/tracks.txt").write_text("".join(lines), encoding="utf-8")
    frame = recording.ground.frame
    output("mot/seqinfo.ini").write_text(
        f"[Sequence]\nname=recording\nframeRate={recording.rate_hz:g}\nseqLength={len(recording.times_s)}\n"
        f"imWidth={frame.width_px}\nimHeight={frame.height_px}\n",
        encoding="utf-8",
    )
