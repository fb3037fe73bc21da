"""Quick checks of the footage, from its index and a few frames, before hours are spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from tracker.ahead import ahead
from tracker.arrays import Flags, Picture
from tracker.contract import Report
from tracker.errors import FootageDamaged
from tracker.footage import Footage, FootageFacts
from tracker.geometry import transform
from tracker.registration import Registration

SLOWEST_FPS = 8.0
SHORTEST_S = 5.0
SHORTEST_USABLE_S = 2.0
SHORTEST_GAP_S = 0.5
# Mean luma; black is 16 in most footage.
DARKEST = 26.0
# If key frames are further apart, segments are long and retries expensive, and so is reading single frames.
RAREST_KEY_FRAMES_S = 30.0
UNEVEN = 0.2
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
PACKETS_LOOKED_AT = 300
# Packets come in decoding order: some of the last ones may be shown after packets not yet read.
LAST_PACKETS = 16
# A key frame this much earlier, also as a share of the film, shows the same.
KEY_FRAME_IS_NEAR_S, KEY_FRAME_IS_NEAR = 1.0, 0.1
SHARES_LOOKED_AT = (0.0, 0.2, 0.4, 0.6, 0.8, 0.98)
EIGHT_BITS = 8
LARGEST_DRIFT = 0.15
# Share of the checked frames in which a point must be consistent with the others.
STANDING = 0.5


@dataclass(eq=False)
class Checks:
    """Collects measurements (`found`) and warnings, which are also reported at once."""

    report: Report
    found: dict[str, float | str | bool | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Report and collect a warning."""
        self.report.warning(text)
        self.warnings.append(text)


def sharpness(luma: Picture) -> float:
    """Variance of the Laplacian."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def check_file(footage: Footage, checks: Checks) -> float:
    """Check frame rate, format and key frames. Returns how many seconds are intact.

    Raises FootageDamaged if less than two seconds are.
    """
    facts = footage.facts
    whole_s = min(footage.whole_until_s(), facts.duration_s)
    if whole_s < facts.duration_s:
        cut = f"{footage.path.name} is cut off after {whole_s:.1f} of {facts.duration_s:.1f} s"
        if whole_s < SHORTEST_USABLE_S:
            raise FootageDamaged(cut, remedy="Copy it from the camera again")
        checks.warn(f"{cut}: the intact part is used; copy the file from the camera again to get the rest")
    if footage.lost_at_start_s > SHORTEST_GAP_S:
        checks.warn(
            f"the first {footage.lost_at_start_s:.1f} s of {footage.path.name} cannot be decoded: times count from "
            "the first decodable frame, and reference points must belong to a frame after it"
        )
    if facts.rate_fps < SLOWEST_FPS:
        checks.warn(
            f"the frame rate is low ({facts.rate_fps:.1f} frames per second): fast vehicles may be lost between frames"
        )
    if facts.transfer in HDR_TRANSFERS:
        checks.warn(
            f"the footage is HDR ({HDR_TRANSFERS[facts.transfer]}): it is rounded to 8 bits without tone mapping; "
            "images look flat and pale, and vehicles may be harder to detect. Standard colours (Rec. 709) work better"
        )
    elif facts.bit_depth > EIGHT_BITS:
        checks.report.say(f"colours are rounded from {facts.bit_depth} to 8 bits")
    _check_storage(facts, checks)
    checks.found |= {"whole_until_s": whole_s, "hdr": HDR_TRANSFERS.get(facts.transfer)}
    _check_packets(footage, checks)
    return whole_s


def check_length(whole_s: float, checks: Checks) -> None:
    """Say if a film, in one file or several, is short."""
    if whole_s < SHORTEST_USABLE_S:
        checks.warn(
            f"the video is only {whole_s:.1f} s long: vehicles must be visible for at least a second; use a longer "
            "recording"
        )
    elif whole_s < SHORTEST_S:
        checks.warn(
            f"the video is only {whole_s:.1f} s long: vehicles stopped for half of that become part of the background"
        )


def _check_storage(facts: FootageFacts, checks: Checks) -> None:
    """Say how images are stored, if that is unusual."""
    if facts.interlaced:
        checks.warn(
            "the footage is interlaced: every other line is used, which halves the vertical resolution; progressive "
            "footage works better"
        )
    if facts.pixel_aspect != 1:
        checks.report.say(
            f"pixels are {facts.pixel_aspect:.4g} times as wide as high: images are resized to square ones"
        )
    if facts.turned_deg:
        checks.report.say(f"the video is rotated by {facts.turned_deg} degrees, as its metadata specify")


def _check_packets(footage: Footage, checks: Checks) -> None:
    """Check key frames, and the frame rate of the first frames or, with an index, of all frames."""
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
            f"the frame rate varies ({1 / steps.max():.1f} to {1 / max(steps.min(), 1e-6):.1f} frames per second): "
            "each frame keeps its own time"
        )
    if key_frames_s > RAREST_KEY_FRAMES_S:
        checks.warn(
            f"key frames are up to {key_frames_s:.0f} s apart: less work can run in parallel, and interrupted work "
            "restarts further back"
        )


def look_over(footage: Footage, whole_s: float, registration: Registration, checks: Checks) -> Flags:
    """Check a few frames across the film: brightness, sharpness, camera motion.

    Returns the number of frames in which each point was consistent with the others, or 0 if that was not most of them,
    as on vehicles.
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
    if last_s < _looked_at_s(footage, whole_s, checks)[-1] - SHORTEST_USABLE_S:
        checks.warn(
            f"the last part of {footage.path.name} cannot be decoded, from somewhere after {last_s:.1f} s on: "
            "the rest is used; was the file copied completely?"
        )
    if dark:
        checks.warn(f"the frames at {_listed(dark)} are nearly black")
    if lost:
        checks.warn(
            f"the frames at {_listed(lost)} do not match the reference frame: is there a cut, "
            "or did the camera move away?"
        )
    if max(drifts) > LARGEST_DRIFT * width:
        checks.warn(
            f"the camera moves by up to {max(drifts):.0f} pixels: only the area that stays in view can be searched"
        )
    # The first entry of drifts belongs to no frame. Some points leave the image; those on vehicles never fit.
    return np.where(registration.usable & (fits >= STANDING * (len(drifts) - 1)), np.maximum(fits, 1), 0)


def _looked_at_s(footage: Footage, whole_s: float, checks: Checks) -> list[float]:
    """Times across the film: those of key frames where they are close, which are decoded alone."""
    distance = checks.found["longest_key_frame_distance_s"]
    # With few key frames, reading a late frame means decoding all frames before it.
    seen_s = whole_s if isinstance(distance, float) and distance <= RAREST_KEY_FRAMES_S else min(whole_s, SHORTEST_S)
    times_s = [share * seen_s for share in SHARES_LOOKED_AT]
    near_s = min(KEY_FRAME_IS_NEAR_S, KEY_FRAME_IS_NEAR * seen_s)
    keys_s = [(ticks - footage.start_ticks) * footage.tick_s for ticks in footage.key_ticks()]
    return [max((key_s for key_s in keys_s if 0 <= time_s - key_s <= near_s), default=time_s) for time_s in times_s]


def _some(footage: Footage, whole_s: float, checks: Checks) -> Iterator[tuple[float, Picture]]:
    for frame in ahead(footage.frames_at(_looked_at_s(footage, whole_s, checks))):
        yield frame.time_s, frame.luma()


def _listed(times_s: list[float]) -> str:
    return ", ".join(f"{time_s:.1f}" for time_s in times_s) + " s"
