"""Whether a stage has a question for a person, by its rule in the pipeline file or because an attempt asked one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from winslow_dagster.pipelines.model.form import REPLY, Form
from winslow_dagster.pipelines.model.pipeline import NeedsInput, Stage
from winslow_dagster.pipelines.variables import Layer
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.lineage import ANSWER, Lineage
from winslow_dagster.stages.task.model import StageResult

CONFIRM = "confirm"
REVIEWED_OUTPUTS = "of"
"""The key in a confirmation's value for the address of the outputs that the person reviewed."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question to answer before a stage may run. An empty form asks only for permission to continue.

    `asked_by_attempt` is the attempt that asked it; None for a rule of the pipeline file. An attempt always has a form.
    """

    project: str
    pipeline: str
    stage: str
    message: str
    form: tuple[dict[str, Any], ...] = ()
    asked_by_attempt: str | None = None


@dataclass(frozen=True, slots=True)
class QuestionContext:
    """What a stage's question depends on. `layers`: the variables the stage would have; `run_id`: the run it is in."""

    project: str
    lineage: Lineage
    answers: tuple[Answer, ...]
    result_of: Callable[[str], StageResult | None]
    run_id: str = ""
    layers: Mapping[str, tuple[Layer, ...]] = field(default_factory=dict)

    def latest_answer(self, stage: str) -> Answer | None:
        """The answer that the stage would read now."""
        pipeline = self.lineage.pipeline.name
        own = [each for each in self.answers if each.stage == stage and each.pipeline == pipeline and each.accepted]
        return own[-1] if own else None

    def question(self, stage: Stage) -> Question | None:
        """The question to answer before the stage may start; None if there is none."""
        answer = self.latest_answer(stage.name)
        return self._asked_by_attempt(stage, answer) or self._asked_by_rule(stage, answer)

    def _asked_by_attempt(self, stage: Stage, answer: Answer | None) -> Question | None:
        last = next((each for each in reversed(self.lineage.attempts_outside_sweeps) if each.stage == stage.name), None)
        if last is None or last.outcome != "awaiting_input":
            return None
        if answer is not None and last.inputs.get(ANSWER) != answer.manifest.address:
            return None
        result = self.result_of(last.task_id)
        own = tuple(result.form or ()) if result is not None else ()
        form = own or (form_of(stage.needs_input) if stage.needs_input else ()) or fields_of(REPLY)
        return Question(self.project, last.pipeline, stage.name, last.message, form, last.task_id)

    def _asked_by_rule(self, stage: Stage, answer: Answer | None) -> Question | None:
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
        if any(self._reviewed_others(*item, answer) for item in confirmations(stage, form_of(rule)).items()):
            return True
        return rule.when == "always" and self._was_read(stage, answer)

    def _was_read(self, stage: Stage, answer: Answer) -> bool:
        """Whether the stage has succeeded with this answer before, in another run."""
        return any(
            attempt.inputs.get(ANSWER) == answer.manifest.address
            for attempt in self.lineage.attempts_outside_sweeps
            if attempt.stage == stage.name and attempt.outcome == "succeeded" and attempt.run_id != self.run_id
        )

    def _reviewed_others(self, name: str, stage: str, answer: Answer) -> bool:
        """Whether the answer confirms other outputs than those that the stage has now."""
        confirmation = answer.values.get(name)
        current = self.lineage.current.get(stage)
        address = current.output_address if current is not None else None
        return not isinstance(confirmation, Mapping) or confirmation.get(REVIEWED_OUTPUTS) != address


def form_of(rule: NeedsInput) -> tuple[dict[str, Any], ...]:
    """The rule's form as plain values."""
    return fields_of(rule.asks)


def fields_of(form: Form) -> tuple[dict[str, Any], ...]:
    """The form's fields as plain values."""
    return tuple(form.as_json().get("form", ()))


def confirmations(stage: Stage, form: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The form's confirmations: name -> the stage whose result is to be reviewed."""
    return {
        each["name"]: each.get("stage") or stage.after[-1]
        for each in form
        if each.get("kind") == CONFIRM and (each.get("stage") or stage.after)
    }


def default_message(stage: Stage, rule: NeedsInput) -> str:
    """The message for a rule without one."""
    reviewed = sorted(set(confirmations(stage, form_of(rule)).values()))
    if reviewed:
        return f"Review the result of {' and '.join(reviewed)}: accept it, or reject it to run the stage again"
    if rule.when == "unset":
        return f"{stage.name} needs {', '.join(rule.variables)}"
    return f"{stage.name} needs your input" if rule.form else f"{stage.name} waits for your permission to continue"
