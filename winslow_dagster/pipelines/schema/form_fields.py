"""What people write in a form: the kinds of fields, with the description of each. Defaults are those of form.py."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from winslow_dagster.pipelines.model import form
from winslow_dagster.pipelines.model.form import (
    LONGEST_TEXT,
    MOST_CORNERS,
    MOST_FIELDS,
    MOST_OPTIONS,
    MOST_POINTS,
    MOST_SHAPES,
    InputKind,
    World,
)
from winslow_dagster.pipelines.problems import nearest, shown
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import (
    FieldName,
    ImageReference,
    OptionText,
    Pattern,
    Suffix,
    VariableName,
    Written,
)
from winslow_dagster.pipelines.schema.value_parsers import ordered, refusal

BARE_VALUE = Written(
    lambda written: {"value": written} if isinstance(written, (str, int, float)) else written,
    {},
    ({"title": "value", "type": ["string", "number"]},),
)


class FieldBaseDocument(Document):
    """What every field of a form has."""

    name: FieldName = Field(description="Names the answer.")
    label: str | None = Field(default=None, description="Stands above the field; without it, the name.")
    help: str | None = Field(default=None, description="What to do, for the person who answers.")
    required: bool | None = Field(default=None, description="Whether it has to be answered.")


class ValueFieldDocument(FieldBaseDocument):
    """A field whose answer a stage finds in a variable."""

    variable: VariableName | None = Field(
        default=None, description="The environment variable the answer sets; without it, the name in upper case."
    )


class TextFieldDocument(ValueFieldDocument):
    """A text."""

    model = form.TextField
    noun = "a text field"

    kind: Literal["text"] = Field(description="A text.")
    default: str | None = Field(default=None, description="The answer of who gives none.")
    max_length: Annotated[int, Field(ge=1, le=LONGEST_TEXT)] | None = Field(
        default=None, description="The characters it may have."
    )
    pattern: Pattern | None = Field(default=None, description="Must match the whole text.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.default is not None and self.max_length is not None and len(self.default) > self.max_length:
            raise refusal("the default is longer than `max_length`", "a default that is a valid answer")
        return self


class NumberFieldDocument(ValueFieldDocument):
    """A number."""

    model = form.NumberField
    noun = "a number field"

    kind: Literal["number"] = Field(description="A number.")
    default: float | None = Field(default=None, description="The answer of who gives none.")
    min: float | None = Field(default=None, description="The least it may be.")
    max: float | None = Field(default=None, description="The most it may be.")
    step: float | None = Field(default=None, gt=0, description="It is a whole number of these from `min`, or from 0.")
    unit: str | None = Field(default=None, description="Stands behind the number, such as `m`.")
    integer: bool | None = Field(default=None, description="Only whole numbers.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        ordered(self, "min", "max")
        low, high, given = self.min, self.max, self.default
        if given is not None and ((low is not None and given < low) or (high is not None and given > high)):
            raise refusal(f"the default {given:g} is not between `min` and `max`", "a default that is a valid answer")
        if given is not None and self.integer and not given.is_integer():
            raise refusal(f"the default {given:g} is not an integer", "an integer, because `integer` is true")
        return self


class OptionDocument(Document):
    """One of the values to choose from."""

    model = form.Option
    noun = "an option"

    value: OptionText = Field(description="What the stage is told.")
    label: str | None = Field(default=None, description="What the person sees; without it, the value.")


class ChoiceFieldDocument(ValueFieldDocument):
    """One of several values."""

    model = form.ChoiceField
    noun = "a choice field"

    kind: Literal["choice"] = Field(description="One of several values.")
    options: Annotated[list[Annotated[OptionDocument, BARE_VALUE]], Field(min_length=1, max_length=MOST_OPTIONS)] = (
        Field(description="The values to choose from.")
    )
    default: OptionText | None = Field(default=None, description="The answer of who gives none.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        values = [str(option.value) for option in self.options]
        twice = next((value for index, value in enumerate(values) if value in values[:index]), None)
        if twice is not None:
            raise refusal(f"two options have the value {shown(twice)}", "different options")
        if self.default is not None and self.default not in [option.value for option in self.options]:
            raise refusal(
                f"the default {shown(self.default)} is not an option",
                "one of the options",
                nearest(str(self.default), values),
            )
        return self


class BooleanFieldDocument(ValueFieldDocument):
    """Yes or no."""

    model = form.BooleanField
    noun = "a boolean field"

    kind: Literal["boolean"] = Field(description="Yes or no.")
    default: bool | None = Field(default=None, description="The answer of who gives none.")


class FileFieldDocument(ValueFieldDocument):
    """A file that a person uploads."""

    model = form.FileField
    noun = "a file field"

    kind: Literal["file"] = Field(description="A file that is uploaded.")
    suffixes: list[Suffix] | None = Field(
        default=None, description="Ends of file names that are accepted; without it, all."
    )
    input_kind: InputKind | None = Field(
        default=None, description="What it is: decides how it is checked and previewed."
    )


class ImageFieldDocument(ValueFieldDocument):
    """Something that is marked on an image."""

    image: ImageReference = Field(
        description="The image it is marked on: `<stage>/<glob>` is an output of a stage upstream, `./<glob>` one of "
        "the stage that asks."
    )
    labels: list[Annotated[str, Field(min_length=1)]] | None = Field(
        default=None, description="The labels that may be given; without it, any text."
    )
    world: World | None = Field(
        default=None,
        description="Whether each point says where it is in the world: `none`, `metres` (`[x, y]`, right-handed), "
        "`wgs84` (`[longitude, latitude]`), or `optional` (in metres, where it is known).",
    )
    min_count: int | None = Field(default=None, ge=0, description="How many there are at least.")


class PointsFieldDocument(ImageFieldDocument):
    """Points on an image."""

    model = form.PointsField
    noun = "a points field"

    kind: Literal["points"] = Field(description="Points on an image.")
    max_count: Annotated[int, Field(ge=1, le=MOST_POINTS)] | None = Field(
        default=None, description="How many there are at most."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min_count", "max_count")


class ShapesFieldDocument(ImageFieldDocument):
    """Something of several points on an image."""

    max_count: Annotated[int, Field(ge=1, le=MOST_SHAPES)] | None = Field(
        default=None, description="How many there are at most."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.max_count is None and (self.min_count or 0) > 1:
            raise refusal(f"`min_count` is {self.min_count}, but `max_count` defaults to 1", "`max_count` to be set")
        return ordered(self, "min_count", "max_count")


class PolygonFieldDocument(ShapesFieldDocument):
    """Areas on an image."""

    model = form.PolygonField
    noun = "a polygon field"

    kind: Literal["polygon"] = Field(description="Areas on an image.")
    min_points: Annotated[int, Field(ge=3, le=MOST_CORNERS)] | None = Field(
        default=None, description="How many corners each has at least."
    )


class LinesFieldDocument(ShapesFieldDocument):
    """Lines on an image."""

    model = form.LinesField
    noun = "a lines field"

    kind: Literal["lines"] = Field(description="Lines on an image.")
    min_points: Annotated[int, Field(ge=2, le=MOST_CORNERS)] | None = Field(
        default=None, description="How many points each has at least."
    )


class ConfirmFieldDocument(FieldBaseDocument):
    """A look at the result of a stage: a person accepts it, or has the stage done again with other settings."""

    model = form.ConfirmField
    noun = "a confirm field"

    kind: Literal["confirm"] = Field(description="A look at a result.")
    stage: Annotated[str, Field(title="stage name")] | None = Field(
        default=None, description="The stage upstream whose result it is; without it, the only one in `after`."
    )


FieldDocument = Annotated[
    TextFieldDocument
    | NumberFieldDocument
    | ChoiceFieldDocument
    | BooleanFieldDocument
    | FileFieldDocument
    | PointsFieldDocument
    | PolygonFieldDocument
    | LinesFieldDocument
    | ConfirmFieldDocument,
    Field(discriminator="kind"),
]


class FormDocument(Document):
    """The form that a running stage writes."""

    model = form.Form
    noun = "a form"

    message: str | None = Field(default=None, description="What the person is asked to do.")
    form: Annotated[list[FieldDocument], Field(max_length=MOST_FIELDS)] | None = Field(
        default=None, description="The fields of the form that is shown."
    )
