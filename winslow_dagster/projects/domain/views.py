"""What commands return. `--json` prints these shapes, so that fields are only ever added."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from winslow_dagster.actions import Action
from winslow_dagster.errors import StageFailed
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.pipelines.variables import Variables
from winslow_dagster.projects.domain.actor import Role
from winslow_dagster.projects.domain.todo import Todo
from winslow_dagster.stages.task.model import CheckResult, LogFinding, SubjectProgress

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
VariableOrigin = Literal["installation", "pipeline", "stage", "project", "answer", "run", "settings"]
"""Later ones win. `settings` are those that a run has for one stage."""
ManyAct = Literal["pause", "resume", "cancel", "tag", "untag", "delete", "restore", "dismiss", "undismiss"]
"""What is done to many projects at once."""
PipelineVersion = Literal["pinned", "current"]
"""Which version of its pipeline a project runs: the one that it ran first, or the file as it is now."""
NextAction = Literal["run", "pause", "resume", "answer", "pick", "redo", "sweep", "cancel"]


class View(Frozen):
    """A frozen value, equal by content."""


class StageView(View):
    """One stage of a project: its latest attempt, or why there is none.

    `reason` is empty when it succeeded; while it runs, it is what its runner waits for, such as the store, or empty.
    `outdated` is why its current outputs are out of date.
    `gpus` are the ids of those that it has or had. `attempts` counts all attempts; `in_use` is the task id of the
    attempt whose outputs later stages use.
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
    gpus: tuple[str, ...] = ()
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


class GivenAnswer(View):
    """An answer that somebody gave. `version` counts those to the stage's questions."""

    version: int
    given_by: str
    given_at: datetime
    accepted: bool
    values: dict[str, Any]


class Draft(View):
    """What somebody has entered for a question and not sent yet. `version` counts the changes."""

    author: str
    version: int
    saved_at: datetime
    values: dict[str, Any]


class QuestionDetails(View):
    """A question with what people have entered. `is_open`: it waits for an answer; else it was answered.

    `previous`: the latest answer to a question of the stage. `outdated`: the stages whose outputs another answer makes
    out of date. `drafts`: of everybody, the newest first.
    """

    question: QuestionView
    is_open: bool
    previous: GivenAnswer | None = None
    outdated: tuple[str, ...] = ()
    drafts: tuple[Draft, ...] = ()


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
    owner: str = ""


ProjectSort = Literal["name", "changed_at", "created_at", "state", "pipeline", "owner"]
ProjectGroup = Literal["pipeline", "state", "owner", "tag"]
ProjectMark = Literal["noted"]
"""`noted`: somebody has taken note that its latest run failed, so that it waits for nobody."""


class ProjectFilter(View):
    """Which projects to list. An empty field does not restrict; `not_…` excludes.

    A project has one state, pipeline and owner: it has to have any of those listed. It has to have all of `tags` and
    `marks`, and all `texts` are looked for in its name, notes and tags, whatever their case.
    """

    states: tuple[ProjectState, ...] = ()
    not_states: tuple[ProjectState, ...] = ()
    marks: tuple[ProjectMark, ...] = ()
    not_marks: tuple[ProjectMark, ...] = ()
    pipelines: tuple[str, ...] = ()
    not_pipelines: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    not_owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    not_tags: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    not_texts: tuple[str, ...] = ()


class ProjectQuery(ProjectFilter):
    """Which projects to list, in which order, and which page of them.

    With `group`, the projects of a group come one after the other: those with the same first tag, for example.
    """

    group: ProjectGroup | None = None
    sort: ProjectSort = "name"
    descending: bool = False
    limit: int = Field(default=50, ge=1, le=1000)
    offset: int = Field(default=0, ge=0)


class ProjectPage(View):
    """One page of projects. `total` counts those on all pages, and `groups` those of each group on all pages."""

    projects: tuple[ProjectSummary, ...]
    total: int
    groups: dict[str, int] = Field(default_factory=dict)


class SavedView(View):
    """A list of projects that a person saved under a name. Others see it if it is shared."""

    owner: str
    name: str
    filter: str = ""
    sort: ProjectSort = "created_at"
    descending: bool = True
    group: ProjectGroup | None = None
    shared: bool = False


class FilterWords(View):
    """What the words of a filter line can be compared with: the values that are in use, the most used first."""

    states: tuple[ProjectState, ...]
    marks: tuple[ProjectMark, ...]
    tags: tuple[str, ...]
    pipelines: tuple[str, ...]
    owners: tuple[str, ...]


