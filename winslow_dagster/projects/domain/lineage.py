"""Which outputs a project's stages have now, and which of them are out of date. Pure functions of the history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.domain.model import Attempt

ANSWER_RESOURCE = "answer"
"""The resource name under which a stage finds the answer, next to the project's inputs."""
ANSWER = "@answer"
"""The key in an attempt's `inputs` for the answer that it read."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A person's decision that a stage has the outputs of this attempt from `picked_at` on."""

    project: str
    pipeline: str
    stage: str
    task_id: str
    picked_at: datetime
    picked_by: str


@dataclass(frozen=True)
class Lineage:
    """The history of one pipeline in a project.

    `attempts` are in the order in which they started. Those of `sweep_runs` are candidates: they count once they are
    picked. `answers` has the address of the latest answer to each stage's questions.
    """

    pipeline: Pipeline
    attempts: tuple[Attempt, ...]
    picks: tuple[Pick, ...] = ()
    sweep_runs: Collection[str] = ()
    answers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def attempts_outside_sweeps(self) -> tuple[Attempt, ...]:
        """The attempts that are not part of a sweep."""
        return tuple(attempt for attempt in self.attempts if attempt.run_id not in self.sweep_runs)

    @cached_property
    def current(self) -> dict[str, Attempt]:
        """Stage -> the attempt whose outputs it has: the last one to succeed or to be picked."""
        found = current_attempts(self.attempts, self.picks, self.sweep_runs)
        return {stage: attempt for stage, (_moment, attempt) in found.items()}

    @cached_property
    def outdated(self) -> dict[str, str]:
        """Stage -> why its outputs are out of date: something that it used has changed, or it has failed since."""
        moments = current_attempts(self.attempts, self.picks, self.sweep_runs)
        latest = {attempt.stage: attempt for attempt in self.attempts_outside_sweeps}
        reasons: dict[str, str] = {}
        for stage in in_order(self.pipeline):
            if stage.name not in moments:
                continue
            moment, own = moments[stage.name]
            last = latest.get(stage.name, own)
            if last.outcome is None and last is not own:
                continue  # it is running again
            if last.outcome not in {None, "succeeded"} and last.started_at > moment:
                reasons[stage.name] = "its last attempt did not succeed"
            elif found := self._reason(stage, own, reasons, latest):
                reasons[stage.name] = found
        return reasons

    def _reason(self, stage: Stage, own: Attempt, reasons: Mapping[str, str], latest: Mapping[str, Attempt]) -> str:
        for upstream in stage.after:
            if upstream in reasons:
                return f"{upstream} is out of date"
            if upstream in latest and latest[upstream].outcome is None:
                return f"{upstream} is running again"
            other = self.current.get(upstream)
            if other is not None and own.inputs.get(upstream) not in {None, other.output_address}:
                return f"{upstream} has other outputs now"
        if stage.name in self.answers and own.inputs.get(ANSWER) != self.answers[stage.name]:
            return "its question was answered again"
        return ""

    @cached_property
    def to_run(self) -> tuple[str, ...]:
        """The stages whose outputs are missing or out of date, each after its upstream stages."""
        return tuple(
            stage.name
            for stage in in_order(self.pipeline)
            if stage.name not in self.current or stage.name in self.outdated
        )


def goes_out_of_date(lineage: Lineage, stage: str) -> tuple[str, ...]:
    """The stages whose outputs would be out of date if this stage got others, and are not yet."""
    return tuple(
        each.name
        for each in in_order(lineage.pipeline)
        if each.name in lineage.current
        and each.name not in lineage.outdated
        and stage in upstream_of(lineage.pipeline, each.name)
    )


def current_attempts(
    attempts: Iterable[Attempt], picks: Iterable[Pick], sweep_runs: Collection[str]
) -> dict[str, tuple[datetime, Attempt]]:
    """Stage -> the attempt whose outputs it has, and since when. Attempts whose outputs were removed do not count."""
    usable = {attempt.task_id: attempt for attempt in attempts if attempt.usable}
    claims = [
        (attempt.ended_at, attempt.task_id)
        for attempt in usable.values()
        if attempt.run_id not in sweep_runs and attempt.ended_at is not None
    ]
    claims += [(pick.picked_at, pick.task_id) for pick in picks if pick.task_id in usable]
    return {usable[task_id].stage: (moment, usable[task_id]) for moment, task_id in sorted(claims)}


def in_order(pipeline: Pipeline) -> tuple[Stage, ...]:
    """The stages, each after its upstream stages, otherwise in the order of the file."""
    ordered: dict[str, Stage] = {}
    while len(ordered) < len(pipeline.stages):
        ready = [
            stage
            for stage in pipeline.stages
            if stage.name not in ordered and all(upstream in ordered for upstream in stage.after)
        ]
        ordered.update({stage.name: stage for stage in ready})
    return tuple(ordered.values())


def upstream_of(pipeline: Pipeline, name: str) -> frozenset[str]:
    """Every stage that `name` depends on, directly or not."""
    after = {stage.name: stage.after for stage in pipeline.stages}
    found: set[str] = set()
    waiting = list(after[name])
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            waiting.extend(after[stage])
    return frozenset(found)
