"""Validates single values of an answer. Each function returns the value to store, or raises Refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from winslow_dagster.pipelines.model.form import ChoiceField, NumberField, TextField
from winslow_dagster.pipelines.problems import nearest, shown, texts
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.validation_messages import findings
from winslow_dagster.pipelines.substitution import IMPASSABLE

LARGEST_WHOLE = 2**53
"""Larger integers are not exact in all programs."""
UNUSABLE = "contains a character that cannot be passed to a program"


class Refused(Exception):
    """A value is invalid. `sentences` continue after the name of its field."""

    def __init__(self, *sentences: str) -> None:
        self.sentences = sentences
        super().__init__(*sentences)


def text_value(field: TextField, value: Any) -> str:
    """A text of valid length and form, which can be the value of an environment variable."""
    if not isinstance(value, str):
        raise Refused(f"is {shown(value)}; expected a string")
    if not value and field.required:
        raise Refused("is empty; expected a non-empty string")
    if len(value) > field.max_length:
        raise Refused(f"has {len(value)} characters; expected at most {field.max_length}")
    if IMPASSABLE.search(value):
        raise Refused(UNUSABLE)
    if field.pattern is not None and value:
        from winslow_dagster.pipelines.patterns import compile_pattern

        if compile_pattern(field.pattern, capture=False).fullmatch(value) is None:
            raise Refused(f"is {shown(value)}; expected a match of {field.pattern}")
    return value


def number_value(field: NumberField, value: Any) -> int | float:
    """A finite number within its bounds and on its steps."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused(f"is {shown(value)}; expected a number")
    if abs(value) > LARGEST_WHOLE and (isinstance(value, int) or (field.integer and math.isfinite(value))):
        raise Refused(f"is too large; expected a number up to {LARGEST_WHOLE}")
    if not math.isfinite(value):
        raise Refused(f"is {value}; expected a finite number")
    if field.integer and value != int(value):
        raise Refused(f"is {value:g}; expected an integer")
    if field.min is not None and value < field.min:
        raise Refused(f"is {value:.12g}; expected at least {field.min:g}")
    if field.max is not None and value > field.max:
        raise Refused(f"is {value:.12g}; expected at most {field.max:g}")
    if field.step is not None and not _on_step(value, field.step, field.min or 0.0):
        raise Refused(f"is {value:.12g}; expected {field.min or 0:g} plus a multiple of {field.step:g}")
    return int(value) if field.integer else value


def _on_step(value: float, step: float, start: float) -> bool:
    """Whether the value is a multiple of `step` in decimal arithmetic, in which 0.1 is exact."""
    steps = (Decimal(str(value)) - Decimal(str(start))) / Decimal(str(step))
    return abs(steps - steps.to_integral_value()) < Decimal("1e-9")


def choice_value(field: ChoiceField, value: Any) -> str | int | float:
    """One of the options of the form."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        for option in field.options:
            if option.value == value:
                return option.value
    values = [str(option.value) for option in field.options]
    close = nearest(value, values) if isinstance(value, str) else ""
    listed = ", ".join(values[:20]) + (", …" if len(values) > 20 else "")  # noqa: PLR2004 # enough for a message
    raise Refused(f"is {shown(value)}; expected one of {listed}" + (f"; did you mean {close}?" if close else ""))


def boolean_value(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Refused(f"is {shown(value)}; expected true or false")
    return value


def document_value(answer: type[Document], value: Any) -> Any:
    """A composite value, validated as `answer`, without null fields."""
    if any(IMPASSABLE.search(text) for _, text in texts(value)):
        raise Refused(UNUSABLE)
    try:
        answer.model_validate({"value": value})
    except ValidationError as error:
        found = [str(one).removeprefix("value") for one in findings(error, answer)]
        raise Refused(*(one.lstrip(".: ") if one.startswith((":", ".")) else one for one in found)) from error
    return without_nulls(value)


def without_nulls(value: Any) -> Any:
    """The value without null fields, which programs write for fields that they do not set."""
    match value:
        case Mapping():
            return {key: without_nulls(item) for key, item in value.items() if item is not None}
        case list() | tuple():
            return [without_nulls(item) for item in value]
        case _:
            return value
