"""A copy of a video that every browser plays: H.264 with at most 720 lines, each frame at its time in the original."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from typing import BinaryIO, cast

import av

from winslow_dagster.footage.decoding.films import open_film, upright
from winslow_dagster.footage.decoding.refusal import Refusal

LINES = 720
TICKS_A_SECOND = 90_000
ENCODER: dict[str, object] = {"preset": "veryfast", "crf": "26"}
REPORT_EVERY = 25


def write_proxy(file: BinaryIO, target: int, report: Callable[[bytes], None]) -> None:
    """Write the copy to the open file `target`. `report` gets a line with the count of frames now and then.

    Raises Refusal.
    """
    with open_film(file) as film, os.fdopen(target, "wb", buffering=0) as output:
        rate = film.stream.average_rate or film.stream.guessed_rate or Fraction(25)
        tick_s = film.stream.time_base or Fraction(1, TICKS_A_SECOND)
        with av.open(cast("BinaryIO", output), "w", format="mp4") as copy:
            stream = copy.add_stream("libx264", rate=rate)
            stream.pix_fmt = "yuv420p"
            stream.options = ENCODER
            stream.codec_context.gop_size = max(1, round(rate))
            stream.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
            stream.codec_context.thread_count = 2
            first, last = 0, -1
            for number, frame in enumerate(film.frames()):
                if number == 0:
                    first = frame.pts or 0
                    stream.width, stream.height = _size(frame)
                at = (frame.pts - first) * tick_s if frame.pts is not None else number / rate
                last = max(last + 1, round(at * TICKS_A_SECOND))
                small = _reduced(frame, stream.width, stream.height)
                small.pts, small.time_base = last, Fraction(1, TICKS_A_SECOND)
                copy.mux(stream.encode(small))
                if number % REPORT_EVERY == 0:
                    report(b"%d\n" % (number + 1))
            if last < 0:
                raise Refusal("none of its frames can be decoded")
            copy.mux(stream.encode(None))


def _size(frame: av.VideoFrame) -> tuple[int, int]:
    """Even sides of the upright copy."""
    width, height = (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)
    scale = min(1.0, LINES / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _reduced(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    if frame.rotation:
        frame = av.VideoFrame.from_image(upright(frame, width))  # type: ignore[no-untyped-call]  # it has no types
    return frame.reformat(width, height, "yuv420p", interpolation="AREA")
