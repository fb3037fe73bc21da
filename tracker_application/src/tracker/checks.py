"""What can be told about footage before hours are spent on it, from its index and a few of its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from tracker.arrays import Flags, Picture
from tracker.contract import Report
from tracker.errors import FootageDamaged
from tracker.footage import Footage
from tracker.geometry import transform
from tracker.registration import Registration

SLOWEST_FPS = 8.0
SHORTEST_S = 5.0
SHORTEST_USABLE_S = 2.0
SHORTEST_GAP_S = 0.5
# Of the luma; black is 16 in most footage.
DARKEST = 26.0
# Key frames further apart make segments long, and a retry expensive; single frames are then expensive to see, too.
RAREST_KEY_FRAMES_S = 30.0
UNEVEN = 0.2
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
PACKETS_LOOKED_AT = 300
# Packets come in the order in which they are decoded: of so many at the end, some are shown after others still to come.
LAST_PACKETS = 16
SHARES_LOOKED_AT = (0.0, 0.2, 0.4, 0.6, 0.8, 0.98)
EIGHT_BITS = 8
LARGEST_DRIFT = 0.15
# Of the frames looked at, on which a point must be where the others say.
STANDING = 0.5


@dataclass(eq=False)
class Checks:
    """Collects what was measured (`found`) and what a person should know (`warnings`), told at once."""

    report: Report
    found: dict[str, float | str | bool | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Say it and keep it."""
        self.report.warning(text)
        self.warnings.append(text)


