"""One stage attempt as values: the order to a runner (`StageTask`), its status, and its result (`StageResult`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.model.output_checks import Check, Severity
from winslow_dagster.pipelines.model.stage_rules import Gpu, LogRules, PromisedOutput
from winslow_dagster.pipelines.variables import SecretReference, Variables, secrets_of
from winslow_dagster.storage.manifest import Manifest

Outcome = Literal["succeeded", "failed", "cancelled", "timed_out", "out_of_memory", "lost", "awaiting_input"]
Phase = Literal["submitted", "waiting", "fetching", "running", "storing", "ended"]

PRIORITY_STEP = 1000
"""Between two priorities, so that an order fits in between: a task has its priority times this, until it gets another
number (`Engine.set_priorities`)."""


class NodeGpu(Frozen):
    """One GPU of a node, or an instance that MIG has made of one: that has the index of its GPU."""

    uuid: str
    index: int
    vendor: str
    name: str
    memory_bytes: int
    driver: str = ""
    device_files: tuple[str, ...] = Field(default=(), description="What a program opens to use it, and no other one.")


class StageTask(Frozen):
    """Everything a runner needs to run one attempt of one stage.

    `env_layers` and `args` are templates: the runner substitutes `${VAR}` once it knows the directories of the stage.
    `task_id` is `<run id>.<stage>.<attempt>`, safe as a file name and as a container name. Submitting the same id
    twice yields the same attempt.
    """

    task_id: str
    project: str
    pipeline: str
    stage: str
    attempt: int = 1
    run_id: str
    image: str | None = None
    command: tuple[str, ...] = Field(default=(), description="Program of process mode, before `args`.")
    args: tuple[str, ...] = ()
    env_layers: tuple[Variables, ...] = Field(
        default=(), description="Pipeline, stage, project, run: later ones win and may refer to earlier values."
    )
    inputs: dict[str, Manifest] = Field(default_factory=dict, description="Upstream stage -> its outputs.")
    resources: dict[str, Manifest] = Field(default_factory=dict, description="Project input -> its file(s).")
    continues: str | None = Field(
        default=None,
        description="Task id of an earlier attempt that ended too early; its checkpoint is taken over.",
    )
    output_address: str = Field(description="Where in the store the outputs go.")
    log_address: str = Field(description="Where in the store the finished log goes.")
    store_url: str
    s3_endpoint: str | None = None
    mode: Literal["auto", "docker", "process"] = "auto"
    cpus: float = 1.0
    memory_bytes: int | None = None
    shm_size_bytes: int | None = None
    gpu: Gpu | None = None
    node_tags: tuple[str, ...] = Field(default=(), description="Tags that the node must have, all of them.")
    priority: int = Field(default=0, description="Of stages that wait for GPUs, those with a higher one go first.")
    network: bool = False
    timeout_s: float | None = None
    stop_grace_period_s: float = Field(default=10.0, description="Between TERM and KILL.")
    success_exit_codes: tuple[int, ...] = (0,)
    awaiting_input_exit_code: int = 75
    outputs: tuple[PromisedOutput, ...] = ()
    checks: tuple[Check, ...] = ()
    log_rules: LogRules

    @property
    def secrets(self) -> dict[str, SecretReference]:
        """The variables whose value is a secret. The task never has the value itself."""
        return secrets_of(self.env_layers)


class SubjectProgress(Frozen):
    """Progress of one subject (frames, vehicles, …). `remaining_s` is None while it cannot be estimated."""

    subject: str
    current: float
    total: float | None = None
    unit: str = ""
    elapsed_s: float = 0.0
    remaining_s: float | None = None


class LogFinding(Frozen):
    """One warning or error line. `line` counts from 1 over the whole log."""

    line: int
    text: str


class LogSummary(Frozen):
    """What the log rules found. The counts are complete; of the findings, the first and last few are kept."""

    lines: int = 0
    size_bytes: int = 0
    warning_count: int = 0
    error_count: int = 0
    warnings: tuple[LogFinding, ...] = ()
    errors: tuple[LogFinding, ...] = ()
    results: dict[str, str] = Field(default_factory=dict)
    progress: tuple[SubjectProgress, ...] = ()
    awaiting_input_message: str | None = None
    notes: tuple[str, ...] = Field(default=(), description="What was not read, and why: patterns that were disabled.")


class UsageCurve(Frozen):
    """What an attempt used over its time: means over equal steps, which grow as it runs on.

    `at` are the beginnings of the steps (seconds since 1970). `cpus` are processors, None where nobody knows.
    """

    step_s: int = 1
    at: tuple[int, ...] = ()
    cpus: tuple[float | None, ...] = ()
    memory_bytes: tuple[int | None, ...] = ()


class StageStatus(Frozen):
    """The state of a running attempt. Its runner rewrites it about once a second."""

    task_id: str
    phase: Phase
    reason: str = Field(default="", description="Why the stage is not running, for a person to act on.")
    node: str = ""
    mode: Literal["docker", "process"] | None = None
    runner_pid: int | None = None
    updated_at: datetime
    started_at: datetime | None = None
    gpus: tuple[str, ...] = Field(default=(), description="The ids of the GPUs that it has.")
    log: LogSummary = LogSummary()


class CheckResult(Frozen):
    """The result of one check of a stage's outputs. A failed check does not fail the attempt."""

    name: str
    passed: bool
    severity: Severity
    blocking: bool = Field(description="Whether the project stops after the stage if the check fails.")
    message: str = Field(description="One sentence: what was found, and where.")
    file: str = Field(default="", description="The file concerned, relative to the output directory.")
    observed: dict[str, str | float] = Field(default_factory=dict, description="Observed values, such as `rows`.")


class StageResult(Frozen):
    """How an attempt ended."""

    task_id: str
    outcome: Outcome
    message: str = Field(description="One sentence: what happened, where, what to do.")
    exit_code: int | None = None
    started_at: datetime
    ended_at: datetime
    node: str
    mode: Literal["docker", "process"] | None = None
    image_digest: str | None = None
    peak_memory_bytes: int | None = None
    unenforced: tuple[str, ...] = Field(default=(), description="Limits that this node could not enforce.")
    gpus: tuple[str, ...] = ()
    usage: UsageCurve | None = None
    outputs: Manifest | None = Field(default=None, description="Set if the attempt succeeded or awaits input.")
    log: LogSummary = LogSummary()
    log_manifest: Manifest | None = None
    checks: tuple[CheckResult, ...] = ()
    form: tuple[dict[str, Any], ...] | None = Field(
        default=None, description="The fields of the form that the stage wrote, if it awaits input."
    )

    @property
    def duration_s(self) -> float:
        """Wall time from the program's start (or the runner's, if it never started) to its end."""
        return (self.ended_at - self.started_at).total_seconds()
