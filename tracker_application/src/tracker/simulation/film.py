"""Encodes rendered images as a drone does: H.264 at a bit rate that realistic noise requires."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

from tracker.arrays import Picture
from tracker.simulation.light import Grain
from tracker.video import TICKS_A_SECOND


class FilmWriter:
    """A context manager for writing images; a key frame every second, and no frame refers to a later one."""

    def __init__(
        self, path: Path, width_px: int, height_px: int, rate_fps: int, *, grain: Grain, bitrate_mbit_s: float | None
    ) -> None:
        self.container = av.open(str(path), "w", options={"movflags": "+faststart"})
        self.grain = grain
        stream = self.container.add_stream("libx264", rate=Fraction(rate_fps))
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        # One thread: the same seed gives the same bytes.
        stream.options = {"preset": "superfast", "threads": "1", "bf": "0"}
        if bitrate_mbit_s is None:
            stream.options |= {"crf": "20"}
        else:
            bits = round(bitrate_mbit_s * 1e6)
            stream.options |= {"b": str(bits), "maxrate": str(round(1.3 * bits)), "bufsize": str(bits), "qmin": "4"}
        stream.codec_context.gop_size = max(1, rate_fps)
        stream.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
        self.stream, self.height_px = stream, height_px

    def write(self, picture: Picture, time_s: float, brightness: float) -> None:
        """Add an image (height x width x 3, BGR) with light and noise; times must increase."""
        planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        luma = planes[: self.height_px]
        if brightness != 1:
            cv2.convertScaleAbs(luma, luma, alpha=brightness)
        self.grain.onto(luma)
        frame = av.VideoFrame.from_ndarray(planes.astype(np.uint8, copy=False), format="yuv420p")
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
