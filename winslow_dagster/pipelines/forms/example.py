"""Makes up a valid answer to a form, as an example of how one is written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from winslow_dagster.pipelines.forms.answer import Size
from winslow_dagster.pipelines.forms.judgement import LENGTH_SUFFIX
from winslow_dagster.pipelines.model.form import (
    BooleanField,
    ChoiceField,
    ConfirmField,
    Form,
    FormField,
    ImageField,
    LinesField,
    NumberField,
    PointsField,
    TextField,
)

UNKNOWN_SIZE = (1000, 1000)
METRES_PER_PIXEL = 0.05
DEGREES_PER_METRE = 1e-5
ORIGIN = (9.99, 48.4)


def example_answer(form: Form, image_sizes: Mapping[str, Size]) -> dict[str, Any]:
    """A valid answer by field. Left out are files, and texts of which only a pattern is known."""
    return dict(_values(form, image_sizes))


def _values(form: Form, image_sizes: Mapping[str, Size]) -> Iterator[tuple[str, Any]]:
    for field in form.form:
        if isinstance(field, ImageField):
            frame = {"frame": 0} if field.video else {}
            yield field.name, [frame | mark for mark in _marks(field, image_sizes.get(field.name, UNKNOWN_SIZE))]
        elif (length := _length(form, field, image_sizes)) is not None:
            yield field.name, length
        elif (value := _value(field)) is not None:
            yield field.name, value


def _length(form: Form, field: FormField, image_sizes: Mapping[str, Size]) -> float | None:
    """The length in metres of the example line that the number belongs to; None if it belongs to none."""
    lines = (one for one in form.form if isinstance(one, LinesField) and f"{one.name}{LENGTH_SUFFIX}" == field.name)
    line = next(lines, None)
    if line is None or not isinstance(field, NumberField):
        return None
    first, second, *_ = _corners(line, image_sizes.get(line.name, UNKNOWN_SIZE), line.min_points)
    pixels = math.dist((first["x"], first["y"]), (second["x"], second["y"]))
    metres = round(pixels * METRES_PER_PIXEL)
    fits = field.step is None and (field.min or 0) <= metres <= (math.inf if field.max is None else field.max)
    return metres if fits and field.default is None else None


def _value(field: FormField) -> Any:
    """None if there is no example."""
    value: Any = getattr(field, "default", None)
    if value is not None:
        return value
    match field:
        case ConfirmField():
            value = {"accepted": True}
        case TextField(pattern=None):
            value = "example"[: field.max_length]
        case NumberField():
            value = _number(field)
        case ChoiceField():
            value = field.options[0].value
        case BooleanField():
            value = True
    return value


def _number(field: NumberField) -> float:
    if field.min is not None:
        lowest = math.ceil(field.min) if field.integer else field.min
        return int(lowest) if float(lowest).is_integer() else lowest
    if field.max is not None and field.max < (field.step or 1):
        # Steps are counted from 0.
        step = field.step or 1
        lower = math.floor(field.max / step) * step
        return int(lower) if float(lower).is_integer() else lower
    step = field.step or 1
    return int(step) if float(step).is_integer() else step


def _marks(field: ImageField, size: Size) -> list[dict[str, Any]]:
    label = {"label": field.labels[0]} if field.labels else {}
    count = max(field.min_count, 1)
    if isinstance(field, PointsField):
        labels = [{"label": each} for each in field.labels] or [{}]
        return [labels[number % len(labels)] | corner for number, corner in enumerate(_corners(field, size, count))]
    shape = label | {"points": list(_corners(field, size, field.min_points))}
    return [shape] * count


def _corners(field: ImageField, size: Size, count: int) -> Iterator[dict[str, Any]]:
    """Points on an ellipse in the middle of the picture."""
    width, height = size
    for number in range(count):
        turn = 2 * math.pi * number / max(count, 2) + math.pi / 4
        x, y = (width / 2 + width / 3 * math.cos(turn), height / 2 + height / 3 * math.sin(turn))
        corner: dict[str, Any] = {"x": round(x, 1), "y": round(y, 1)}
        metres = (x * METRES_PER_PIXEL, -y * METRES_PER_PIXEL)
        if field.world == "wgs84":
            places = zip(ORIGIN, metres, strict=True)
            corner["world"] = [round(origin + DEGREES_PER_METRE * metre, 7) for origin, metre in places]
        elif field.world != "none":
            corner["world"] = [round(metre, 2) for metre in metres]
        yield corner
