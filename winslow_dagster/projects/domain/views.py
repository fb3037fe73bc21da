"""What commands return. `--json` prints these shapes, so that fields are only ever added."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.variables import Variables
from winslow_dagster.projects.domain.todo import Todo
from winslow_dagster.stages.task.model import SubjectProgress

StageState = Literal["pending", "waiting", "running", "succeeded", "failed", "cancelled", "awaiting_input"]
ProjectState = Literal[
    "idle",
    "queued",
    "running",
    "pausing",
    "paused",
    "awaiting_input",
    "cancelling",
    "interrupted",
    "succeeded",
    "failed",
    "cancelled",
]
OVER: frozenset[ProjectState] = frozenset({"idle", "paused", "awaiting_input", "succeeded", "failed", "cancelled"})
"""Nothing happens in these states until a person acts."""
NextAction = Literal["run", "pause", "resume", "answer", "pick", "redo", "sweep", "cancel"]


class View(Frozen):
    """A frozen value, equal by content."""


class StageView(View):
    """One stage of a project: its latest attempt, or why there is none.

    `reason` is empty when it succeeded; while it runs, it is what its runner waits for, such as the store, or empty.
    `outdated` is why its current outputs are out of date.
    `attempts` counts all attempts; `in_use` is the task id of the attempt whose outputs later stages use.
    """

    stage: str
    state: StageState
    reason: str = ""
    outdated: str = ""
    attempt: int | None = None
    task_id: str | None = None
    run_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    node: str = ""
    mode: str | None = None
    progress: tuple[SubjectProgress, ...] = ()
    warning_count: int = 0
    error_count: int = 0
    results: dict[str, str] = Field(default_factory=dict)
    output_files: int = 0
    output_bytes: int = 0
    attempts: int = 0
    in_use: str | None = None


class InputView(View):
    """One input file of a project."""

    name: str
    original_path: str
    version: int
    size_bytes: int
    added_at: datetime
    added_by: str


class QuestionView(View):
    """A question to answer before a stage can run. `asked_by_attempt`: the attempt that asked it, if one did."""

    pipeline: str
    stage: str
    message: str
    form: tuple[dict[str, Any], ...] = ()
    asked_by_attempt: str | None = None


class ProjectSummary(NamedTuple):
    """One line of the list of projects."""

    project: str
    pipeline: str
    state: ProjectState
    reason: str
    tags: tuple[str, ...]
    run_id: str | None
    changed_at: datetime
    created_by: str


ProjectSort = Literal["name", "changed_at", "created_at", "state"]


class ProjectQuery(View):
    """Which projects to list, in which order, and which page of them. An empty field does not restrict.

    `text` is looked for in names, notes and tags, whatever its case. A project has to have all of `tags`.
    """

    states: tuple[ProjectState, ...] = ()
    text: str = ""
    tags: tuple[str, ...] = ()
    pipeline: str | None = None
    sort: ProjectSort = "name"
    descending: bool = False
    limit: int = Field(default=50, ge=1, le=1000)
    offset: int = Field(default=0, ge=0)


class ProjectPage(View):
    """One page of projects. `total` counts those on all pages."""

    projects: tuple[ProjectSummary, ...]
    total: int


class PipelineView(View):
    """The stages and open questions of a pipeline in a project, in the version that the project ran last.

    `problem` is why that version cannot be read; empty if it can.
    """

    pipeline: str
    pipeline_digest: str
    problem: str = ""
    stages: tuple[StageView, ...] = ()
    questions: tuple[QuestionView, ...] = ()


class ProjectStatus(View):
    """A project's status. `reason` is why it is not running, empty while it runs.

    `stages` and `questions` are those of its pipeline; `other_pipelines` has those of others that it ran through, the
    one that ran last first. `missing_inputs` are those that its pipeline requires and that it does not have yet.

    `actions` are what a person can do next, the most likely first (`next_steps.py` adds what they need). `sweep_stage`
    is the stage of the sweep that is in progress or has ended, and `sweep` its id.
    """

    project: str
    pipeline: str
    pipeline_digest: str
    pipeline_changes: tuple[str, ...]
    state: ProjectState
    reason: str
    run_id: str | None
    created_at: datetime
    created_by: str
    env: Variables
    inputs: tuple[InputView, ...]
    stages: tuple[StageView, ...]
    actions: tuple[NextAction, ...] = ()
    questions: tuple[QuestionView, ...] = ()
    sweep: str | None = None
    sweep_stage: str | None = None
    tags: tuple[str, ...] = ()
    notes: str = ""
    todos: tuple[Todo, ...] = ()
    other_pipelines: tuple[PipelineView, ...] = ()
    missing_inputs: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing happens until a person acts."""
        return self.state in OVER

    def stage(self, name: str) -> StageView:
        """The stage of that name: of the project's pipeline, or else of the one that ran last. Raises KeyError."""
        views = (*self.stages, *(view for each in self.other_pipelines for view in each.stages))
        return {view.stage: view for view in reversed(views)}[name]


class HistoryLine(View):
    """One attempt of one stage in a project's history: its settings, its outcome, who requested it and why.

    `number` counts the stage's attempts over all runs. `settings` is what its run changed about the stage.
    """

    task_id: str
    stage: str
    number: int
    pipeline: str
    pipeline_version: str
    started_at: datetime
    duration_s: float | None
    outcome: str | None
    message: str
    node: str
    image_digest: str | None
    run_id: str
    requested_by: str
    via: str
    reason: str
    settings: dict[str, Any] = Field(default_factory=dict)
    reused_from: str | None = None
    outputs_removed_at: datetime | None = None


class ProjectFile(View):
    """One output file of a stage of a project's pipeline, stored in the tree `address` as `stored_path`.

    `local_path` is where this machine can read it; None if it has to be fetched first.
    """

    pipeline: str
    stage: str
    path: str
    size_bytes: int
    blake3: str
    address: str
    stored_path: str
    local_path: Path | None
