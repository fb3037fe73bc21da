"""The fields of a form, with their descriptions. Their defaults are those of model/form.py."""

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
    VideoReference,
    Written,
)
from winslow_dagster.pipelines.schema.value_parsers import ordered, refusal

BARE_VALUE = Written(
    lambda written: {"value": written} if isinstance(written, (str, int, float)) else written,
    {},
    ({"title": "value", "type": ["string", "number"]},),
)


class FieldBaseDocument(Document):
    """Attributes that all form fields have."""

    name: FieldName = Field(description="Name of the answer.")
    label: str | None = Field(default=None, description="Label of the field; by default its name.")
    help: str | None = Field(default=None, description="Help text for the person who answers.")
    required: bool | None = Field(default=None, description="Whether an answer is required.")


class ValueFieldDocument(FieldBaseDocument):
    """A field whose answer is passed to the stage in an environment variable."""

    variable: VariableName | None = Field(
        default=None, description="Environment variable that the answer sets; by default the name in upper case."
    )


class TextFieldDocument(ValueFieldDocument):
    """A line or several lines of text."""

    model = form.TextField
    noun = "a text field"

    kind: Literal["text"] = Field(description="A text.")
    default: str | None = Field(default=None, description="Answer that is used if the person gives none.")
    max_length: Annotated[int, Field(ge=1, le=LONGEST_TEXT)] | None = Field(
        default=None, description="Maximum number of characters."
    )
    pattern: Pattern | None = Field(default=None, description="Regular expression that the whole text must match.")

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
    default: float | None = Field(default=None, description="Answer that is used if the person gives none.")
    min: float | None = Field(default=None, description="Minimum value.")
    max: float | None = Field(default=None, description="Maximum value.")
    step: float | None = Field(default=None, gt=0, description="Step between allowed values, counted from `min` or 0.")
    unit: str | None = Field(default=None, description="Unit, shown after the number, such as `m`.")
    integer: bool | None = Field(default=None, description="Whether only integers are allowed.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        ordered(self, "min", "max")
        low, high, default = self.min, self.max, self.default
        if default is not None and ((low is not None and default < low) or (high is not None and default > high)):
            raise refusal(f"the default {default:g} is not between `min` and `max`", "a default that is a valid answer")
        if default is not None and self.integer and not default.is_integer():
            raise refusal(f"the default {default:g} is not an integer", "an integer, because `integer` is true")
        return self


class OptionDocument(Document):
    """One of the values to choose from."""

    model = form.Option
    noun = "an option"

    value: OptionText = Field(description="Value that is passed to the stage.")
    label: str | None = Field(default=None, description="Label of the option; by default its value.")


class ChoiceFieldDocument(ValueFieldDocument):
    """A choice of one of several values."""

    model = form.ChoiceField
    noun = "a choice field"

    kind: Literal["choice"] = Field(description="A choice of one value.")
    options: Annotated[list[Annotated[OptionDocument, BARE_VALUE]], Field(min_length=1, max_length=MOST_OPTIONS)] = (
        Field(description="Values to choose from.")
    )
    default: OptionText | None = Field(default=None, description="Answer that is used if the person gives none.")

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
    default: bool | None = Field(default=None, description="Answer that is used if the person gives none.")


class FileFieldDocument(ValueFieldDocument):
    """A file that a person uploads."""

    model = form.FileField
    noun = "a file field"

    kind: Literal["file"] = Field(description="An uploaded file.")
    suffixes: list[Suffix] | None = Field(default=None, description="Accepted file name suffixes; by default any.")
    input_kind: InputKind | None = Field(
        default=None, description="Kind of content; decides how the file is validated and previewed."
    )


class ImageFieldDocument(ValueFieldDocument):
    """Something that a person marks on an image."""

    image: ImageReference | None = Field(
        default=None,
        description="Image to mark: `<stage>/<glob>` for an output of an upstream stage, `./<glob>` for an output of "
        "the asking stage itself.",
    )
    video: VideoReference | None = Field(
        default=None,
        description="Instead: video of which one frame is marked, which the person chooses. A stage output as "
        "`image`, or `input:<name>` for an input of the project.",
    )
    labels: list[Annotated[str, Field(min_length=1)]] | None = Field(
        default=None, description="Allowed labels; by default any text."
    )
    world: World | None = Field(
        default=None,
        description="World coordinates of each point: `none`, `metres` (`[x, y]`, right-handed), `wgs84` (`[longitude, "
        "latitude]`), or `optional` (metres, for the points where they are known).",
    )
    min_count: int | None = Field(default=None, ge=0, description="Minimum number of marks.")

    @model_validator(mode="after")
    def _shows_one(self) -> Self:
        if self.image is None and self.video is None:
            raise refusal(f"{self.noun} has no `image`", "`image: …`, or `video: …`")
        if self.image is not None and self.video is not None:
            raise refusal(f"{self.noun} has both `image` and `video`", "one of them")
        return self


class PointsFieldDocument(ImageFieldDocument):
    """Points on an image."""

    model = form.PointsField
    noun = "a points field"

    kind: Literal["points"] = Field(description="Points on an image.")
    propose: ImageReference | None = Field(
        default=None,
        description="JSON file with points that the person may accept, a stage output as `image`: a list of points as "
        "in an answer, or a points file of the TrackerApplication.",
    )
    max_count: Annotated[int, Field(ge=1, le=MOST_POINTS)] | None = Field(
        default=None, description="Maximum number of marks."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return ordered(self, "min_count", "max_count")


class ShapesFieldDocument(ImageFieldDocument):
    """Polygons or lines on an image."""

    max_count: Annotated[int, Field(ge=1, le=MOST_SHAPES)] | None = Field(
        default=None, description="Maximum number of marks."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.max_count is None and (self.min_count or 0) > 1:
            raise refusal(f"`min_count` is {self.min_count}, but `max_count` defaults to 1", "`max_count` to be set")
        return ordered(self, "min_count", "max_count")


class PolygonFieldDocument(ShapesFieldDocument):
    """Polygons on an image."""

    model = form.PolygonField
    noun = "a polygon field"

    kind: Literal["polygon"] = Field(description="Polygons on an image.")
    min_points: Annotated[int, Field(ge=3, le=MOST_CORNERS)] | None = Field(
        default=None, description="Minimum number of corners of each polygon."
    )


class LinesFieldDocument(ShapesFieldDocument):
    """Lines on an image."""

    model = form.LinesField
    noun = "a lines field"

    kind: Literal["lines"] = Field(description="Lines on an image.")
    min_points: Annotated[int, Field(ge=2, le=MOST_CORNERS)] | None = Field(
        default=None, description="Minimum number of points of each line."
    )


class ConfirmFieldDocument(FieldBaseDocument):
    """A review of a stage's result: the person accepts it, or has the stage redone with other settings."""

    model = form.ConfirmField
    noun = "a confirm field"

    kind: Literal["confirm"] = Field(description="A review of a result.")
    stage: Annotated[str, Field(title="stage name")] | None = Field(
        default=None, description="Upstream stage whose result is reviewed; by default the only stage in `after`."
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
    """A form that a running stage writes."""

    model = form.Form
    noun = "a form"

    message: str | None = Field(default=None, description="Message to the person who is asked.")
    form: Annotated[list[FieldDocument], Field(max_length=MOST_FIELDS)] | None = Field(
        default=None, description="Fields of the form."
    )
