"""Global variables: what administrators give to the stages of all pipelines, or of some."""

from __future__ import annotations

from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.global_variables import StoredVariables, parse_variables
from winslow_dagster.projects.domain.global_variables import GlobalVariables, GlobalVariablesView, VariablesPreview


class VariableCommands:
    """The variables of one installation. They are for attempts that start from now on."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def view(self) -> GlobalVariablesView:
        """The variables, and the YAML that says them."""
        return self._stored.view()

    def preview(self, text: str) -> tuple[VariablesPreview, ...]:
        """What the variables in this YAML would change, by pipeline. Raises VariablesInvalid with all problems."""
        self._context.actor.require("admin")
        now, then = self._stored.view().variables, parse_variables(text)
        found = (_preview(each.pipeline, now, then) for each in self._context.pipelines().pipelines.values())
        return tuple(each for each in found if each.added or each.changed or each.removed)

    def set(self, text: str, *, version: int) -> GlobalVariablesView:
        """Replace the variables by those in this YAML, after having seen `version` of them. Only administrators may.

        Raises VariablesInvalid with all problems, and ProjectConflict if somebody has changed them since.
        """
        self._context.actor.require("admin")
        before = self._stored.view().text
        saved = self._stored.save(text, version=version, by=self._context.actor.who, at=self._context.clock())
        self._context.audit("global_variables", before=before, after=text)
        return saved

    @property
    def _stored(self) -> StoredVariables:
        return StoredVariables(self._context.records.database)


def _preview(pipeline: Pipeline, now: GlobalVariables, then: GlobalVariables) -> VariablesPreview:
    before, after = now.of(pipeline.name), then.of(pipeline.name)
    own = {*pipeline.env, *(name for stage in pipeline.stages for name in stage.env)}
    return VariablesPreview(
        pipeline=pipeline.name,
        added=tuple(sorted(set(after) - set(before))),
        changed=tuple(sorted(name for name in after if name in before and after[name] != before[name])),
        removed=tuple(sorted(set(before) - set(after))),
        overridden=tuple(sorted(own & {name for name in {*before, *after} if before.get(name) != after.get(name)})),
    )
