"""Global variables over HTTP."""

from __future__ import annotations

from winslow_dagster.client.http import Http
from winslow_dagster.projects.domain.global_variables import GlobalVariablesView, VariablesPreview


class VariableClient:
    """Like `Winslow.variables`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def view(self) -> GlobalVariablesView:
        """The variables, and the YAML that says them."""
        return self._http.get(GlobalVariablesView, "/variables")

    def preview(self, text: str) -> tuple[VariablesPreview, ...]:
        """What the variables in this YAML would change, by pipeline."""
        return self._http.post(tuple[VariablesPreview, ...], "/variables/preview", {"text": text})

    def set(self, text: str, *, version: int) -> GlobalVariablesView:
        """Replace the variables, after having seen `version` of them. Raises ProjectConflict, VariablesInvalid."""
        return self._http.put(GlobalVariablesView, "/variables", {"text": text, "version": version})