class ActResult(View):
    """What came of an action on one of many projects. `text` says what was done, or why it was not."""

    project: str
    done: bool
    text: str


@dataclass(frozen=True, slots=True)
class StageMark:
    """One stage of a project in short. `fraction` is how much a running one has done, from 0 to 1, if it says so."""

    stage: str
    state: StageState
    outdated: bool = False
    fraction: float | None = None


class ProjectProgress(View):
    """How far a project has come.

    `fraction` is the part of its stages that is done, from 0 to 1. `expected_end` is when its run will end, or wait for
    a person, if each stage starts as soon as it can: an estimate, and None where too little is known. Other outputs
    have another `outputs_version`, which is empty if there are none.
    """

    stages: tuple[StageMark, ...]
    fraction: float | None = None
    expected_end: datetime | None = None
    outputs_version: str = ""


NeedKind = Literal["question", "pick", "failed", "interrupted", "file"]


class Need(View):
    """Something that waits for a person: a project, or a file found in a watched folder that was not ingested.

    `action` is what the person can do. A file, which has none, is retried by its id.
    """

    kind: NeedKind
    reason: str
    since: datetime
    project: str | None = None
    pipeline: str = ""
    stage: str | None = None
    owner: str = ""
    file: int | None = None
    path: str = ""
    action: Action | None = None


class Dismissal(View):
    """Somebody has taken note that the latest run failed: the project no longer waits for a person."""

    run_id: str
    dismissed_at: datetime
    dismissed_by: str


class Needs(View):
    """What waits for a person, the latest first: as many as asked for of `total`."""

    needs: tuple[Need, ...]
    total: int


class Counters(View):
    """How many projects and files wait for a person, how many projects run, and how many have failed."""

    needs_you: int
    running: int
    failed: int


Proof = Literal["session", "token", "proxy", "service"]
"""How the sender of a request has proved who it is: a session, a token, a trusted proxy, or a file of the home."""


class Me(View):
    """Who sends the request, and how that was proved."""

    name: str
    display_name: str
    role: Role
    proof: Proof


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

    def raise_if_failed(self) -> None:
        """Raise StageFailed if its run failed or was cancelled."""
        if self.state in {"failed", "cancelled"}:
            remedy = Action("resume_project", {"project": self.project})
            raise StageFailed(self.reason, where=f"project {self.project}", remedy=remedy)

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


class Variable(View):
    """One variable of a stage, and where its value comes from.

    `value` is as the stage saw it, `template` as it was written; they differ where the template refers to others. A
    secret has no value, only its name. `overrides` are the templates of lower origins, the lowest first.
    """

    name: str
    value: str
    template: str
    origin: VariableOrigin
    secret: bool = False
    overrides: tuple[tuple[VariableOrigin, str], ...] = ()


class HistoryPage(View):
    """Some attempts, the latest first. `total` counts all of them."""

    lines: tuple[HistoryLine, ...]
    total: int


class ReadTree(View):
    """Files that an attempt read: the outputs of a stage, or an input of the project."""

    name: str
    files: int
    size_bytes: int


class StageSettings(View):
    """What an attempt ran with, or, without `task_id`, what the stage would run with.

    `args` and `command` are as the stage saw them. `note` says why variables could not be filled in. `inputs` are the
    stages whose outputs it read, `resources` the project's inputs, each with files and size.
    """

    stage: str
    task_id: str | None
    variables: tuple[Variable, ...]
    command: tuple[str, ...]
    args: tuple[str, ...]
    image: str | None
    image_digest: str | None
    mode: str | None
    cpus: float
    memory_bytes: int | None
    shm_size_bytes: int | None
    gpu: Gpu | None
    node_tags: tuple[str, ...]
    network: bool
    timeout_s: float | None
    stop_grace_period_s: float
    inputs: tuple[ReadTree, ...] = ()
    resources: tuple[ReadTree, ...] = ()
    note: str = ""


class AttemptDetails(View):
    """One attempt in full: its line in the history, and what its runner reported.

    `errors` and `warnings` are the first and last lines that matched the rules; the counts are complete.
    """

    line: HistoryLine
    exit_code: int | None = None
    peak_memory_bytes: int | None = None
    gpus: tuple[str, ...] = ()
    unenforced: tuple[str, ...] = ()
    results: dict[str, str] = Field(default_factory=dict)
    progress: tuple[SubjectProgress, ...] = ()
    warning_count: int = 0
    error_count: int = 0
    errors: tuple[LogFinding, ...] = ()
    warnings: tuple[LogFinding, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    output_files: int = 0
    output_bytes: int = 0


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
