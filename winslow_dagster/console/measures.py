"""Results that a stage reported, as a person reads them: `mean_speed_km_h` is the mean speed, in km/h."""

from __future__ import annotations

from dataclasses import dataclass

from winslow_dagster.pipelines.units import parse_finite

UNITS = {
    "m_s2": "m/s²",
    "m_s": "m/s",
    "km_h": "km/h",
    "kmh": "km/h",
    "m_per_s": "m/s",
    "per_s": "1/s",
    "per_h": "1/h",
    "percent": "%",
    "deg": "°",
    "hz": "Hz",
    "fps": "frames/s",
    "px": "px",
    "mm": "mm",
    "cm": "cm",
    "km": "km",
    "m2": "m²",
    "m": "m",
    "ms": "ms",
    "min": "min",
    "s": "s",
    "h": "h",
    "kg": "kg",
    "bytes": "bytes",
}
"""The last words of a name -> the unit."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One result. `name` is as the stage wrote it; `unit` is empty if the name has none, or the value is no number."""

    name: str
    label: str
    value: str
    unit: str


def measure(name: str, value: str) -> Measure:
    """The result of that name."""
    lowered = name.lower()
    if parse_finite(value) is not None:
        for ending in sorted(UNITS, key=len, reverse=True):
            if lowered.endswith(f"_{ending}"):
                return Measure(name, _words(name[: -len(ending) - 1]), value, UNITS[ending])
    return Measure(name, _words(name), value, "")


def _words(name: str) -> str:
    return name.replace("_", " ").strip() or name
