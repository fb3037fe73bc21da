"""The retention rules of an installation over HTTP."""

from __future__ import annotations

from winslow_dagster.client.http import Http
from winslow_dagster.projects.domain.retention import HouseRulesView, RulesPreview


class RetentionClient:
    """What `Winslow.retention` has about the rules of the installation."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def house_rules(self) -> HouseRulesView:
        """The rules for what no rule of a project or its pipeline is about."""
        return self._http.get(HouseRulesView, "/retention-rules")

    def preview_house_rules(self, text: str) -> RulesPreview:
        """What the rules in this YAML would remove in addition to those in force, and what they would keep."""
        return self._http.post(RulesPreview, "/retention-rules/preview", {"text": text})

    def set_house_rules(self, text: str, *, version: int) -> HouseRulesView:
        """Replace the rules, after having seen `version` of them. Raises ProjectConflict, RetentionRulesInvalid."""
        return self._http.put(HouseRulesView, "/retention-rules", {"text": text, "version": version})
