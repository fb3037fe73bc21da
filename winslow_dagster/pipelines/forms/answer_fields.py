"""The fields of composite answers."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from winslow_dagster.pipelines.model.form import MOST_CORNERS, MOST_POINTS, MOST_SHAPES
from winslow_dagster.pipelines.schema.base import Document
from winslow_dagster.pipelines.schema.field_types import Image, Memory, TemplateText, Timeout, VariableName
from winslow_dagster.pipelines.schema.value_parsers import refusal

LARGEST_COORDINATE = 1_000_000
LARGEST_FRAME = 2**31 - 1
Pixel = Annotated[float, Field(ge=0, le=LARGEST_COORDINATE)]
Frame = Annotated[int, Field(ge=0, le=LARGEST_FRAME, strict=True)]
Place = Annotated[list[float], Field(min_length=2, max_length=2)]


class CornerDocument(Document):
    """A point on an image, in pixels from the upper left corner, and its world coordinates."""

    noun = "a point"

    x: Pixel = Field(description="Pixels to the right.")
    y: Pixel = Field(description="Pixels down.")
    world: Place | None = Field(default=None, description="World coordinates.")


class PointDocument(CornerDocument):
    """A point with its label."""

    frame: Frame | None = Field(default=None, description="Index of the frame of a video, from 0.")
    label: str | None = Field(default=None, description="Label.")


class ShapeDocument(Document):
    """A polygon or a line with its label."""

    noun = "a shape"

    frame: Frame | None = Field(default=None, description="Index of the frame of a video, from 0.")
    label: str | None = Field(default=None, description="Label.")
    points: Annotated[list[CornerDocument], Field(max_length=MOST_CORNERS)] = Field(description="Points of the shape.")


class PointsAnswer(Document):
    """The answer to a points field, under the name `value`."""

    noun = "an answer"

    value: Annotated[list[PointDocument], Field(max_length=MOST_POINTS)] = Field(description="The points.")


class ShapesAnswer(Document):
    """The answer to a polygon or a lines field, under the name `value`."""

    noun = "an answer"

    value: Annotated[list[ShapeDocument], Field(max_length=MOST_SHAPES)] = Field(description="The shapes.")


class ConfirmDocument(Document):
    """A result is accepted, or the stage is to be redone with these settings."""

    noun = "a confirmation"

    accepted: bool = Field(description="Whether the result is accepted.")
    why: str | None = Field(default=None, description="Reason for a rejection.")
    env: dict[VariableName, TemplateText] | None = Field(default=None, description="Changed variables.")
    args: list[TemplateText] | None = Field(default=None, description="Other arguments.")
    image: Image | None = Field(default=None, description="Another image.")
    cpus: float | None = Field(default=None, gt=0, description="Other CPU cores.")
    memory: Memory | None = Field(default=None, description="Other memory.")
    timeout: Timeout | None = Field(default=None, description="Another time limit.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        changed = self.model_fields_set - {"accepted", "why"}
        if self.accepted and changed:
            raise refusal(f"is accepted but changes {', '.join(sorted(changed))}", "settings only with a rejection")
        return self


class ConfirmAnswer(Document):
    """The answer to a confirm field, under the name `value`."""

    noun = "an answer"

    value: ConfirmDocument = Field(description="The decision.")
