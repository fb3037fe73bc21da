"""Validates a person's answer to a form, and turns it into what a stage reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from winslow_dagster.errors import AnswerRejected
from winslow_dagster.pipelines.forms.answer_fields import ConfirmAnswer
from winslow_dagster.pipelines.forms.answer_values import (
    Refused,
    boolean_value,
    choice_value,
    document_value,
    number_value,
    text_value,
)
from winslow_dagster.pipelines.forms.marked_shapes import points_value, shapes_value
from winslow_dagster.pipelines.forms.points_file import length_from, marks_from
from winslow_dagster.pipelines.model.form import (
    ANSWER,
    BooleanField,
    ChoiceField,
    ConfirmField,
    FileField,
    Form,
    FormField,
    ImageField,
    LinesField,
    NumberField,
    PointsField,
    PolygonField,
    TextField,
    ValueField,
)
from winslow_dagster.pipelines.problems import nearest, printable, shown
from winslow_dagster.pipelines.substitution import escape

PLACE = f"${{WINSLOW_RESOURCES_DIR}}/{ANSWER}/"
"""The directory with the files of an answer, as a template."""
ANSWER_FILE = f"{ANSWER}.json"
SETTINGS = ("env", "args", "image", "cpus", "memory", "timeout")
MOST_FAULTS = 100

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """A valid answer.

    `values` are ready for JSON, with defaults; fields without an answer are left out. `variables` are templates.
    `documents` and `files` are to be stored under their names, as the resource `answer`.
    `redo` is the request of a person who rejects a result: `{"stage": …, "settings": {…}}`.
    """

    values: dict[str, Any]
    variables: dict[str, str] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    accepted: bool = True
    redo: dict[str, Any] | None = None


def check_answer(
    form: Form,
    values: Mapping[str, Any],
    files: Mapping[str, Path] | None = None,
    *,
    image_sizes: Mapping[str, Size] | None = None,
) -> CheckedAnswer:
    """The validated answer. `image_sizes` has the width and height in pixels of the images, by field name.

    None counts as no answer. The value of marks may be the content of a points file. If a result is rejected, other
    fields may be left without an answer.
    Raises AnswerRejected with all faults.
    """
    return _Answering(form, values, files or {}, image_sizes or {}).checked()


class _Answering:
    """Validates all fields, and collects their faults."""

    def __init__(
        self, form: Form, values: Mapping[str, Any], files: Mapping[str, Path], image_sizes: Mapping[str, Size]
    ) -> None:
        self.form = form
        self.values = {name: value for name, value in values.items() if value is not None}
        self.uploads = files
        self.image_sizes = image_sizes
        self.faults: list[tuple[str, str]] = []
        self.answer = CheckedAnswer({})

    def checked(self) -> CheckedAnswer:
        fields = {one.name: one for one in self.form.form}
        for name in [*self.values, *self.uploads]:
            if name not in fields:
                close = nearest(str(name), fields)
                hint = f"; did you mean {close}?" if close else ""
                self.fault(str(name), f"the form has no such field{hint}")
        confirmation = self.confirmation()
        for one in fields.values():
            if not isinstance(one, ConfirmField):
                self.take(one, rejected=confirmation is not None and not confirmation["accepted"])
        if self.faults:
            raise AnswerRejected(tuple(self.faults[:MOST_FAULTS]))
        self.answer.documents[ANSWER_FILE] = as_document(self.answer.values)
        return self.answer

    def fault(self, name: str, sentence: str) -> None:
        """Note a fault of one field."""
        self.faults.append((printable(name), printable(sentence)))

    def confirmation(self) -> dict[str, Any] | None:
        """The decision on a result, which is also noted in the answer; None if there is none."""
        for one in self.form.form:
            if not isinstance(one, ConfirmField):
                continue
            if one.name not in self.values:
                if one.required:
                    self.fault(one.name, "is required; expected accepted: true or false")
                continue
            value = self.values[one.name]
            written: dict[str, Any] | None = self.tried(one, partial(document_value, ConfirmAnswer, value))
            if written is not None:
                self.answer.values[one.name] = written
                if not written["accepted"]:
                    # These are strings in a run's settings.
                    texts = {key: str(written[key]) for key in ("memory", "timeout") if key in written}
                    settings = {key: written[key] for key in SETTINGS if key in written} | texts
                    redo = {"stage": one.stage, "settings": settings}
                    self.answer = CheckedAnswer(self.answer.values, accepted=False, redo=redo)
            return written
        return None

    def take(self, one: FormField, *, rejected: bool) -> None:
        """Validate one field, and note its value and variable."""
        if isinstance(one, FileField):
            self.take_file(one, rejected=rejected)
            return
        if one.name in self.uploads:
            self.fault(one.name, f"is a {one.kind} field; expected a value, not a file")
            return
        value = self.values.get(one.name, getattr(one, "default", None))
        if value is None:
            if one.required and not rejected:
                self.fault(one.name, "is required")
            return
        self.tried(one, lambda: self.note(one, value))

    def tried(self, one: FormField, call: Callable[[], Any]) -> Any:
        """The result of the call; None if it raises Refused, which is noted."""
        try:
            return call()
        except Refused as refused:
            for sentence in refused.sentences:
                self.fault(one.name, sentence)
        return None

    def note(self, one: FormField, value: Any) -> None:
        variable = one.variable_name if isinstance(one, ValueField) else ""
        match one:
            case TextField():
                checked: Any = text_value(one, value)
                variable_value = escape(checked)
            case NumberField():
                length_m = length_from(value)
                checked = number_value(one, value if length_m is None else length_m)
                variable_value = plain_number(checked)
            case ChoiceField():
                checked = choice_value(one, value)
                variable_value = escape(checked) if isinstance(checked, str) else plain_number(checked)
            case BooleanField():
                checked = boolean_value(value)
                variable_value = str(checked).lower()
            case PointsField() | PolygonField() | LinesField():
                checked = self.marked(one, value)
                variable_value = f"{PLACE}{one.name}.json"
                self.answer.documents[f"{one.name}.json"] = as_document(checked)
            case _:
                raise TypeError(one.kind)
        self.answer.values[one.name] = checked
        self.answer.variables[variable] = variable_value

    def marked(self, one: ImageField, value: Any) -> list[dict[str, Any]]:
        size = self.image_sizes.get(one.name)
        value = marks_from(one, value, size)
        return points_value(one, value, size) if isinstance(one, PointsField) else shapes_value(one, value, size)

    def take_file(self, one: FileField, *, rejected: bool) -> None:
        """Validate and note an uploaded file, which is stored beside the documents of the answer."""
        path = self.uploads.get(one.name)
        if one.name in self.values:
            self.fault(one.name, f"is a file field, but the answer is {shown(self.values[one.name])}; expected a file")
        elif path is None:
            if one.required and not rejected:
                self.fault(one.name, "is required; expected a file")
        elif not path.is_file():
            self.fault(one.name, f"the file {path.name} does not exist")
        elif one.suffixes and not path.name.lower().endswith(tuple(suffix.lower() for suffix in one.suffixes)):
            self.fault(
                one.name, f"{path.name} has the wrong suffix; expected a file name ending in {', '.join(one.suffixes)}"
            )
        elif not path.name.isprintable():
            self.fault(one.name, f"{shown(path.name)} is not a usable file name; expected printable characters")
        else:
            stored = f"{one.name}/{path.name}"
            self.answer.files[stored] = path
            self.answer.values[one.name] = stored
            self.answer.variables[one.variable_name] = PLACE + escape(stored)


def as_document(value: Any) -> bytes:
    """The content of a JSON file of an answer."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def plain_number(value: float) -> str:
    """A number without an exponent, which every program can read."""
    return f"{Decimal(str(value)).normalize():f}"
