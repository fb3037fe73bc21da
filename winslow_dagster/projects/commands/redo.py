"""Runs stages again: with other settings, once or for many values, and planned before anything starts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects.commands.acts import act
from winslow_dagster.projects.commands.launch import MOST_CONCURRENT, Launch, launch
from winslow_dagster.projects.commands.launch_request import LaunchRequest
from winslow_dagster.projects.commands.project_questions import ProjectQuestions
from winslow_dagster.projects.commands.run import Run
from winslow_dagster.projects.commands.run_plan import plan_run, plan_sweep
from winslow_dagster.projects.commands.secrets import with_references, without_secret_values
from winslow_dagster.projects.commands.stage_parameters import parameters_of
from winslow_dagster.projects.domain.attempts import find_attempt
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.run_plan import RunPlan, StageParameters
from winslow_dagster.projects.domain.sweep_values import MAX_COMBINATIONS
from winslow_dagster.projects.inputs.resource_pool import GivenInput, Pool, sources

Overrides = Mapping[str, Mapping[str, Any]]


class ProjectRedo(ProjectQuestions):
    """One project of an installation, and how its stages run again."""

    @act
    def redo(  # noqa: PLR0913  # what a person may say about a redo, by name
        self,
        stage: str,
        *,
        pipeline: str | None = None,
        env: Mapping[str, Any] | None = None,
        settings: Overrides | None = None,
        inputs: Mapping[str, GivenInput] | None = None,
        use: Mapping[str, str | int] | None = None,
        only: bool = False,
        stop_after: str | None = None,
        reuse: bool = False,
        reason: str = "",
    ) -> Run:
        """Run the stage and the stages that follow it again, with other variables, arguments, image, limits or inputs.

        `env` overrides the stage's variables, `settings` anything of any stage. `use` names attempts, by number or
        task id, whose outputs other stages take. `only` runs this stage alone: those that follow are then out of date.
        """
        return launch(
            self._context,
            "redo",
            self._redone(
                stage,
                pipeline=pipeline,
                env=env,
                settings=settings,
                inputs=inputs,
                use=use,
                stop_after=stage if only else stop_after,
                reuse=reuse,
                reason=reason,
            ),
        )

    def plan(  # noqa: PLR0913  # what a person may say about a redo or a sweep, by name
        self,
        stage: str,
        *,
        pipeline: str | None = None,
        env: Mapping[str, Any] | None = None,
        settings: Overrides | None = None,
        inputs: Mapping[str, GivenInput] | None = None,
        use: Mapping[str, str | int] | None = None,
        only: bool = False,
        stop_after: str | None = None,
        reuse: bool = False,
        values: Mapping[str, Sequence[str]] | None = None,
        max_concurrent: int | None = None,
    ) -> RunPlan:
        """What `redo` would do, or with `values` what `sweep` would do; nothing is started or changed.

        Raises what they raise, but not for a run that is in progress: `busy` of the plan names it.
        """
        swept = values is not None
        request = self._redone(
            stage,
            pipeline=pipeline,
            env=env,
            settings=settings,
            inputs=inputs,
            use=use,
            stop_after=stop_after or stage if swept else stage if only else stop_after,
            reuse=reuse,
        )
        request = without_secret_values(self._context, request)
        if values is None:
            return plan_run(self._context, request)
        combinations = overridden(request.overrides, stage, combined(values))
        return plan_sweep(self._context, request, combinations, checked_limit(max_concurrent))

    def _redone(  # noqa: PLR0913  # see `redo`
        self,
        stage: str,
        *,
        pipeline: str | None,
        env: Mapping[str, Any] | None,
        settings: Overrides | None,
        inputs: Mapping[str, GivenInput] | None = None,
        use: Mapping[str, str | int] | None,
        stop_after: str | None,
        reuse: bool,
        reason: str = "",
    ) -> LaunchRequest:
        """The request that runs the stage again."""
        overrides = {name: dict(override) for name, override in (settings or {}).items()}
        if env:
            own = overrides.setdefault(stage, {})
            own["env"] = {**own.get("env", {}), **env}
        return LaunchRequest(
            project=self.name,
            pipeline=self._pipeline_with(stage, pipeline).name,
            inputs=sources(self._pool, inputs or {}),
            start_from=(stage,),
            stop_after=stop_after,
            overrides=overrides,
            use={name: self.attempt(name, which).task_id for name, which in (use or {}).items()},
            reuse=reuse,
            reason=reason,
        )

    def parameters(
        self, stage: str, attempt: str | int | None = None, *, pipeline: str | None = None
    ) -> StageParameters:
        """Everything that can be set for the stage when it runs again, beside its latest attempt or one of them."""
        found = self._pipeline_with(stage, pipeline)
        return parameters_of(
            self._context, self._context.records.project(self.name), found, found.stage(stage), attempt
        )

    @act
    def sweep(  # noqa: PLR0913  # what a person may say about a sweep, by name
        self,
        stage: str,
        values: Mapping[str, Sequence[str]],
        *,
        pipeline: str | None = None,
        env: Mapping[str, Any] | None = None,
        settings: Overrides | None = None,
        use: Mapping[str, str | int] | None = None,
        stop_after: str | None = None,
        reuse: bool = False,
        max_concurrent: int | None = None,
        reason: str = "",
    ) -> tuple[Run, ...]:
        """Run the stage once for every combination of the variables' values, side by side; `pick` chooses one.

        The rest is as for `redo`, and the same in all runs. `max_concurrent` limits how many of them run at once.
        Raises InputRejected for more than 500 combinations, and what `redo` raises.
        """
        combinations = combined(values)
        limit = checked_limit(max_concurrent)
        context = self._context
        request = self._redone(
            stage,
            pipeline=pipeline,
            env=env,
            settings=settings,
            use=use,
            stop_after=stop_after or stage,
            reuse=reuse,
            reason=reason,
        )
        request = with_references(context, request)
        run_ids = Launch(context, request).sweep(overridden(request.overrides, stage, combinations), limit)
        swept = {name: list(choices) for name, choices in values.items()}
        context.audit("sweep", self.name, stage=stage, values=swept, runs=len(run_ids), reason=reason)
        return tuple(Run(context, self.name, run_id) for run_id in run_ids)

    def attempt(self, stage: str, which: str | int, *, pipeline: str | None = None) -> Attempt:
        """An attempt of the stage, by its number (counted from 1 over all runs) or its task id. Raises NotFound.

        With `pipeline`, an attempt of another pipeline is not found.
        """
        found = find_attempt(self._context.records.attempts(self.name), stage, which)
        if pipeline not in {None, found.pipeline}:
            raise NotFound(
                f"attempt {which} of {stage} is one of the pipeline {found.pipeline}, not of {pipeline}",
                where=self._where,
            )
        return found

    def pipeline(self, name: str | None = None) -> Pipeline:
        """The version of the pipeline that the project uses, or of another one that it ran through. Raises NotFound."""
        return self._context.pipeline_of(self.name, name)

    def _pipeline_with(self, stage: str, pipeline: str | None) -> Pipeline:
        return self._context.pipeline_with(self.name, stage, pipeline)

    @property
    def _pool(self) -> Pool:
        return Pool(self._context.records.database, self._context.store)

    @property
    def _where(self) -> str:
        return f"project {self.name}"


def combined(values: Mapping[str, Iterable[str]]) -> list[dict[str, str]]:
    """Every combination of the variables' values, the last variable changing first. Raises InputRejected."""
    choices = {name: list(dict.fromkeys(map(str, listed))) for name, listed in values.items()}
    empty = sorted(name for name, listed in choices.items() if not listed)
    if not choices or empty:
        raise InputRejected(
            f"{', '.join(empty)} has no value" if empty else "there is no variable to sweep over",
            expected="at least one variable with at least one value",
        )
    total = 1
    for listed in choices.values():
        total *= len(listed)
    if total > MAX_COMBINATIONS:
        raise InputRejected(f"these are {total} combinations", expected=f"at most {MAX_COMBINATIONS}")
    return [dict(zip(choices, combination, strict=True)) for combination in itertools.product(*choices.values())]


def overridden(base: Overrides, stage: str, combinations: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The settings of each run of a sweep: those of all runs, and the values of a combination."""
    own = dict(base.get(stage, {}))
    return [{**base, stage: {**own, "env": {**own.get("env", {}), **values}}} for values in combinations]


def checked_limit(max_concurrent: int | None) -> int | None:
    """How many runs of a sweep may run at once; None: as many as the installation runs. Raises InputRejected."""
    if max_concurrent is not None and not 1 <= max_concurrent <= MOST_CONCURRENT:
        raise InputRejected(
            f"{max_concurrent} runs at once cannot be the limit of a sweep",
            expected=f"a number from 1 to {MOST_CONCURRENT}",
        )
    return max_concurrent
