"""Variables that the installation gives to pipelines."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.database.stored_settings import LONGEST_TEXT
from winslow_dagster.projects.domain.global_variables import GlobalVariablesView, VariablesPreview

room = Room("/variables", tags=["variables"])

Text = Annotated[str, Field(max_length=LONGEST_TEXT, description="The variables as YAML.")]


class Body(BaseModel):
    """What a request brings; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class VariablesText(Body):
    """Variables to try."""

    text: Text


class VariablesChange(Body):
    """Variables to keep in the place of those of `version`; 0 if there are none yet."""

    text: Text
    version: Annotated[int, Field(ge=0, le=2**31 - 2)]


@room.route_for("", role="viewer")
def variables(front: Front) -> GlobalVariablesView:
    """The variables for all pipelines, and for some. They have no values of secrets."""
    return front.variables.view()


@room.route_for("", role="admin", method="PUT")
def set_variables(front: Front, body: VariablesChange) -> GlobalVariablesView:
    """Replace the variables, for attempts that start from now on."""
    return front.variables.set(body.text, version=body.version)


@room.route_for("/preview", role="admin", method="POST")
def preview_variables(front: Front, body: VariablesText) -> tuple[VariablesPreview, ...]:
    """What other variables would change, by pipeline. Nothing is changed."""
    return front.variables.preview(body.text)
