"""What a stage asks a person, and whether it does: by its rule in the pipeline file, or because an attempt said so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from winslow_dagster.pipelines.model.pipeline import NeedsInput, Stage
from winslow_dagster.projects.database.answers import Answer
from winslow_dagster.projects.domain.lineage import ANSWER, Lineage
from winslow_dagster.stages.task.model import StageResult

CONFIRM = "confirm"
OF = "of"
"""In a confirmation's value: the address of the outputs that were looked at."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before a stage may run. An empty form asks for no more than a word to go on.

    `asked_by_attempt` is the attempt that found that it needs a person; None where the pipeline file says so.
    """

    project: str
    pipeline: str
    stage: str
    message: str
    form: tuple[dict[str, Any], ...] = ()
    asked_by_attempt: str | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """What a stage's question depends on. `layers`: the variables the stage would have; `run_id`: the run it is in."""

    project: str
    lineage: Lineage
    answers: tuple[Answer, ...]
    result_of: Callable[[str], StageResult | None]
    run_id: str = ""
    layers: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)

    def latest_answer(self, stage: str) -> Answer | None:
        """What the stage would read now."""
        pipeline = self.lineage.pipeline.name
        own = [each for each in self.answers if each.stage == stage and each.pipeline == pipeline and each.accepted]
        return own[-1] if own else None

    def question(self, stage: Stage) -> Question | None:
        """What has to be answered before the stage may begin; None where nothing has."""
        answer = self.latest_answer(stage.name)
        return self._of_attempt(stage, answer) or self._of_rule(stage, answer)

    def _of_attempt(self, stage: Stage, answer: Answer | None) -> Question | None:
        last = next((each for each in reversed(self.lineage.in_turn) if each.stage == stage.name), None)
        if last is None or last.outcome != "awaiting_input":
            return None
        if answer is not None and last.inputs.get(ANSWER) != answer.manifest.address:
            return None
        result = self.result_of(last.task_id)
        own = tuple(result.form or ()) if result is not None else ()
        form = own or (form_of(stage.needs_input) if stage.needs_input else ())
        return Question(self.project, last.pipeline, stage.name, last.message, form, last.task_id)

    def _of_rule(self, stage: Stage, answer: Answer | None) -> Question | None:
        rule = stage.needs_input
        if rule is None or not self._needed(stage, rule, answer):
            return None
        message = rule.message or default_message(stage, rule)
        return Question(self.project, self.lineage.pipeline.name, stage.name, message, form_of(rule))

    def _needed(self, stage: Stage, rule: NeedsInput, answer: Answer | None) -> bool:
        if rule.when == "asked":
            return False
        if rule.when == "unset":
            layers = self.layers.get(stage.name, (self.lineage.pipeline.env, stage.env))
            if answer is None and all(any(layer.get(name) for layer in layers) for name in rule.variables):
                return False
        if answer is None:
            return True
        if any(self._confirmed_another(stage, item, answer) for item in confirmations(stage, form_of(rule)).items()):
            return True
        return rule.when == "always" and self._was_read(stage, answer)

    def _was_read(self, stage: Stage, answer: Answer) -> bool:
        """Whether the stage has succeeded with this answer before, in another run."""
        return any(
            attempt.inputs.get(ANSWER) == answer.manifest.address
            for attempt in self.lineage.in_turn
            if attempt.stage == stage.name and attempt.outcome == "succeeded" and attempt.run_id != self.run_id
        )

    def _confirmed_another(self, stage: Stage, item: tuple[str, str], answer: Answer) -> bool:
        name, confirmed = item
        del stage
        looked_at = answer.values.get(name)
        current = self.lineage.current.get(confirmed)
        address = current.output_address if current is not None else None
        return not isinstance(looked_at, Mapping) or looked_at.get(OF) != address


def form_of(rule: NeedsInput) -> tuple[dict[str, Any], ...]:
    """The rule's form as plain values."""
    return tuple(rule.asks.as_json().get("form", ()))


def confirmations(stage: Stage, form: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The form's confirmations: name -> the stage whose result is to be looked at."""
    return {
        each["name"]: each.get("stage") or stage.after[-1]
        for each in form
        if each.get("kind") == CONFIRM and (each.get("stage") or stage.after)
    }


def default_message(stage: Stage, rule: NeedsInput) -> str:
    """What is asked where the file does not say it."""
    looked_at = sorted(set(confirmations(stage, form_of(rule)).values()))
    if looked_at:
        return f"Look at the result of {' and '.join(looked_at)}: accept it, or have it made again"
    if rule.when == "unset":
        return f"{stage.name} needs {', '.join(rule.variables)}"
    return f"{stage.name} needs your input" if rule.form else f"{stage.name} waits for your word to go on"
