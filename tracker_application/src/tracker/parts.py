"""The parts of one film, which drones write every few gigabytes, as one film with one clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from tracker.contract import StageFiles
from tracker.errors import NotAVideo
from tracker.footage import FootageFacts, open_footage
from tracker.telemetry import recorded

# Between two parts at most a few frames are missing.
GAP_S = 0.5
SAME_RATE = 0.01
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a film; its first frame is at `start_s` of the film."""

    path: Path
    facts: FootageFacts
    start_s: float

    @property
    def end_s(self) -> float:
        """The end of its last frame."""
        return self.start_s + self.facts.duration_s


@dataclass(frozen=True, slots=True)
class Film:
    """All parts in order, and what is doubtful about their order and completeness."""

    parts: tuple[Part, ...]
    doubts: tuple[str, ...] = ()

    @property
    def facts(self) -> FootageFacts:
        """Those of the first part, with the length of all."""
        facts = [part.facts for part in self.parts]
        return replace(
            facts[0], duration_s=self.parts[-1].end_s, frames=sum(each.frames for each in facts),
            size_bytes=sum(each.size_bytes for each in facts),
        )  # fmt: skip

    def at(self, time_s: float) -> Part:
        """The part that has this time, or the nearest one."""
        return next((part for part in self.parts if time_s < part.end_s), self.parts[-1])


def read_film(files: StageFiles) -> Film:
    """The footage of a project. Raises NotAVideo, also if its files are no parts of one film."""
    paths = files.videos()
    parts: list[Part] = []
    doubts = [_misses(*pair) for pair in pairwise(paths)]
    for path in paths:
        # Several threads would decode more than the first frame.
        with open_footage(path, threads=1) as footage:
            facts, tick_s = footage.facts, footage.tick_s
        if not parts:
            parts.append(Part(path, facts, 0.0))
            continue
        last = parts[-1]
        _check_alike(parts[0], path, facts)
        gap_s = _gap_s(last, path)
        if gap_s > GAP_S:
            doubts.append(f"{gap_s:.1f} s are missing between {last.path.name} and {path.name}")
        start_s = last.end_s + max(gap_s, 0.0)
        # On the clock of the frames, so that the proxy can have exactly this time.
        parts.append(Part(path, facts, round(start_s / tick_s) * tick_s))
    return Film(tuple(parts), tuple(doubt for doubt in doubts if doubt))


def _check_alike(first: Part, path: Path, facts: FootageFacts) -> None:
    own = first.facts
    size, own_size = (facts.width_px, facts.height_px), (own.width_px, own.height_px)
    same_rate = abs(facts.rate_fps / own.rate_fps - 1) <= SAME_RATE
    if (size, facts.codec) == (own_size, own.codec) and same_rate:
        return
    raise NotAVideo(
        f"{path.name} ({_described(facts)}) and {first.path.name} ({_described(own)}) are no parts of one film",
        remedy="Keep only the files of one recording",
    )


def _described(facts: FootageFacts) -> str:
    return f"{facts.codec} {facts.width_px}x{facts.height_px}, {facts.rate_fps:.2f} frames per second"


def _misses(path: Path, following: Path) -> str:
    """Names of parts are consecutive in one of their numbers."""
    numbers, others = (list(map(int, NUMBER.findall(each.stem))) for each in (path, following))
    steps = [after - before for before, after in zip(numbers, others, strict=False) if after != before]
    if not steps or 1 in steps:
        return ""
    return f"{path.name} and {following.name} are not numbered consecutively: is a part between them missing?"


def _gap_s(last: Part, path: Path) -> float:
    """What the drone's own clock says is missing before a part; 0 without it."""
    before, after = recorded(last.path), recorded(path)
    if before is None or after is None:
        return 0.0
    return (after[0] - before[0]).total_seconds() - last.facts.duration_s
