"""The retention rules of the installation."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.database.stored_settings import LONGEST_TEXT
from winslow_dagster.projects.domain.retention import HouseRulesView, RulesPreview

room = Room(tags=["retention"])

Text = Annotated[str, Field(max_length=LONGEST_TEXT, description="The rules as YAML, as in a retention file.")]


class Body(BaseModel):
    """What a request brings; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class RulesText(Body):
    """Rules to try."""

    text: Text


class RulesChange(Body):
    """Rules to keep in the place of those of `version`; 0 if there are none yet."""

    text: Text
    version: Annotated[int, Field(ge=0, le=2**31 - 2)]


@room.route_for("/retention-rules", role="viewer")
def house_rules(front: Front) -> HouseRulesView:
    """The rules for what no rule of a project or its pipeline is about."""
    return front.retention.house_rules()


@room.route_for("/retention-rules", role="admin", method="PUT")
def set_house_rules(front: Front, body: RulesChange) -> HouseRulesView:
    """Replace the rules."""
    return front.retention.set_house_rules(body.text, version=body.version)


@room.route_for("/retention-rules/preview", role="admin", method="POST")
def preview_house_rules(front: Front, body: RulesText) -> RulesPreview:
    """What other rules would remove, and what they would keep. Nothing is changed."""
    return front.retention.preview_house_rules(body.text)
