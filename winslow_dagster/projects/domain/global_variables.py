"""Variables that an installation gives to the stages of its pipelines, as values."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from winslow_dagster.globs import matches
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.variables import Variables, VariableValue


class VariableGroup(Frozen):
    """Variables for the pipelines whose names match one of the patterns."""

    name: str
    pipelines: tuple[str, ...]
    env: Variables = Field(default_factory=dict)


class GlobalVariables(Frozen):
    """`env` is for all pipelines; the groups override it, later ones earlier ones."""

    env: Variables = Field(default_factory=dict)
    groups: tuple[VariableGroup, ...] = ()

    def of(self, pipeline: str) -> dict[str, VariableValue]:
        """The variables that the stages of a pipeline get, as a layer below its own."""
        found = dict(self.env)
        for group in self.groups:
            if any(matches(pipeline, pattern) for pattern in group.pipelines):
                found |= group.env
        return found


class GlobalVariablesView(Frozen):
    """The variables and the YAML that says them. `version` counts the changes; 0: there are none yet.

    `fault` says why what is kept cannot be used: no stage starts until it is mended.
    """

    variables: GlobalVariables
    text: str
    fault: str = ""
    version: int = 0
    changed_at: datetime | None = None
    changed_by: str = ""


class VariablesPreview(Frozen):
    """What changed variables would give to one pipeline.

    `added`, `removed` and `changed` are names; `overridden` are names that the pipeline or one of its stages sets
    itself, so that the installation's value has no effect there.
    """

    pipeline: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
