"""Segments of a film: stretches between key frames that can be decoded independently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tracker.footage import Footage, VideoFrame

LONGEST_S, SHORTEST_S = 10.0, 2.0
# Number of segments of a short film, so that several workers can share it.
FEWEST = 8
SEEK_BACK_S = 10.0


@dataclass(frozen=True, slots=True)
class Segment:
    """The frames with timestamps from `first_ticks` up to, not including, `end_ticks`; None: to the end.

    `part` counts the files of the film.
    """

    number: int
    first_ticks: int
    end_ticks: int | None
    part: int = 0


def plan(footage: Footage, until_s: float) -> tuple[Segment, ...]:
    """Segments of about ten seconds, fewer where key frames are rare; the last ends at `until_s`.

    Depends only on the film, not on the number of workers.
    """
    length_s = float(np.clip(min(footage.facts.duration_s, until_s) / FEWEST, SHORTEST_S, LONGEST_S))
    borders = [footage.start_ticks]
    for ticks in _key_frames(footage, length_s):
        if (ticks - borders[-1]) * footage.tick_s >= 0.99 * length_s and _time_s(footage, ticks) < until_s:
            borders.append(ticks)
    last = footage.start_ticks + int(until_s / footage.tick_s) if np.isfinite(until_s) else None
    ends = [*borders[1:], last]
    return tuple(Segment(number, *ticks) for number, ticks in enumerate(zip(borders, ends, strict=True)))


def _time_s(footage: Footage, ticks: int) -> float:
    return (ticks - footage.start_ticks) * footage.tick_s


def _key_frames(footage: Footage, length_s: float) -> Iterator[int]:
    """Timestamps at which key frames are shown; for MP4, about one per segment length, found through the index."""
    if "mp4" not in footage.container.format.name:
        footage.seek(footage.start_ticks)
        yield from sorted(packet.pts for packet in footage.packets() if packet.is_keyframe and packet.pts is not None)
        return
    last: int | None = None
    for entry in list(footage.stream.index_entries):
        if not entry.is_keyframe or (last is not None and (entry.timestamp - last) * footage.tick_s < length_s):
            continue
        last = entry.timestamp
        # The index has decoding times, not presentation times.
        footage.seek(entry.timestamp)
        for packet in footage.packets():
            if packet.dts is None or packet.dts >= entry.timestamp:
                if packet.is_keyframe and packet.pts is not None and not packet.is_discard:
                    yield packet.pts
                break


def frames_of(footage: Footage, segment: Segment) -> Iterator[VideoFrame]:
    """The exact frames of a segment. Frames shown before its key frame belong to the previous segment."""
    for frame in footage.frames(_landing(footage, segment.first_ticks)):
        ticks = frame.decoded.pts or 0
        if segment.end_ticks is not None and ticks >= segment.end_ticks:
            return
        if ticks >= segment.first_ticks:
            yield frame


def _landing(footage: Footage, ticks: int) -> int:
    """A timestamp from which a seek leads to this key frame or an earlier one."""
    target = ticks
    while target > footage.start_ticks:
        footage.seek(target)
        landed = next((packet for packet in footage.packets() if packet.is_keyframe), None)
        if landed is not None and landed.pts is not None and landed.pts <= ticks:
            return target
        target -= int(SEEK_BACK_S / footage.tick_s)
    return footage.start_ticks
