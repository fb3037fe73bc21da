"""Which outputs a project's stages have now, and which of them no longer fit. Pure: told from what happened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.domain.model import Attempt

ANSWER_RESOURCE = "answer"
"""Under this name a stage finds what a person answered, beside the project's inputs."""
ANSWER = "@answer"
"""The name under which an attempt's `inputs` say which person's answer it read."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A person's word that a stage has the outputs of this attempt from `picked_at` on."""

    project: str
    pipeline: str
    stage: str
    task_id: str
    picked_at: datetime
    picked_by: str


@dataclass(frozen=True)
class Lineage:
    """What one pipeline of a project made so far.

    `attempts` are all of them in the order in which they started. Those of `sweep_runs` are candidates only: they count
    once they were picked. `answers` has the address of the latest answer of each stage that was asked.
    """

    pipeline: Pipeline
    attempts: tuple[Attempt, ...]
    picks: tuple[Pick, ...] = ()
    sweep_runs: Collection[str] = ()
    answers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def in_turn(self) -> tuple[Attempt, ...]:
        """The attempts that are not of a sweep."""
        return tuple(attempt for attempt in self.attempts if attempt.run_id not in self.sweep_runs)

    @cached_property
    def current(self) -> dict[str, Attempt]:
        """Stage -> the attempt whose outputs it has: the one that succeeded, or was picked, last."""
        found = current_attempts(self.attempts, self.picks, self.sweep_runs)
        return {stage: attempt for stage, (_moment, attempt) in found.items()}

    @cached_property
    def outdated(self) -> dict[str, str]:
        """Stage -> why the outputs it has no longer fit: something it worked on is another now, or it failed since."""
        moments = current_attempts(self.attempts, self.picks, self.sweep_runs)
        latest = {attempt.stage: attempt for attempt in self.in_turn}
        why: dict[str, str] = {}
        for stage in in_order(self.pipeline):
            if stage.name not in moments:
                continue
            moment, own = moments[stage.name]
            last = latest.get(stage.name, own)
            if last.outcome is None and last is not own:
                continue  # it is being renewed
            if last.outcome not in {None, "succeeded"} and last.started_at > moment:
                why[stage.name] = "its last attempt did not succeed"
            elif found := self._outrun(stage, own, why, latest):
                why[stage.name] = found
        return why

    def _outrun(self, stage: Stage, own: Attempt, why: Mapping[str, str], latest: Mapping[str, Attempt]) -> str:
        for upstream in stage.after:
            if upstream in why:
                return f"{upstream} is out of date"
            if upstream in latest and latest[upstream].outcome is None:
                return f"{upstream} runs again"
            other = self.current.get(upstream)
            if other is not None and own.inputs.get(upstream) not in {None, other.output_address}:
                return f"{upstream} has other outputs since"
        if stage.name in self.answers and own.inputs.get(ANSWER) != self.answers[stage.name]:
            return "it was answered anew since"
        return ""

    @cached_property
    def to_run(self) -> tuple[str, ...]:
        """The stages whose outputs are missing or out of date, each after those it needs."""
        return tuple(
            stage.name
            for stage in in_order(self.pipeline)
            if stage.name not in self.current or stage.name in self.outdated
        )


def current_attempts(
    attempts: Iterable[Attempt], picks: Iterable[Pick], sweep_runs: Collection[str]
) -> dict[str, tuple[datetime, Attempt]]:
    """Stage -> since when it has the outputs of which attempt. Attempts whose outputs are gone do not count."""
    usable = {attempt.task_id: attempt for attempt in attempts if attempt.usable}
    claims = [
        (attempt.ended_at, attempt.task_id)
        for attempt in usable.values()
        if attempt.run_id not in sweep_runs and attempt.ended_at is not None
    ]
    claims += [(pick.picked_at, pick.task_id) for pick in picks if pick.task_id in usable]
    return {usable[task_id].stage: (moment, usable[task_id]) for moment, task_id in sorted(claims)}


def in_order(pipeline: Pipeline) -> tuple[Stage, ...]:
    """The stages, each after those it needs; in file order otherwise."""
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
    """Every stage that `name` needs, directly or not."""
    after = {stage.name: stage.after for stage in pipeline.stages}
    found: set[str] = set()
    waiting = list(after[name])
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            waiting.extend(after[stage])
    return frozenset(found)
