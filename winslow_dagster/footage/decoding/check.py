"""Whether a video can be read to its end: all of it is read, and frames all over it are decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import av

from winslow_dagster.footage.decoding.films import MP4, Index, frames_at, open_film
from winslow_dagster.footage.decoding.refusal import Refusal

REPORT_EVERY = 500
MOST_BAD = 100


def check_film(file: BinaryIO, descriptor: int, numbers: list[int], report: Callable[[bytes], None]) -> dict[str, Any]:
    """How many frames are whole and how many there should be, where it ends and should, and what fails to decode.

    `report` gets a line with the count of frames now and then.
    """
    read, cut = 0, 0
    last: int | None = None
    with open_film(file) as film:
        # What an edited MP4 does not show is counted in its head all the same.
        declared = 0 if film.container.format.name == MP4 else film.stream.frames
        lasts_s = (film.container.duration or 0) / av.time_base
        tick_s = float(film.stream.time_base or 0)
        begins_s = (film.container.start_time or 0) / av.time_base
        try:
            for packet in film.container.demux(film.stream):
                if packet.size == 0:
                    continue  # the end
                read += 1
                cut += packet.is_corrupt
                at = packet.pts if packet.pts is not None else packet.dts
                if at is not None and not packet.is_corrupt:
                    last = at if last is None else max(last, at)
                if read % REPORT_EVERY == 0:
                    report(b"%d\n" % read)
        except av.error.FFmpegError:
            pass  # it says so by the number of frames, too
    index, left, bad = Index(descriptor), sorted(set(numbers)), []
    while left:
        done = -1
        try:
            for number, _frame in frames_at(file, index, left):
                done = number
            break
        except Refusal:
            left = [each for each in left if each > done]
            bad.append(left.pop(0))
    return {
        "frames_whole": read - cut,
        "frames_declared": max(read, declared),
        "ends_s": 0.0 if last is None else last * tick_s - begins_s,
        "lasts_s": lasts_s,
        "undecodable": bad[:MOST_BAD],
    }
