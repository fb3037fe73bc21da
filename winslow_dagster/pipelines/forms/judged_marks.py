"""What is said about marked points, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from winslow_dagster.pipelines.forms.plane_fit import Place

DoubtKind = Literal[
    "mirrored",
    "swapped",
    "misplaced",
    "misfit",
    "collinear",
    "too_close",
    "same_place",
    "small_part",
    "utm",
    "mixed",
    "degrees_as_metres",
    "metres_as_degrees",
    "scale",
]
Level = Literal["wrong", "note"]
Model = Literal["similarity", "homography"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked point. `world` is None if it is unknown."""

    label: str
    x: float
    y: float
    world: Place | None = None

    @property
    def pixel(self) -> Place:
        """Where it is in the picture."""
        return self.x, self.y


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something implausible. `points` are the indexes of the marks it is about; none: it is about all."""

    kind: DoubtKind
    text: str
    points: tuple[int, ...] = ()
    level: Level = "wrong"


@dataclass(frozen=True, slots=True)
class Residual:
    """How far the mark is from where the map fitted to all puts it, and the one fitted to all others."""

    point: int
    px: float
    m: float | None = None
    left_out_px: float | None = None
    left_out_m: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`model`: what was fitted; None if the points determine nothing. Residuals only of points with coordinates."""

    model: Model | None = None
    metres_per_pixel: float | None = None
    rms_px: float | None = None
    residuals: tuple[Residual, ...] = ()
    doubts: tuple[Doubt, ...] = ()
