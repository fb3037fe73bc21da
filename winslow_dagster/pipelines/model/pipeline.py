"""What a pipeline file says, as frozen values. Pure: no Dagster, no Docker, no database."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from winslow_dagster.pipelines.model.form import Form, FormField
from winslow_dagster.pipelines.model.frozen import Frozen, Name
from winslow_dagster.pipelines.model.output_checks import Check

RetryCause = Literal["lost", "failed", "out_of_memory", "timed_out"]


class Gpu(Frozen):
    """GPUs a stage is given. `optional`: run on the CPU where the machine has none."""

    count: int = Field(default=1, ge=1)
    vendor: Literal["nvidia", "amd", "intel"] | None = None
    memory_bytes: int | None = None
    optional: bool = False


class ProgressRule(Frozen):
    """`pattern` has the groups `current` and, where known, `total` and `unit`; or `percent`."""

    subject: str
    pattern: str


class LogRules(Frozen):
    """What is read from the log. Every pattern is a regular expression in RE2 syntax, searched in each line."""

    progress: tuple[ProgressRule, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    fail_on_error_line: bool = False


class PromisedOutput(Frozen):
    """Files that must exist at the end: at least one match of `glob`, each at least `min_size_bytes`."""

    glob: str
    min_size_bytes: int = 0


class Retries(Frozen):
    """How often, and after which ends, a stage is tried again."""

    count: int = Field(default=0, ge=0)
    when: tuple[RetryCause | int, ...] = ("lost",)
    wait_s: float = 10.0
    backoff: float = Field(default=2.0, ge=1.0)


class Highlight(Frozen):
    """An output worth a preview."""

    glob: str
    title: str = ""


class RetentionRule(Frozen):
    """What housekeeping may delete, and when: what is neither of the latest `attempts` nor younger than `days`.

    Without either, the rule keeps for good. Of the rules that cover a file, the first decides.
    """

    what: Literal["outputs", "failed", "logs"] = "outputs"
    glob: str = "**"
    attempts: int | None = None
    days: float | None = None


class NeedsInput(Frozen):
    """A human is asked before the stage runs; with `asked`, only when the stage itself ends by asking."""

    when: Literal["always", "once", "unset", "asked"] = "once"
    message: str = ""
    variables: tuple[str, ...] = ()
    form: tuple[FormField, ...] = ()

    @property
    def asks(self) -> Form:
        """What the person is shown."""
        return Form(message=self.message, form=self.form)

    @property
    def watched(self) -> tuple[str, ...]:
        """The variables that `unset` looks at: `variables`, or those of the form."""
        return self.variables or self.asks.variables


class ProjectInput(Frozen):
    """What a project brings: one file (or directory) under a name."""

    kind: Literal["video", "image", "table", "json", "model", "file", "directory"] = "file"
    suffixes: tuple[str, ...] = ()
    required: bool = True
    description: str = ""


class Stage(Frozen):
    """One stage, with the pipeline's defaults already applied.

    `env`, `args` and `command` are templates (substitution.py). `env` holds the stage's own variables only, so that a
    value may refer to what it covers: `resolve_environment([pipeline.env, stage.env, …], …)` puts them together.
    """

    name: Name
    description: str = ""
    image: str | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
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
    retention: tuple[RetentionRule, ...] = ()


class Pipeline(Frozen):
    """A whole pipeline. Stages are in file order; `after` is always explicit here."""

    name: Name
    description: str = ""
    env: dict[str, str] = Field(default_factory=dict)
    inputs: dict[Name, ProjectInput] = Field(default_factory=dict)
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage:
        """The stage of that name. Raises KeyError."""
        return {stage.name: stage for stage in self.stages}[name]
