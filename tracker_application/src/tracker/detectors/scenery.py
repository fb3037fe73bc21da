"""The scenery that vehicles are detected against: background, road and shadow darkness. Made once from samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.ahead import ahead
from tracker.arrays import Floats, Picture
from tracker.background import Background, make_background
from tracker.contract import Report
from tracker.detectors.motion import learned_shadows
from tracker.detectors.options import Parameters
from tracker.detectors.views import Views, gain_between, levelled
from tracker.foreground import Shadows
from tracker.proxy import Proxy

# Key frames are decoded alone; with fewer, the road between vehicles may not be visible.
FEWEST_SAMPLES = 15
# Frames closer than this show nearly the same vehicles.
APART_S = 0.5
SHADOW_SAMPLES = 9


@dataclass(frozen=True, eq=False)
class Scenery:
    """`road` is 255 where vehicles may be; `in_view` is the share of it that is in view on average."""

    background: Background
    road: Picture
    shadows: Shadows | None
    in_view: float

    def write(self, path: Path) -> None:
        """Write to a file (npz) atomically."""
        draft = path.with_suffix(".part.npz")
        shadows = [] if self.shadows is None else [self.shadows.core, self.shadows.edge_px]
        np.savez(
            draft, picture=self.background.picture, threshold=self.background.threshold, road=self.road,
            shadows=np.array(shadows, np.int64), in_view=self.in_view,
        )  # fmt: skip
        draft.rename(path)

    @classmethod
    def read(cls, path: Path) -> Scenery:
        """Read what `write` wrote."""
        with np.load(path) as data:
            background = Background(data["picture"], data["threshold"])
            shadows = Shadows(*data["shadows"].tolist()) if len(data["shadows"]) else None
            return cls(background, data["road"], shadows, float(data["in_view"]))


def make_scenery(views: Views, rows: Sequence[int], road_px: Floats, parameters: Parameters, report: Report) -> Scenery:
    """Make it from some of these frames across the film. `road_px` are the corners of the road."""
    road = views.mask(road_px)
    samples, in_view = _samples(views, rows, parameters, report)
    background = make_background(samples, parameters.detection_threshold)
    step = max(1, len(samples) // SHADOW_SAMPLES)
    shadows = learned_shadows(samples[::step], background, views.pixel_m)
    return Scenery(background, road, shadows, float(in_view[road > 0].mean()) / len(samples))


def sample_rows(proxy: Proxy) -> list[int]:
    """Candidate frames for the background: registered ones that take little decoding, if there are enough.

    Key frames are decoded alone, those that others refer to without the rest.
    """
    for rows in (proxy.key_rows, proxy.referred_rows):
        usable = [row for row in rows if proxy.registered[row]]
        if len(usable) >= FEWEST_SAMPLES:
            return usable
    return np.flatnonzero(proxy.registered).tolist()


def _samples(views: Views, rows: Sequence[int], parameters: Parameters, report: Report) -> tuple[list[Picture], Floats]:
    """Frames for the background with the brightness of the first, and the number of frames that show each pixel."""
    apart = max(FEWEST_SAMPLES, round(np.ptp(views.times_s[rows]) / APART_S) + 1)
    count = min(parameters.background_samples, len(rows), apart)
    chosen = sorted({rows[at] for at in np.linspace(0, len(rows) - 1, count).round().astype(int).tolist()})
    pictures: list[Picture] = []
    first: Picture | None = None
    in_view = np.zeros((views.height_px // views.reduction, views.width_px // views.reduction))
    for view in ahead(views.at(chosen)):
        coarse = view.coarse()
        first = coarse if first is None else first
        pictures.append(levelled(view.whole(), gain_between(coarse, first)))
        in_view += view.seen() > 0
        report.progress("background", len(pictures), len(chosen))
    return pictures, cv2.resize(in_view, (views.width_px, views.height_px), interpolation=cv2.INTER_NEAREST)
