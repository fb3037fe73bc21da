"""Writes H.264 that any player can open and seek in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from tracker.arrays import Picture

TICKS_A_SECOND = 90_000


class VideoWriter:
    """A context manager for writing a video. Sides must be even; there is a key frame every second."""

    def __init__(self, path: Path, width_px: int, height_px: int, rate_fps: float, *, quality_crf: int = 23) -> None:
        self.container = av.open(str(path), "w", options={"movflags": "+faststart"})
        rate = Fraction(rate_fps).limit_denominator(1001)
        stream = self.container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(quality_crf)}
        stream.codec_context.gop_size = max(1, round(rate_fps))
        stream.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
        self.stream = stream

    def write(self, picture: Picture, time_s: float) -> None:
        """Add one image (height x width x 3, BGR); times must increase."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
        frame.pts = round(time_s * TICKS_A_SECOND)
        frame.time_base = Fraction(1, TICKS_A_SECOND)
        self.container.mux(self.stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file; after an error, close it as it is."""
        if kind is None:
            self.container.mux(self.stream.encode(None))
        self.container.close()
