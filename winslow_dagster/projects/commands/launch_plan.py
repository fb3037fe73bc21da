"""From a launch request to a plan: everything that can be checked is checked here, and nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.pipelines import Pipeline, keep_version, load_version
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.launch_request import LaunchRequest
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.global_variables import StoredVariables
from winslow_dagster.projects.database.lineage_queries import chosen_outputs, lineage_of
from winslow_dagster.projects.domain.lineage import Lineage, in_order, upstream_of
from winslow_dagster.projects.domain.model import Project, RunRecord
from winslow_dagster.projects.domain.run_request import (
    KnownFiles,
    RunRequest,
    RunScope,
    check_variables,
    refuse_values_of_secrets,
)
from winslow_dagster.projects.inputs.input_storage import InputStorage
from winslow_dagster.projects.inputs.resource_pool import Source
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.secrets import SecretStore

UNFINISHED = frozenset({"paused", "awaiting_input", "failed"})
"""Outcomes after which a run can be continued."""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What will be done. `existing` is the project, or None if it is created; `new_inputs` are not stored yet."""

    pipeline: Pipeline
    digest: str
    existing: Project | None
    request: RunRequest
    new_inputs: dict[str, Source]


class LaunchPlanner:
    """Plans one request. `plan` reads the project anew each time."""

    def __init__(self, context: Context, request: LaunchRequest) -> None:
        self._context = context
        self._records = context.records
        self._requested = request

    @cached_property
    def inputs(self) -> InputStorage:
        """The inputs of the request."""
        context = self._context
        return InputStorage(context.records, context.store, context.settings.home, self._requested.inputs)

    def plan(self, stored: Mapping[str, Manifest] | None = None) -> LaunchPlan:
        """The plan. `stored` are inputs of the request that have been stored meanwhile, by their names.

        Raises NotFound, PipelineInvalid, InputRejected, VariableMissing, ProjectConflict.
        """
        existing = self.existing_project()
        if existing is not None:
            self._context.reconcile(existing.name)
        pipeline, digest = self.version(existing)
        current = existing.inputs if existing else {}
        if stored is None:
            self.inputs.check(pipeline, current)
            changed = self.inputs.changed(current)
        else:
            changed = {name: self._requested.inputs[name] for name in stored}
        lineage = lineage_of(self._records, existing.name, pipeline) if existing else None
        wanted = self._requested_run(existing) if lineage is None else self._remaining_run(lineage, existing, changed)
        request = RunRequest.checked(pipeline, wanted)
        self.check(pipeline, existing, request)
        return LaunchPlan(pipeline, digest, existing, request, changed)

    def existing_project(self) -> Project | None:
        """The project, or None if there is none of the name."""
        return self._records.find_project(self._requested.project)

    def version(self, existing: Project | None) -> tuple[Pipeline, str]:
        """The pipeline and its digest: the version that the project ran last, or the current file. Raises NotFound."""
        requested = self._requested
        name = requested.pipeline or (existing.pipeline if existing else None)
        if name is None:
            raise NotFound(f"there is no project {requested.project!r}", remedy=Action("list_projects"))
        if existing is not None and requested.pipeline_version == "pinned":
            for used in self._context.used_pipelines(existing):
                if used.name == name:
                    return used.read(), used.digest
        versions_dir = self._context.settings.versions_dir
        digest = keep_version(self._context.pipeline(name).path, versions_dir)
        return load_version(versions_dir, name, digest), digest

    def running(self, plan: LaunchPlan) -> frozenset[str]:
        """The stages that will run."""
        existing = plan.existing
        stored = lineage_of(self._records, existing.name, plan.pipeline).current if existing else {}
        return frozenset(RunScope(plan.pipeline, plan.request).running(stored))

    def check(self, pipeline: Pipeline, existing: Project | None, request: RunRequest) -> None:
        """Whether the run is possible: the outputs that it starts from and that it was told to use exist, and every
        variable has a value.
        """
        for stage, task_id in request.use.items():
            chosen_outputs(self._records, request.project, pipeline, stage, task_id)
        stored = lineage_of(self._records, existing.name, pipeline).current if existing else {}
        scope = RunScope(pipeline, request)
        scope.check(stored)
        inputs = existing.inputs if existing else {}
        file_names = {name: manifest.files[0].path for name, manifest in inputs.items() if len(manifest.files) == 1}
        file_names |= {name: _file_name(source) for name, source in self._requested.inputs.items()}
        answers = Answers(self._records.database).of_project(existing.name) if existing else ()
        answered = {
            answer.stage: answer.variables for answer in answers if answer.accepted and answer.pipeline == pipeline.name
        }
        project_env = existing.env if existing else self._requested.project_env
        refuse_values_of_secrets(pipeline, project_env, f"variables of project {request.project}")
        check_variables(
            pipeline,
            # The variables of a stage that needs input may come with an answer that has not been given yet.
            [name for name in scope.running(stored) if name in answered or pipeline.stage(name).needs_input is None],
            request,
            project_env,
            KnownFiles(
                file_names,
                answered,
                SecretStore(self._context.settings.secrets_dir),
                global_env=StoredVariables(self._records.database).of(pipeline.name),
            ),
        )

    def _requested_run(self, existing: Project | None) -> dict[str, Any]:
        """The run config as it was requested."""
        requested = self._requested
        return {
            "project": requested.project,
            "start_from": requested.start_from,
            "stop_after": requested.stop_after,
            "env": dict(requested.run_env) if existing else {},
            "stages": {name: dict(override) for name, override in requested.overrides.items()},
            "use": dict(requested.use),
            "reuse": requested.reuse,
        }

    def _remaining_run(
        self, lineage: Lineage, existing: Project | None, new_inputs: Mapping[str, Source]
    ) -> dict[str, Any]:
        """The requested run config, completed by what the project has still to do."""
        assert existing is not None  # noqa: S101  # a lineage belongs to a project
        pipeline, requested = lineage.pipeline, self._requested
        config = self._requested_run(existing)
        if not lineage.attempts:
            return self._continued(config, existing, lineage)
        first_stages = [stage.name for stage in pipeline.stages if not stage.after]
        replaced = sorted(name for name in new_inputs if name in existing.inputs)
        if replaced and not set(requested.start_from) & set(first_stages):
            raise ProjectConflict(
                f"the project has a different file as {', '.join(replaced)}",
                where=f"project {existing.name}",
                expected="the same content as before",
                remedy=_start_again(existing, pipeline),
            )
        if replaced:
            # With new inputs everything is out of date, also beside the branch of the stage that was named.
            return {**config, "start_from": ()}
        if requested.start_from:
            return self._continued(config, existing, lineage)
        last = self._unfinished_run(existing, pipeline)
        stop = requested.stop_after or (last.stop_after if last else None)
        everything = frozenset(stage.name for stage in pipeline.stages)
        reached = everything if stop is None else upstream_of(pipeline, stop) | {stop}
        wanted = (set(lineage.to_run) | _not_redone(last, lineage)) & reached - set(requested.use)
        to_run = [stage.name for stage in in_order(pipeline) if stage.name in wanted]
        if not to_run:
            raise ProjectConflict(
                f"every stage{f' up to {stop}' if stop else ''} has run, and nothing is out of date",
                where=f"project {existing.name}",
                remedy=_start_again(existing, pipeline),
            )
        # Stages that follow one of these run again with it.
        starts = [name for name in to_run if not upstream_of(pipeline, name) & set(to_run)]
        return self._continued({**config, "start_from": starts}, existing, lineage)

    def _unfinished_run(self, existing: Project, pipeline: Pipeline) -> RunRecord | None:
        """The last run of the pipeline, if the request continues it and it can be continued."""
        if not self._requested.continues:
            return None
        last = self._records.latest_run(existing.name, pipeline.name)
        return last if last is not None and last.outcome in UNFINISHED and last.sweep is None else None

    def _continued(self, config: dict[str, Any], existing: Project, lineage: Lineage) -> dict[str, Any]:
        """With what the unfinished run was requested to do; what this request says wins."""
        last = self._unfinished_run(existing, lineage.pipeline)
        if last is None:
            return config
        before = last.settings
        config["env"] = {**before.get("env", {}), **config["env"]}
        config["reuse"] = config["reuse"] or before.get("reuse", False)
        stop = last.stop_after
        if stop is not None and set(config["start_from"]) <= upstream_of(lineage.pipeline, stop) | {stop}:
            config["stop_after"] = config["stop_after"] or stop
        bare = RunRequest.checked(lineage.pipeline, {**config, "stages": {}})
        running = RunScope(lineage.pipeline, bare).running(lineage.current)
        for stage, override in before.get("stages", {}).items():
            if stage in running:
                newer = config["stages"].get(stage, {})
                env = {**override.get("env", {}), **newer.get("env", {})}
                config["stages"][stage] = {**override, **newer, **({"env": env} if env else {})}
        return config


def _not_redone(last: RunRecord | None, lineage: Lineage) -> set[str]:
    """The stages that the unfinished run was to run again and has not, though they have earlier outputs."""
    if last is None or last.start_from is None:
        return set()
    starts = set(last.start_from.split(", "))
    done = {
        attempt.stage
        for attempt in lineage.attempts
        if attempt.run_id == last.run_id and attempt.outcome == "succeeded"
    }
    pipeline = lineage.pipeline
    return {
        stage.name for stage in pipeline.stages if stage.name in starts or upstream_of(pipeline, stage.name) & starts
    } - done


def _start_again(project: Project, pipeline: Pipeline) -> Action:
    first = next(stage.name for stage in pipeline.stages if not stage.after)
    return Action("start_from_stage", {"pipeline": pipeline.name, "project": project.name, "stage": first})


def _file_name(source: Source) -> str:
    return source.name if isinstance(source, Path) else source.file_name
