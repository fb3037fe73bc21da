"""Pipelines, as frozen values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from winslow_dagster.pipelines.model.form import Form, FormField
from winslow_dagster.pipelines.model.frozen import Frozen, Name
from winslow_dagster.pipelines.model.output_checks import Check
from winslow_dagster.pipelines.model.result_views import TrajectoryView
from winslow_dagster.pipelines.model.stage_rules import Gpu, LogRules, PromisedOutput
from winslow_dagster.pipelines.variables import SecretReference, Variables

RetryCause = Literal["lost", "failed", "out_of_memory", "timed_out"]


class Retries(Frozen):
    """When and how often a stage is retried."""

    count: int = Field(default=0, ge=0)
    when: tuple[RetryCause | int, ...] = ("lost",)
    wait_s: float = 10.0
    backoff: float = Field(default=2.0, ge=1.0)


class Highlight(Frozen):
    """An output with a preview."""

    glob: str
    title: str = ""


class RetentionRule(Frozen):
    """Files may be deleted that are neither of the latest `attempts` nor younger than `days`.

    Without either, files are kept forever. The first rule that matches a file applies.
    """

    what: Literal["outputs", "failed", "logs"] = "outputs"
    glob: str = "**"
    attempts: int | None = None
    days: float | None = None


class NeedsInput(Frozen):
    """A question before the stage runs or, with `asked`, only if the stage itself asks."""

    when: Literal["always", "once", "unset", "asked"] = "once"
    message: str = ""
    variables: tuple[str, ...] = ()
    form: tuple[FormField, ...] = ()

    @property
    def asks(self) -> Form:
        """The form that the person sees."""
        return Form(message=self.message, form=self.form)

    @property
    def watched(self) -> tuple[str, ...]:
        """The variables that `unset` checks: `variables`, or those of the form."""
        return self.variables or self.asks.variables


class ProjectInput(Frozen):
    """A file or directory that a project provides."""

    kind: Literal["video", "image", "table", "json", "model", "file", "directory"] = "file"
    suffixes: tuple[str, ...] = ()
    parts: bool = False
    """Whether a directory with several such files, the parts of one, can be it, too."""
    required: bool = True
    description: str = ""


class Stage(Frozen):
    """One stage, with the pipeline's defaults already applied.

    `env`, `args` and `command` are templates (substitution.py). `env` has only the stage's own variables, so that a
    value may refer to the one that it overrides: `resolve_environment([pipeline.env, stage.env, …], …)` merges them.
    """

    name: Name
    description: str = ""
    image: str | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Variables = Field(default_factory=dict)
    after: tuple[Name, ...] = ()
    cpus: float = 1.0
    memory_bytes: int | None = None
    shm_size_bytes: int | None = None
    gpu: Gpu | None = None
    node_tags: tuple[str, ...] = Field(default=(), description="Tags of nodes the stage needs.")
    network: bool = False
    timeout_s: float | None = None
    stop_grace_period_s: float = 10.0
    retries: Retries = Retries()
    log: LogRules = LogRules()
    success_exit_codes: tuple[int, ...] = (0,)
    awaiting_input_exit_code: int = 75
    needs_input: NeedsInput | None = None
    outputs: tuple[PromisedOutput, ...] = ()
    checks: tuple[Check, ...] = ()
    highlights: tuple[Highlight, ...] = ()
    views: tuple[TrajectoryView, ...] = ()
    retention: tuple[RetentionRule, ...] = ()


class Pipeline(Frozen):
    """A pipeline. Stages are in file order, and `after` is always explicit."""

    name: Name
    description: str = ""
    env: Variables = Field(default_factory=dict)
    inputs: dict[Name, ProjectInput] = Field(default_factory=dict)
    stages: tuple[Stage, ...]

    @property
    def secret_variables(self) -> frozenset[str]:
        """The variables that the file declares as secrets, for all stages or for one."""
        layers = (self.env, *(stage.env for stage in self.stages))
        return frozenset(
            name for layer in layers for name, value in layer.items() if isinstance(value, SecretReference)
        )

    def stage(self, name: str) -> Stage:
        """The stage of that name. Raises KeyError."""
        return {stage.name: stage for stage in self.stages}[name]

    def missing_inputs(self, existing: Collection[str]) -> tuple[str, ...]:
        """The inputs that are required and do not exist."""
        return tuple(name for name, each in self.inputs.items() if each.required and name not in existing)
