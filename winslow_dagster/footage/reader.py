"""Facts, exact frames and pictures of footage. What was made once is kept."""

from __future__ import annotations

import json
import os
import struct
import time
from array import array
from bisect import bisect_left, bisect_right
from math import inf
from pathlib import Path
from typing import Any

from winslow_dagster.errors import FootageUnreadable, NotFound, UsageError
from winslow_dagster.footage.cache import FootageCache
from winslow_dagster.footage.model import Footage, FootageCheck, Picture, Proxy, Strip
from winslow_dagster.footage.process import Limits, decode
from winslow_dagster.footage.proxies import Proxies
from winslow_dagster.footage.source import Source
from winslow_dagster.formatting import format_duration

READING = Limits(wall_s=300, cpu_s=120)
"""A film without a list of its frames is read to its end."""
FRAME = Limits(wall_s=60, cpu_s=60)
STILL = Limits(wall_s=30, cpu_s=30)
STRIP = Limits(wall_s=120, cpu_s=120)
CHECK = Limits(wall_s=4 * 3600, cpu_s=3600)
"""All of a file is read, perhaps from a store that is far away."""
CHECKED_FRAMES = 24
ENDS_EARLY_S = 1.0
"""By so much, sound may be longer than the picture."""
CACHE_BYTES = 2 << 30
REFUSED_FOR_S = 3600.0
"""What took too long may be quicker on another day."""
VERSION = "1"
"""Of what is kept: with another one everything is made again."""
WIDEST = 16_384
MOST_IN_A_STRIP = 24
WIDEST_IN_A_STRIP = 480
INDEX_HEAD = struct.Struct("<QQ")


