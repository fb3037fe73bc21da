"""Stage parameters: declared once in a frozen dataclass, read from options and environment variables.

A field `min_track_seconds` is the variable MIN_TRACK_SECONDS and the option --min-track-seconds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from tracker.errors import ParameterInvalid

Parameters = TypeVar("Parameters")


def parameter(
    default: float | str | None, about: str, *, minimum: float | None = None, maximum: float | None = None
) -> Any:
    """A field of a parameters class. Its type is that of the default; None is an optional number."""
    return dataclasses.field(default=default, metadata={"about": about, "minimum": minimum, "maximum": maximum})


def read_parameters(
    kind: type[Parameters], environ: Mapping[str, str], options: Mapping[str, str | None]
) -> Parameters:
    """The given parameters, with defaults for the rest; an empty string counts as not given.

    Raises ParameterInvalid with the variable, its value and what was expected.
    """
    values: dict[str, Any] = {}
    for item in dataclasses.fields(kind):  # type: ignore[arg-type]  # every stage passes a dataclass
        text = options.get(item.name) or environ.get(item.name.upper())
        if text:
            values[item.name] = _value(item, text)
    return kind(**values)


def _value(item: dataclasses.Field[Any], text: str) -> Any:
    if isinstance(item.default, str):
        return text
    whole = isinstance(item.default, int) or "int" in str(item.type)
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    minimum, maximum = item.metadata["minimum"], item.metadata["maximum"]
    too_low = minimum is not None and number < minimum
    too_high = maximum is not None and number > maximum
    if not math.isfinite(number) or too_low or too_high:
        limits = [f"at least {minimum}"] if minimum is not None else []
        limits += [f"at most {maximum}"] if maximum is not None else []
        expected = " ".join(["a whole number" if whole else "a number", *([" and ".join(limits)] if limits else [])])
        raise ParameterInvalid(
            f"{item.name.upper()} is {text!r}", remedy=f"Expected {expected}: {item.metadata['about']}"
        )
    return number
