"""Judges an answer before it is sent: what is invalid, and what is valid but implausible."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from winslow_dagster.errors import AnswerRejected
from winslow_dagster.pipelines.forms.answer import Size, check_answer
from winslow_dagster.pipelines.forms.answer_values import Refused
from winslow_dagster.pipelines.forms.judged_marks import Doubt, Judgement, Mark
from winslow_dagster.pipelines.forms.plausibility import COARSEST_M, FINEST_M, judge_marks
from winslow_dagster.pipelines.forms.points_file import marks_from
from winslow_dagster.pipelines.model.form import FileField, Form, ImageField, LinesField, NumberField, PointsField

LENGTH_SUFFIX = "_m"
"""A number field named like a lines field, with this behind it, is the length of the line in metres."""
ENDS = 2
AGREEMENT = 1.5
"""Largest ratio of two scales of the same picture that can be explained by a slanting view."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something for which the answer would be rejected."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class FieldJudgement:
    """The judgement of the marks of a field. Those of shapes are counted through all shapes."""

    field: str
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class AnswerJudgement:
    """What is invalid, and what is implausible, of an answer that has not been sent yet."""

    faults: tuple[Fault, ...] = ()
    fields: tuple[FieldJudgement, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The doubts as sentences, each with its field."""
        return tuple(
            f"{each.field}: {doubt.text}"
            for each in self.fields
            for doubt in each.judgement.doubts
            if doubt.level == "wrong"
        )


def judge_answer(form: Form, values: Mapping[str, Any], image_sizes: Mapping[str, Size]) -> AnswerJudgement:
    """Judge the values. Marks that are not complete yet are faults, and the others are judged without them."""
    return AnswerJudgement(tuple(_faults(form, values, image_sizes)), tuple(_fields(form, values, image_sizes)))


def _faults(form: Form, values: Mapping[str, Any], image_sizes: Mapping[str, Size]) -> Iterator[Fault]:
    files = {field.name for field in form.form if isinstance(field, FileField)}
    try:
        check_answer(form, values, image_sizes=image_sizes)
    except AnswerRejected as rejected:
        # A file comes with the answer itself.
        yield from (Fault(*fault) for fault in rejected.faults if fault[0] not in files)


def _fields(form: Form, values: Mapping[str, Any], image_sizes: Mapping[str, Size]) -> Iterator[FieldJudgement]:
    scale: float | None = None
    # The scale by the points first: a known length is compared with it.
    for field in sorted(form.form, key=lambda each: not isinstance(each, PointsField)):
        if not isinstance(field, ImageField) or values.get(field.name) is None:
            continue
        size = image_sizes.get(field.name)
        marks = tuple(_marks(field, values[field.name], size))
        judgement = judge_marks(marks, field.world, size)
        if isinstance(field, PointsField):
            scale = scale or judgement.metres_per_pixel
        else:
            # Corners of a shape may be as close as they like.
            judgement = replace(judgement, doubts=tuple(each for each in judgement.doubts if each.kind != "too_close"))
        if isinstance(field, LinesField) and field.world == "none":
            judgement = _by_length(form, field, marks, values, scale)
        yield FieldJudgement(field.name, judgement)


def _by_length(
    form: Form, field: LinesField, marks: Sequence[Mark], values: Mapping[str, Any], scale: float | None
) -> Judgement:
    """A line of known length is a scale."""
    length = next((one for one in form.form if one.name == f"{field.name}{LENGTH_SUFFIX}"), None)
    metres = values.get(length.name) if isinstance(length, NumberField) else None
    if len(marks) != ENDS or isinstance(metres, bool) or not isinstance(metres, int | float) or not metres > 0:
        return Judgement()
    pixels = math.dist(marks[0].pixel, marks[1].pixel)
    if pixels == 0 or not math.isfinite(metres):
        return Judgement()
    own = metres / pixels
    doubts = []
    if not FINEST_M <= own <= COARSEST_M:
        text = f"One pixel is {own:.2g} m wide by this length; a drone's picture has {FINEST_M:g} to {COARSEST_M:g} m."
        doubts.append(Doubt("scale", text))
    elif scale is not None and max(own / scale, scale / own) > AGREEMENT:
        text = f"One pixel is {own:.2g} m wide by this length, and {scale:.2g} m by the points."
        doubts.append(Doubt("scale", text))
    return Judgement(metres_per_pixel=own, doubts=tuple(doubts))


def _marks(field: ImageField, value: Any, size: Size | None) -> Iterator[Mark]:
    try:
        given = marks_from(field, value, size)
    except Refused:
        return
    listed = given if isinstance(given, list) else []
    if isinstance(field, PointsField):
        corners = listed
    else:
        corners = [corner for shape in listed if isinstance(shape, Mapping) for corner in _list(shape.get("points"))]
    for corner in corners:
        yield _mark(corner if isinstance(corner, Mapping) else {})


def _mark(corner: Mapping[str, Any]) -> Mark:
    """The mark; one without a place is somewhere beyond all that is judged, so that numbers stay those of the list."""
    x, y = _number(corner.get("x")), _number(corner.get("y"))
    world = _list(corner.get("world"))
    place = tuple(_number(each) for each in world)
    complete = len(place) == 2 and None not in place and x is not None and y is not None  # noqa: PLR2004  # a pair
    return Mark(
        label=str(corner.get("label") or ""),
        x=math.inf if x is None else x,
        y=math.inf if y is None else y,
        world=place if complete else None,  # type: ignore[arg-type]  # a pair of numbers
    )


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