class FootageReader:
    """Reads footage for one installation. `directory` is a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._cache = FootageCache(directory / VERSION, CACHE_BYTES)
        self._proxies = Proxies(directory / f"proxies-{VERSION}")

    def footage(self, source: Source) -> Footage:
        """What is known about a video or a picture. The first look at a video may take a while.

        Raises FootageUnreadable, StoreError.
        """
        return Footage.model_validate({name: value for name, value in self._facts(source).items() if name != "tick_s"})

    def frame(self, source: Source, index: int, width: int | None = None) -> Picture:
        """The frame with exactly this index, counted from 0, at full size or downscaled to a width.

        A picture has the frame 0. Raises NotFound, FootageUnreadable, StoreError, UsageError for an impossible width.
        """
        facts = self._facts(source)
        if not 0 <= index < facts["frame_count"]:
            raise NotFound(f"there is no frame {index}", where=source.name, expected=f"0 to {facts['frame_count'] - 1}")
        if facts["kind"] == "picture":
            return self.picture(source, width)
        width = _width(width, facts)
        head, content = self._made(source, _name(index, width)) or self._decoded(source, index, width)
        return Picture(head["media_type"], content, head["width"], head["height"], index, self.time_of(source, index))

    def picture(self, source: Source, width: int | None = None) -> Picture:
        """A still picture, or the middle frame of a video. Raises FootageUnreadable, StoreError, UsageError."""
        facts = self._facts(source)
        if facts["kind"] == "video":
            return self.frame(source, facts["frame_count"] // 2, width)
        width = _width(width, facts)
        name = f"still-{width or 'full'}"
        found = self._made(source, name)
        if found is None:
            found = decode(source, "still", STILL, width=width)
            self._keep(source, name, *found)
        head, content = found
        return Picture(head["media_type"], content, head["width"], head["height"], 0, 0.0)

    def strip(self, source: Source, first: int, last: int, count: int, width: int) -> Strip:
        """Frames from `first` to `last`, evenly spread, each this wide. Key frames close by are taken instead.

        Raises FootageUnreadable, StoreError, UsageError.
        """
        facts = self._facts(source)
        if not (1 <= count <= MOST_IN_A_STRIP and 16 <= width <= WIDEST_IN_A_STRIP):  # noqa: PLR2004  # narrowest
            raise UsageError(
                f"a strip of {count} frames with a width of {width}",
                expected=f"1 to {MOST_IN_A_STRIP} frames with a width from 16 to {WIDEST_IN_A_STRIP}",
            )
        numbers = spread(facts["frame_count"], facts["key_frames"], first, last, count)
        if facts["kind"] == "picture":
            still = self.picture(source, width)
            return Strip(still.content, still.width, still.height, (0,), (0.0,))
        name = f"strip-{first}-{last}-{count}-{width}"
        found = self._made(source, name)
        if found is None:
            with self._index(source).open("rb") as opened:
                head, content = decode(source, "strip", STRIP, index=opened, numbers=list(numbers), width=width)
            found = head | {"indices": list(numbers)}, content
            self._keep(source, name, *found)
        head, content = found
        indices = tuple(head["indices"])
        times = tuple(self.time_of(source, each) for each in indices)
        return Strip(content, head["width"], head["height"], indices, times)

    def check(self, source: Source) -> FootageCheck:
        """Read a video to its end, and decode frames all over it. May take as long as reading the file does.

        Raises FootageUnreadable if it cannot be read at all, StoreError.
        """
        facts, footage = self._facts(source), self.footage(source)
        if footage.kind == "picture":
            self.picture(source)
            return FootageCheck(footage=footage)
        last = footage.frame_count - 1
        numbers = [*spread(footage.frame_count, facts["key_frames"], 0, last, CHECKED_FRAMES), last]
        with self._index(source).open("rb") as opened:
            found, _ = decode(source, "check", CHECK, lambda _: None, index=opened, numbers=numbers)
        return FootageCheck(footage=footage, problem=self._problem(source, footage, found))

    def _problem(self, source: Source, footage: Footage, found: dict[str, Any]) -> str:
        ends_s, lasts_s = float(found["ends_s"]), float(found["lasts_s"])
        if lasts_s - ends_s > ENDS_EARLY_S + 1 / (footage.rate or 1):
            return (
                f"Only the first {format_duration(ends_s)} of its {format_duration(lasts_s)} are there: "
                "the rest of the file is missing"
            )
        missing = int(found["frames_declared"]) - int(found["frames_whole"])
        if missing > 0:
            return f"It is damaged: {missing} of {found['frames_declared']} frames are missing or cut off"
        if found["undecodable"]:
            times = ", ".join(format_duration(self.time_of(source, int(each))) for each in found["undecodable"][:3])
            return f"It is damaged: frames cannot be decoded at {times}"
        return ""

    def proxy(self, source: Source, *, start: bool = False) -> Proxy:
        """Whether there is a copy that every browser plays. With `start`, it is made in the background if needed.

        Raises FootageUnreadable, StoreError.
        """
        facts = self._facts(source)
        if facts["kind"] != "video":
            raise UsageError("a picture is not played", where=source.name, expected="a video")
        if start:
            self._proxies.start(source)
        return self._proxies.state(source, facts["frame_count"])

    def proxy_path(self, source: Source) -> Path:
        """The copy. Raises NotFound if it is not ready."""
        path = self._proxies.path(source)
        if path is None:
            raise NotFound("there is no copy for browsers yet", where=source.name)
        return path

    def index_at(self, source: Source, time_s: float) -> int:
        """The frame that is shown at this time, counted from the first frame."""
        facts = self._facts(source)
        if facts["kind"] == "picture":
            return 0
        times = self._times(source)
        # A player gives times in microseconds, which may be a little before the frame's.
        at = times[0] + round(max(0.0, time_s) / facts["tick_s"] + 1e-3)
        return max(0, bisect_right(times, at) - 1)

    def time_of(self, source: Source, index: int) -> float:
        """When the frame is shown, in seconds after the first frame."""
        times = self._times(source)
        seconds: float = (times[index] - times[0]) * self._facts(source)["tick_s"]
        return round(seconds, 6)

    def _times(self, source: Source) -> array[int]:
        content = self._index(source).read_bytes()
        count, _ = INDEX_HEAD.unpack_from(content)
        return array("q", content[INDEX_HEAD.size : INDEX_HEAD.size + 8 * count])

    def _index(self, source: Source) -> Path:
        """The file with the index of a video."""
        return self._cache.path(source.blake3, "index")

    def _facts(self, source: Source) -> dict[str, Any]:
        facts = self._known(source)
        if facts is None:
            with self._cache.alone(source.blake3, "facts"):
                facts = self._known(source) or self._read(source)
        if "refused" in facts:
            raise FootageUnreadable(facts["refused"], where=source.name, expected=facts["expected"])
        return facts

    def _known(self, source: Source) -> dict[str, Any] | None:
        content = self._cache.read(source.blake3, "facts")
        facts: dict[str, Any] | None = None if content is None else json.loads(content)
        if facts is None or facts.get("until", inf) < time.time():
            return None
        if facts.get("kind") != "video":
            return facts
        try:
            # Used as well: what was not used for longest is deleted first.
            os.utime(self._index(source))
        except FileNotFoundError:
            return None
        return facts

    def _read(self, source: Source) -> dict[str, Any]:
        """Look at the file, and keep what it is, or why it is nothing that can be decoded."""
        try:
            facts, index = decode(source, "read", READING)
            _check(source, facts, index)
            if facts["kind"] == "video":
                self._cache.write(source.blake3, "index", index)
        except FootageUnreadable as error:
            facts = {"refused": error.what, "expected": error.expected, "until": time.time() + REFUSED_FOR_S}
        self._cache.write(source.blake3, "facts", json.dumps(facts).encode())
        return facts

    def _decoded(self, source: Source, index: int, width: int | None) -> tuple[dict[str, Any], bytes]:
        """Decode a frame, and keep those beside it, too."""
        with self._index(source).open("rb") as opened:
            head, content = decode(source, "frame", FRAME, index=opened, number=index, width=width)
        common = {name: head[name] for name in ("media_type", "width", "height")}
        at = 0
        for number, length in [(index, head["bytes"]), *head["beside"]]:
            self._keep(source, _name(number, width), common, content[at : at + length])
            at += length
        return common, content[: head["bytes"]]

    def _made(self, source: Source, name: str) -> tuple[dict[str, Any], bytes] | None:
        content = self._cache.read(source.blake3, name)
        if content is None:
            return None
        head, _, rest = content.partition(b"\n")
        return json.loads(head), rest

    def _keep(self, source: Source, name: str, head: dict[str, Any], content: bytes) -> None:
        self._cache.write(source.blake3, name, json.dumps(head).encode() + b"\n" + content)


def _name(index: int, width: int | None) -> str:
    return f"frame-{int(index)}-{width or 'full'}"


def _check(source: Source, facts: dict[str, Any], index: bytes) -> None:
    """Raise FootageUnreadable if this is no answer that a decoder gives."""
    try:
        footage = Footage.model_validate({name: value for name, value in facts.items() if name != "tick_s"})
        count, keys = INDEX_HEAD.unpack_from(index) if footage.kind == "video" else (1, 0)
    except (ValueError, struct.error) as error:
        raise FootageUnreadable("its decoder crashed: it is damaged", where=source.name) from error
    fits = footage.kind == "picture" or len(index) == INDEX_HEAD.size + 8 * (count + 2 * keys)
    if not fits or count != footage.frame_count or not count:
        raise FootageUnreadable("its decoder crashed: it is damaged", where=source.name)


def spread(frame_count: int, keys: list[int], first: int, last: int, count: int) -> tuple[int, ...]:
    """Increasing indices from `first` to `last`, moved to a key frame where one is less than half a step away."""
    last = max(0, min(last, frame_count - 1))
    first = max(0, min(first, last))
    count = min(count, last - first + 1)
    step = (last - first) / max(1, count - 1)
    chosen = []
    for number in range(count):
        exact = first + round(number * step)
        near = [keys[at] for at in (bisect_left(keys, exact) - 1, bisect_left(keys, exact)) if 0 <= at < len(keys)]
        key = min(near, key=lambda each: abs(each - exact), default=exact)
        inside = 0 < number < count - 1 and abs(key - exact) < step / 2
        chosen.append(key if inside else exact)
    return tuple(sorted(set(chosen)))


def _width(width: int | None, facts: dict[str, Any]) -> int | None:
    """The width to downscale to; None for full size."""
    if width is None:
        return None
    if not 1 <= width <= WIDEST:
        raise UsageError(f"a width of {width} pixels", expected=f"1 to {WIDEST}")
    return None if width >= facts["width"] else width