def sharpness(luma: Picture) -> float:
    """The variance of the Laplacian."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def check_file(footage: Footage, checks: Checks) -> float:
    """Length, pace, format, key frames: what the file tells. Gives up to when it is whole, in seconds.

    Raises FootageDamaged if less than two seconds are.
    """
    facts = footage.facts
    whole_s = min(footage.whole_until_s(), facts.duration_s)
    if whole_s < facts.duration_s:
        cut = f"{footage.path.name} is cut off after {whole_s:.1f} of {facts.duration_s:.1f} s"
        if whole_s < SHORTEST_USABLE_S:
            raise FootageDamaged(cut, remedy="Copy it from the camera again")
        checks.warn(f"{cut}: what is there is used; copy it from the camera again for the rest")
    if footage.lost_at_start_s > SHORTEST_GAP_S:
        checks.warn(
            f"the first {footage.lost_at_start_s:.1f} s of {footage.path.name} cannot be decoded: times count from "
            "there, and reference points must be of a frame after it"
        )
    if facts.rate_fps < SLOWEST_FPS:
        checks.warn(f"{facts.rate_fps:.1f} frames a second are few: fast vehicles may be lost between frames")
    if whole_s < SHORTEST_USABLE_S:
        checks.warn(
            f"{whole_s:.1f} s are hardly a film: vehicles are followed for a second at least; use a longer recording"
        )
    elif whole_s < SHORTEST_S:
        checks.warn(f"{whole_s:.1f} s are short: vehicles that stand for half of them become background")
    if facts.transfer in HDR_TRANSFERS:
        checks.warn(
            f"the footage is HDR ({HDR_TRANSFERS[facts.transfer]}): it is rounded to 8 bits and taken as it is; "
            "pictures look flat and pale, and vehicles may be harder to find. Standard colours (Rec. 709) suit better"
        )
    elif facts.bit_depth > EIGHT_BITS:
        checks.report.say(f"{facts.bit_depth} bits a colour are rounded to 8")
    if facts.turned_deg:
        checks.report.say(
            f"the file says that its picture is turned: it is used upright, {facts.turned_deg} degrees on"
        )
    checks.found |= {"whole_until_s": whole_s, "hdr": HDR_TRANSFERS.get(facts.transfer)}
    _check_packets(footage, checks)
    return whole_s


def _check_packets(footage: Footage, checks: Checks) -> None:
    """Key frames and the pace of the first frames, and of all where there is an index."""
    footage.seek(footage.start_ticks)
    shown: list[int] = []
    open_gop, key = False, -(2**62)
    for packet in footage.packets():
        if packet.pts is None or len(shown) >= PACKETS_LOOKED_AT:
            break
        open_gop |= packet.pts < key and bool(shown)
        key = packet.pts if packet.is_keyframe else key
        shown.append(packet.pts)
    entries = list(footage.stream.index_entries)
    known = sorted(shown)[: -LAST_PACKETS if len(shown) >= PACKETS_LOOKED_AT else None]
    steps = np.diff(known) * footage.tick_s
    uneven = bool(len(steps)) and float(np.abs(steps - np.median(steps)).max()) > UNEVEN * float(np.median(steps))
    keys = [entry.timestamp * footage.tick_s for entry in entries if entry.is_keyframe]
    key_frames_s = max((b - a for a, b in pairwise(keys)), default=footage.facts.duration_s)
    checks.found |= {"variable_frame_rate": uneven, "open_gop": open_gop, "longest_key_frame_distance_s": key_frames_s}
    if uneven:
        checks.warn(
            f"the frame rate varies ({1 / steps.max():.1f} to {1 / max(steps.min(), 1e-6):.1f} frames a second): "
            "each frame keeps its own time"
        )
    if key_frames_s > RAREST_KEY_FRAMES_S:
        checks.warn(
            f"key frames are up to {key_frames_s:.0f} s apart: less can be done side by side, and what is interrupted "
            "begins further back"
        )


def look_over(footage: Footage, whole_s: float, registration: Registration, checks: Checks) -> Flags:
    """Look at a few frames over the film: how dark, how sharp, how far the camera moved.

    Gives on how many frames each point was where all others say; 0 if not on most of them, as on vehicles.
    """
    fits = np.zeros(len(registration.usable), np.int64)
    width, height = registration.size
    corners = np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
    drifts, lost, dark, sharp = [0.0], [], [], []
    last_s = 0.0
    for time_s, luma in _some(footage, whole_s, checks):
        last_s = time_s
        sharp.append(sharpness(luma))
        if float(luma.mean()) < DARKEST:
            dark.append(time_s)
            continue
        guess = registration.search(luma)
        registered = None if guess is None else registration.follow(luma, guess)
        if registered is None:
            lost.append(time_s)
            continue
        fits += registered.inliers
        drifts.append(float(np.hypot(*(transform(registered.to_reference, corners) - corners).T).max()))
    checks.found |= {
        "drift_px": max(drifts), "least_sharpness": min(sharp, default=None), "dark_frames": len(dark),
        "frames_elsewhere": len(lost),
    }  # fmt: skip
    if last_s < _looked_at_s(whole_s, checks)[-1] - SHORTEST_USABLE_S:
        checks.warn(
            f"nothing can be decoded of the last part of {footage.path.name}, from somewhere after {last_s:.1f} s on: "
            "what is there is used; was it copied to its end?"
        )
    if dark:
        checks.warn(f"the frames at {_listed(dark)} are nearly black")
    if lost:
        checks.warn(
            f"the frames at {_listed(lost)} do not show what the reference frame shows: is there a cut, "
            "or did the camera move away?"
        )
    if max(drifts) > LARGEST_DRIFT * width:
        checks.warn(f"the camera moves by up to {max(drifts):.0f} pixels: only what stays in view can be searched")
    # The first of the drifts is that of no frame. Some points leave the picture; those on vehicles never fit.
    return np.where(registration.usable & (fits >= STANDING * (len(drifts) - 1)), np.maximum(fits, 1), 0)


def _looked_at_s(whole_s: float, checks: Checks) -> list[float]:
    distance = checks.found["longest_key_frame_distance_s"]
    # Where key frames are rare, to see a later frame means to decode all before it.
    seen_s = whole_s if isinstance(distance, float) and distance <= RAREST_KEY_FRAMES_S else min(whole_s, SHORTEST_S)
    return [share * seen_s for share in SHARES_LOOKED_AT]


def _some(footage: Footage, whole_s: float, checks: Checks) -> Iterator[tuple[float, Picture]]:
    for frame in footage.frames_at(_looked_at_s(whole_s, checks)):
        yield frame.time_s, frame.luma()


def _listed(times_s: list[float]) -> str:
    return ", ".join(f"{time_s:.1f}" for time_s in times_s) + " s"
