"""One stage attempt as a value: what is asked of a runner (`StageTask`), and what came of it (`StageResult`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.pipelines.model.output_checks import Check, Severity
from winslow_dagster.pipelines.model.pipeline import Gpu, LogRules, PromisedOutput
from winslow_dagster.storage.manifest import Manifest

Outcome = Literal["succeeded", "failed", "cancelled", "timed_out", "out_of_memory", "lost", "awaiting_input"]
Phase = Literal["submitted", "waiting", "fetching", "running", "storing", "ended"]


class Frozen(BaseModel):
    """A value: equal by content, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeGpu(Frozen):
    """One GPU of a node."""

    uuid: str
    index: int
    vendor: str
    name: str
    memory_bytes: int


class StageTask(Frozen):
    """Everything a runner needs to run one attempt of one stage; nothing else is consulted.

    `env_layers` and `args` are templates: the runner substitutes `${VAR}` once it knows the directories the stage sees.
    `task_id` is `<run id>.<stage>.<attempt>`; it is safe as a file name and as a container name, and whoever submits
    the same id twice gets the same attempt.
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
    env_layers: tuple[dict[str, str], ...] = Field(
        default=(), description="Pipeline, stage, project, run: later ones win, and may refer to what they cover."
    )
    inputs: dict[str, Manifest] = Field(default_factory=dict, description="Upstream stage -> its outputs.")
    resources: dict[str, Manifest] = Field(default_factory=dict, description="Project input -> its file(s).")
    continues: str | None = Field(
        default=None,
        description="Task id of an attempt at the same that ended too early: its checkpoint is taken over.",
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
    network: bool = False
    timeout_s: float | None = None
    stop_grace_period_s: float = Field(default=10.0, description="Between TERM and KILL.")
    success_exit_codes: tuple[int, ...] = (0,)
    awaiting_input_exit_code: int = 75
    outputs: tuple[PromisedOutput, ...] = ()
    checks: tuple[Check, ...] = ()
    log_rules: LogRules


class SubjectProgress(Frozen):
    """How far one subject (frames, vehicles, …) has come. `remaining_s` is None until it can be told."""

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
    """What the log rules found. Counts are complete; the findings are the first and the last few."""

    lines: int = 0
    size_bytes: int = 0
    warning_count: int = 0
    error_count: int = 0
    warnings: tuple[LogFinding, ...] = ()
    errors: tuple[LogFinding, ...] = ()
    results: dict[str, str] = Field(default_factory=dict)
    progress: tuple[SubjectProgress, ...] = ()
    awaiting_input_message: str | None = None
    notes: tuple[str, ...] = Field(default=(), description="What could not be read, and why: patterns given up.")


class StageStatus(Frozen):
    """What a running attempt looks like from outside, rewritten whole by its runner about once a second."""

    task_id: str
    phase: Phase
    reason: str = Field(default="", description="Why it is not running, in words a person can act on.")
    node: str = ""
    mode: Literal["docker", "process"] | None = None
    runner_pid: int | None = None
    updated_at: datetime
    started_at: datetime | None = None
    log: LogSummary = LogSummary()


class CheckResult(Frozen):
    """What came of one check of a stage's outputs. A check that is not passed does not make the attempt fail."""

    name: str
    passed: bool
    severity: Severity
    blocking: bool = Field(description="Whether the project stops behind the stage if it is not passed.")
    message: str = Field(description="One sentence: what was found, and where.")
    file: str = Field(default="", description="The file it is about, below the output directory.")
    observed: dict[str, str | float] = Field(default_factory=dict, description="What was seen, such as `rows`.")


class StageResult(Frozen):
    """How an attempt ended. Written once."""

    task_id: str
    outcome: Outcome
    message: str = Field(description="One sentence for a person: what happened, where, what to do.")
    exit_code: int | None = None
    started_at: datetime
    ended_at: datetime
    node: str
    mode: Literal["docker", "process"] | None = None
    image_digest: str | None = None
    peak_memory_bytes: int | None = None
    unenforced: tuple[str, ...] = Field(default=(), description="Limits this node could not enforce.")
    gpus: tuple[str, ...] = ()
    outputs: Manifest | None = Field(default=None, description="Of an attempt that succeeded, or that asks a person.")
    log: LogSummary = LogSummary()
    log_manifest: Manifest | None = None
    checks: tuple[CheckResult, ...] = ()
    form: tuple[dict[str, Any], ...] | None = Field(
        default=None, description="The fields of the form it wrote, where it found that it needs a person."
    )

    @property
    def duration_s(self) -> float:
        """Wall time from the program's start (where it never began: the runner's) to its end."""
        return (self.ended_at - self.started_at).total_seconds()
