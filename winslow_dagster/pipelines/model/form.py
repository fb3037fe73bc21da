"""Forms, as frozen values. A pipeline file declares a form, or a running stage writes one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from winslow_dagster.pipelines.model.frozen import Frozen, Name

AWAITING_INPUT_FILE = "await_input.json"
"""The file with a form that a stage writes into its output directory."""
ANSWER = "answer"
"""The name of the resource with a person's answers."""
MOST_FIELDS = 100
MOST_OPTIONS = 1000
MOST_POINTS = 10_000
MOST_SHAPES = 1000
MOST_CORNERS = 500
LONGEST_TEXT = 32_000
"""In characters. Four bytes for each still fit into an environment variable."""

OptionValue = str | int | float
InputKind = Literal["video", "image", "table", "json", "model", "file"]
World = Literal["none", "metres", "wgs84", "optional"]
OWN_OUTPUT = "./"
INPUT = "input:"
"""Before the name of an input, where a stage output may stand, too."""


class FieldBase(Frozen):
    """Attributes of all fields."""

    name: Name
    label: str = ""
    help: str = ""
    required: bool = True


class ValueField(FieldBase):
    """A field whose answer sets an environment variable: `variable`, or else the name in upper case."""

    variable: str | None = None

    @property
    def variable_name(self) -> str:
        """The environment variable that the answer sets."""
        return self.variable or self.name.upper()


class TextField(ValueField):
    """A text. `pattern` must match all of it."""

    kind: Literal["text"] = "text"
    default: str | None = None
    max_length: int = LONGEST_TEXT
    pattern: str | None = None


class NumberField(ValueField):
    """A number. Allowed values are multiples of `step`, counted from `min`."""

    kind: Literal["number"] = "number"
    default: float | None = None
    min: float | None = None
    max: float | None = None
    step: float | None = None
    unit: str = ""
    integer: bool = False


class Option(Frozen):
    """One of the values to choose from."""

    value: OptionValue
    label: str = ""


class ChoiceField(ValueField):
    """One of several values."""

    kind: Literal["choice"] = "choice"
    default: OptionValue | None = None
    options: tuple[Option, ...]


class BooleanField(ValueField):
    """Yes or no."""

    kind: Literal["boolean"] = "boolean"
    default: bool | None = None


class FileField(ValueField):
    """An uploaded file."""

    kind: Literal["file"] = "file"
    suffixes: tuple[str, ...] = ()
    input_kind: InputKind = "file"


class ImageFieldBase(ValueField):
    """Marks on an image or on one frame of a video, of which one is given.

    Both are `<stage>/<glob>`, or `./<glob>` for an output of the asking stage itself; a video may also be an input of
    the project, `input:<name>`.
    """

    image: str | None = None
    video: str | None = None
    labels: tuple[str, ...] = ()
    world: World = "none"

    @property
    def shown(self) -> str:
        """The image or the video."""
        return self.image or self.video or ""

    @property
    def image_stage(self) -> str:
        """The stage that wrote the image or the video; empty for the asking stage itself, and for an input."""
        return "" if self.shown.startswith((OWN_OUTPUT, INPUT)) else self.shown.partition("/")[0]

    @property
    def image_glob(self) -> str:
        """The pattern of the image or the video among that stage's outputs."""
        return self.shown.partition("/")[2]


class PointsField(ImageFieldBase):
    """Points on an image. `propose` refers to a file with points to accept, as `image` does to the image."""

    kind: Literal["points"] = "points"
    propose: str | None = None
    min_count: int = 1
    max_count: int = MOST_POINTS


class PolygonField(ImageFieldBase):
    """Polygons on an image."""

    kind: Literal["polygon"] = "polygon"
    min_points: int = 3
    min_count: int = 1
    max_count: int = 1


class LinesField(ImageFieldBase):
    """Lines on an image."""

    kind: Literal["lines"] = "lines"
    min_points: int = 2
    min_count: int = 1
    max_count: int = 1


class ConfirmField(FieldBase):
    """A review of the result of `stage`: the person accepts it, or has the stage redone with other settings."""

    kind: Literal["confirm"] = "confirm"
    stage: Name


ShapesField = PolygonField | LinesField
ImageField = PointsField | PolygonField | LinesField
FormField = Annotated[
    TextField
    | NumberField
    | ChoiceField
    | BooleanField
    | FileField
    | PointsField
    | PolygonField
    | LinesField
    | ConfirmField,
    Field(discriminator="kind"),
]


class Form(Frozen):
    """A message with fields. The names and variables of the fields are unique."""

    message: str = ""
    form: tuple[FormField, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The form as `parse_form` reads it."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that an answer sets."""
        return tuple(field.variable_name for field in self.form if isinstance(field, ValueField))


REPLY = Form(form=(TextField(name="reply", label="Your answer", required=False),))
"""The form of a question that a running stage asks without one. To continue without a text is an answer, too."""
