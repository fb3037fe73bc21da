"""Variables that the installation gives to pipelines."""

from __future__ import annotations

from winslow_dagster.console.caller import Front
from winslow_dagster.console.rest.setting_text import SettingChange, SettingText
from winslow_dagster.console.room import Room
from winslow_dagster.projects.domain.global_variables import GlobalVariablesView, VariablesPreview

room = Room("/variables", tags=["variables"])


@room.route_for("", role="viewer")
def variables(front: Front) -> GlobalVariablesView:
    """The variables for all pipelines, and for some. They have no values of secrets."""
    return front.variables.view()


@room.route_for("", role="admin", method="PUT")
def set_variables(front: Front, body: SettingChange) -> GlobalVariablesView:
    """Replace the variables, for attempts that start from now on."""
    return front.variables.set(body.text, version=body.version)


@room.route_for("/preview", role="admin", method="POST")
def preview_variables(front: Front, body: SettingText) -> tuple[VariablesPreview, ...]:
    """What other variables would change, by pipeline. Nothing is changed."""
    return front.variables.preview(body.text)
