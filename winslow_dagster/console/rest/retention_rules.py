"""The retention rules of the installation."""

from __future__ import annotations

from winslow_dagster.console.caller import Front
from winslow_dagster.console.rest.setting_text import SettingChange, SettingText
from winslow_dagster.console.room import Room
from winslow_dagster.projects.domain.retention import HouseRulesView, RulesPreview

room = Room(tags=["retention"])


@room.route_for("/retention-rules", role="viewer")
def house_rules(front: Front) -> HouseRulesView:
    """The rules for what no rule of a project or its pipeline is about."""
    return front.retention.house_rules()


@room.route_for("/retention-rules", role="admin", method="PUT")
def set_house_rules(front: Front, body: SettingChange) -> HouseRulesView:
    """Replace the rules."""
    return front.retention.set_house_rules(body.text, version=body.version)


@room.route_for("/retention-rules/preview", role="admin", method="POST")
def preview_house_rules(front: Front, body: SettingText) -> RulesPreview:
    """What other rules would remove, and what they would keep. Nothing is changed."""
    return front.retention.preview_house_rules(body.text)
