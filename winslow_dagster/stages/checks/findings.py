"""The finding of one check of one file or value."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """`fault` is a sentence, empty if the check passed; then `message` says what was found."""

    fault: str = ""
    message: str = ""
    file: str = ""
    observed: dict[str, str | float] = field(default_factory=dict)


def out_of_bounds(value: float, least: float | None, most: float | None) -> str:
    """Such as `below 3`; empty for a value between the two."""
    if least is not None and value < least:
        return f"below {least:g}"
    if most is not None and value > most:
        return f"above {most:g}"
    return ""
