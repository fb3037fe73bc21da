"""The front door: every action on an installation and every view of it, for shell, Python, sensors and pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from winslow_dagster.engines.engine import AgentDesk, Engine, Node, NodeUsage
from winslow_dagster.pipelines import Catalogue, LoadedPipeline
from winslow_dagster.projects.accounts.service import AccountService
from winslow_dagster.projects.commands.attempt_address import AttemptAddress
from winslow_dagster.projects.commands.charts import ChartCommands
from winslow_dagster.projects.commands.comparisons import ComparisonCommands
from winslow_dagster.projects.commands.context import Context, Resources, Services
from winslow_dagster.projects.commands.deletion import deleted_projects, purge
from winslow_dagster.projects.commands.demo import PIPELINE as DEMO_PIPELINE
from winslow_dagster.projects.commands.demo import free_name, rendering
from winslow_dagster.projects.commands.diagnosis import Finding, findings, versions
from winslow_dagster.projects.commands.footage_checks import FootageCheckCommands
from winslow_dagster.projects.commands.images import ImageView, images
from winslow_dagster.projects.commands.launch import create, launch
from winslow_dagster.projects.commands.launch_request import LaunchRequest
from winslow_dagster.projects.commands.many import act_on
from winslow_dagster.projects.commands.nodes import NodeCommands
from winslow_dagster.projects.commands.pipelines import PipelineCommands
from winslow_dagster.projects.commands.pool import PoolCommands
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.commands.project_check import NewProject, ProjectFault, faults_of
from winslow_dagster.projects.commands.queue import QueueCommands
from winslow_dagster.projects.commands.quotas import QuotaCommands
from winslow_dagster.projects.commands.run import Run
from winslow_dagster.projects.commands.secrets import SecretCommands, given_variables
from winslow_dagster.projects.commands.shares import ShareCommands
from winslow_dagster.projects.commands.space import SpaceCommands
from winslow_dagster.projects.commands.uploads import UploadCommands
from winslow_dagster.projects.commands.variables import VariableCommands
from winslow_dagster.projects.comparison.compare import Comparison, CrossTable
from winslow_dagster.projects.dagster_api.serving import RunningService, running_services
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.change_feed import ChangeFeed, Changes
from winslow_dagster.projects.database.dismissals import DISMISSED, Dismissals
from winslow_dagster.projects.database.permission import Permissions
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.database.saved_views import SavedViews
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.audit import MOST_SHOWN, AuditChoices, AuditEntry, AuditPage, AuditQuery
from winslow_dagster.projects.domain.deletion import DeletedProject, PurgeResult
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.project_filter import parse_filter
from winslow_dagster.projects.domain.views import (
    ActResult,
    Counters,
    FilterWords,
    ManyAct,
    Needs,
    PipelineVersion,
    ProjectPage,
    ProjectProgress,
    ProjectQuery,
    ProjectStatus,
    ProjectSummary,
    SavedView,
)
from winslow_dagster.projects.ingest.service import IngestService
from winslow_dagster.projects.inputs.input_storage import UploadStarted
from winslow_dagster.projects.inputs.resource_pool import GivenInput, Pool, sources
from winslow_dagster.projects.notifications.service import NotificationService
from winslow_dagster.projects.retention.service import RetentionService
from winslow_dagster.projects.status.filter_words import filter_words
from winslow_dagster.projects.status.needs import STATES as NEEDING
from winslow_dagster.projects.status.needs import project_needs
from winslow_dagster.projects.status.project_list import count_states, find_projects, list_projects
from winslow_dagster.projects.status.project_progress import progress_of
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import StageStatus
from winslow_dagster.storage.store import Store

NEEDS_SHOWN = 50


class Installation:
    """One installation, safe to use from many threads. A context manager: it stops the services that it started.

    `acting_as` returns the same installation for another actor. Tests and servers may pass records, store or engine.
    """

    def __init__(  # noqa: PLR0913  # the last three by name, for those who have them already
        self,
        settings: Settings,
        services: Services,
        actor: Actor | None = None,
        *,
        records: ProjectRecords | None = None,
        store: Store | None = None,
        engine: Engine | None = None,
    ) -> None:
        resources = Resources(settings, services, records=records, store=store, engine=engine)
        self.context = Context(settings, resources, actor or Actor())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the services that were started for this, and close the database connections."""
        self.context.resources.close()

    def acting_as(self, actor: Actor) -> Installation:
        """The same installation for another actor: `installation.acting_as(anna).project("ulm").pause()`."""
        other = Installation.__new__(Installation)
        other.context = self.context.acting_as(actor)
        return other

    @property
    def settings(self) -> Settings:
        """The installation's settings."""
        return self.context.settings

    @property
    def address(self) -> str:
        """URL of the web server; where it would serve if it is not running."""
        return self.context.resources.services.address

    @property
    def services_running(self) -> bool:
        """Whether the services answer now."""
        return self.context.resources.services.running()

    @property
    def agent_desk(self) -> AgentDesk:
        """Where the agents on other machines report. Raises NotFound where stages run on this machine."""
        return self.context.engine.agent_desk()

    # pipelines

    @property
    def charts(self) -> ChartCommands:
        """Charts that people saved for the results of stages."""
        return ChartCommands(self.context)

    def pipelines(self) -> Catalogue:
        """All pipeline files, with the errors of those that cannot be used."""
        return self.context.pipelines()

    def pipeline(self, name: str) -> LoadedPipeline:
        """One pipeline. Raises NotFound, and PipelineInvalid with all errors of its file."""
        return self.context.pipeline(name)

    @property
    def pipeline_files(self) -> PipelineCommands:
        """Pipeline files, valid or not, with their sources, versions and users."""
        return PipelineCommands(self.context)

    def images(self) -> tuple[ImageView, ...]:
        """The images that the pipelines name, and whether they are on the node."""
        return images(self.context)

    # projects

    def projects(self) -> tuple[ProjectSummary, ...]:
        """All projects by name, with their states."""
        resources = self.context.resources
        return list_projects(self.context.records, resources.dagster_if_running, resources.pipeline_version)

    def find_projects(self, query: ProjectQuery) -> ProjectPage:
        """One page of the projects that match the query, and how many match. The database selects and sorts."""
        resources = self.context.resources
        return find_projects(self.context.records, resources.dagster_if_running, resources.pipeline_version, query)

    def progress_of(self, projects: Iterable[str]) -> dict[str, ProjectProgress]:
        """How far these projects have come, and when their runs are expected to end. Unknown names are left out."""
        resources = self.context.resources
        return progress_of(self.context.records, resources.pipeline_version, self.context.engine.status, projects)

    def needs(self, limit: int = NEEDS_SHOWN) -> Needs:
        """What waits for a person: open questions, sweeps to pick from, failed and interrupted projects, and files.

        The latest first, at most `limit` projects and as many files found in watched folders. Failures that somebody
        has dismissed are left out.
        """
        query = ProjectQuery(states=NEEDING, sort="changed_at", descending=True, limit=limit)
        records, resources = self.context.records, self.context.resources
        read = (records, resources.dagster_if_running, resources.pipeline_version)
        projects, files = find_projects(*read, query, ~DISMISSED), self.ingest.needs(limit)
        needs = (*project_needs(self.context.records.database, projects.projects), *files.needs)
        return Needs(
            needs=tuple(sorted(needs, key=lambda need: need.since, reverse=True)), total=projects.total + files.total
        )

    def counters(self) -> Counters:
        """How many projects and files wait for a person, and how many projects run or have failed."""
        states = count_states(self.context.records, self.context.resources.dagster_if_running)
        waiting = sum(states.get(state, 0) for state in NEEDING)
        return Counters(
            needs_you=waiting - Dismissals(self.context.records.database).count() + self.ingest.needs(0).total,
            running=states.get("running", 0) + states.get("pausing", 0),
            failed=states.get("failed", 0),
        )

    def act_on(
        self, projects: Iterable[str], act: ManyAct, tags: Iterable[str] = (), *, reason: str = ""
    ) -> tuple[ActResult, ...]:
        """Do the same to many projects. Says for each what came of it. Raises InputRejected.

        `tags` are for `tag` and `untag`, and `reason` is for `delete`.
        """
        return act_on(self.context, act, projects, tags, reason)

    def filter_words(self) -> FilterWords:
        """The values that a filter of projects can have."""
        return filter_words(self.context.records.database)

    def saved_views(self) -> tuple[SavedView, ...]:
        """The actor's saved lists of projects, and those that others share."""
        return SavedViews(self.context.records.database).of(self.context.actor.who)

    def save_view(self, view: SavedView) -> SavedView:
        """Save a list of projects as the actor's; one of the same name is replaced. Raises InputRejected."""
        parse_filter(view.filter)
        own = view.model_copy(update={"owner": self.context.actor.who})
        SavedViews(self.context.records.database).save(own)
        return own

    def delete_view(self, name: str) -> None:
        """Delete one of the actor's saved lists. Raises NotFound."""
        SavedViews(self.context.records.database).delete(self.context.actor.who, name)

    def deleted_projects(self) -> tuple[DeletedProject, ...]:
        """The deleted projects, the last one first, and when each is removed for good."""
        return deleted_projects(self.context)

    def purge(self, project: str) -> PurgeResult:
        """Remove a deleted project for good. Only administrators may. What other projects use of it stays.

        Raises ProjectConflict for one that is not deleted, StoreError, EngineError; what is left then goes later.
        """
        return purge(self.context, project)

    def may_act_on(self, projects: Iterable[str]) -> frozenset[str]:
        """Those of the projects that the actor may act on."""
        return Permissions(self.context.records.database).may_act_on(self.context.actor, projects)

    def project(self, name: str) -> ProjectHandle:
        """One project. Raises NotFound. A deleted one can be restored; all else with it raises ProjectDeleted."""
        self.context.records.require_project(name)
        return ProjectHandle(self.context, name)

    def status(self, project: str) -> ProjectStatus:
        """The status of a project, without what only Dagster knows if its services are not running. Raises NotFound."""
        return self.context.status(project)

    def create(  # noqa: PLR0913  # what a person may say about a project; all but the first three by name
        self,
        pipeline: str,
        project: str,
        inputs: Mapping[str, GivenInput] | None = None,
        *,
        env: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        notes: str = "",
        upload: UploadStarted | None = None,
    ) -> ProjectHandle:
        """Create a project without running it. Inputs that the pipeline requires may follow with `run`.

        Raises NotFound, PipelineInvalid, InputRejected, ProjectConflict if the name is taken, StoreError.
        """
        request = LaunchRequest(
            project=project,
            pipeline=pipeline,
            inputs=sources(self._pool, inputs or {}),
            project_env=given_variables(env),
            tags=tuple(tags),
        )
        create(self.context, request, upload)
        if notes:
            Annotations(self.context.records.database).set_notes(project, notes)
        return ProjectHandle(self.context, project)

    def check_project(self, new: NewProject) -> tuple[ProjectFault, ...]:
        """What is wrong with a new project before it is created: nothing if it can be created and run."""
        return faults_of(self.context, new)

    def run(  # noqa: PLR0913  # what a person may say about a run; all but the first three by name
        self,
        pipeline: str,
        project: str,
        inputs: Mapping[str, GivenInput] | None = None,
        *,
        env: Mapping[str, Any] | None = None,
        start_from: str | Sequence[str] | None = None,
        stop_after: str | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        use: Mapping[str, str | int] | None = None,
        reuse: bool = False,
        pipeline_version: PipelineVersion = "pinned",
        reason: str = "",
        tags: Iterable[str] = (),
        upload: UploadStarted | None = None,
    ) -> Run:
        """Run the pipeline for the project, and return the run, which continues in the background.

        A project that does not exist is created: `inputs` are paths, which are copied into the store, `pool:NAME`, or
        streams, and `env` are the project's variables. An existing project keeps its pipeline version and runs the
        stages whose outputs are missing or out of date, or those from `start_from` on; `env` are then this run's
        variables. Another pipeline becomes the project's. A value of `env` is a text, or `{"secret": NAME}` for a
        stored secret; a text for a variable that the pipeline declares as a secret is stored as one.

        `settings` overrides settings of stages for this run: `{"detect": {"env": {"THRESHOLD": "0.4"}, "memory":
        "8GiB"}}`. `use` names attempts, by number or task id, whose outputs stages take instead of the latest. With
        `reuse`, a stage takes the outputs of an equal attempt of any project, if there is one. `upload` is called with
        name and size when an upload starts, and returns a callback for bytes transferred.

        Raises NotFound, PipelineInvalid, InputRejected, VariableMissing, ProjectConflict, StoreError,
        ServiceUnavailable; before anything is copied wherever that is possible.
        """
        handle = ProjectHandle(self.context, project)
        request = LaunchRequest(
            project=project,
            pipeline=pipeline,
            inputs=sources(self._pool, inputs or {}),
            project_env=given_variables(env),
            run_env=given_variables(env),
            start_from=(start_from,) if isinstance(start_from, str) else tuple(start_from or ()),
            stop_after=stop_after,
            overrides={stage: dict(override) for stage, override in (settings or {}).items()},
            use={stage: handle.attempt(stage, which).task_id for stage, which in (use or {}).items()},
            reuse=reuse,
            pipeline_version=pipeline_version,
            reason=reason,
            tags=tuple(tags),
        )
        return launch(self.context, "run", request, upload)

    def run_demo(self) -> Run:
        """Render a short film of a crossroads, and run the shipped pipeline for it in a project of its own.

        Raises NotFound if the pipeline or the program that renders the film is missing, StageFailed.
        """
        self.pipeline(DEMO_PIPELINE)
        with rendering(self.settings.home, lambda _text: None) as wait_for_film:
            inputs = wait_for_film()
        return self.run(DEMO_PIPELINE, free_name(self.context.records.names()), inputs)

    def compare(self, attempts: Sequence[AttemptAddress | str]) -> Comparison | CrossTable:
        """Two attempts side by side, or a table of more. They may be of different projects.

        A text names an attempt by `PROJECT:STAGE:ATTEMPT`, or by its task id. Raises NotFound, InputRejected.
        """
        return self.comparisons.two(*attempts) if len(attempts) == 2 else self.comparisons.many(attempts)  # noqa: PLR2004  # left, right

    @property
    def comparisons(self) -> ComparisonCommands:
        """Attempts side by side, part by part: parameters and results, files, rows of tables, curves, logs."""
        return ComparisonCommands(self.context)

    # the installation

    @property
    def pool(self) -> PoolCommands:
        """Files that any project may take as an input: `inputs={"video": "pool:NAME"}`."""
        return PoolCommands(self.context)

    @property
    def space(self) -> SpaceCommands:
        """What takes space, by kind, project, owner, stage and age."""
        return SpaceCommands(self.context)

    @property
    def quotas(self) -> QuotaCommands:
        """How much space projects and people may take."""
        return QuotaCommands(self.context)

    @property
    def uploads(self) -> UploadCommands:
        """Files on their way to the pool, in parts."""
        return UploadCommands(self.context)

    @property
    def footage_checks(self) -> FootageCheckCommands:
        """Whether videos of the pool can be read to their end."""
        return FootageCheckCommands(self.context)

    @property
    def shares(self) -> ShareCommands:
        """Links by which somebody without an account downloads one file or one folder."""
        return ShareCommands(self.context)

    @property
    def secrets(self) -> SecretCommands:
        """Values that stages need and nobody sees: passwords, tokens."""
        return SecretCommands(self.context)

    @property
    def variables(self) -> VariableCommands:
        """Variables that the installation gives to the stages of all pipelines, or of some."""
        return VariableCommands(self.context)

    @property
    def accounts(self) -> AccountService:
        """People and groups, and how they log in."""
        context = self.context
        return AccountService(context.records.database, context.settings, context.actor, context.clock)

    @property
    def ingest(self) -> IngestService:
        """Files found in watched folders."""
        return IngestService(self.context)

    @property
    def notifications(self) -> NotificationService:
        """Notification channels, and their messages."""
        context = self.context
        return NotificationService(lambda: context.records.database, context.settings, context.actor, context.clock)

    @property
    def retention(self) -> RetentionService:
        """Disk usage, pruning, pins, and the rules of projects."""
        context = self.context
        return RetentionService(context.records, context.store, context.settings, context.engine, context.actor)

    def audit(
        self, project: str | None = None, *, who: str | None = None, limit: int = MOST_SHOWN
    ) -> tuple[AuditEntry, ...]:
        """Who did what, the latest first: on all projects or one, of everybody or one person."""
        return self.find_audit_entries(AuditQuery(project=project, who=who, limit=limit)).entries

    def find_audit_entries(self, query: AuditQuery) -> AuditPage:
        """One page of the audit entries that match the query, the latest first."""
        return Audit(self.context.records.database).find(query)

    def audit_choices(self) -> AuditChoices:
        """The people and the actions by which audit entries can be found."""
        return Audit(self.context.records.database).choices()

    def nodes(self) -> tuple[Node, ...]:
        """The machines that run stages."""
        return self.context.engine.nodes()

    @property
    def machines(self) -> NodeCommands:
        """The machines that run stages: their use over time, who holds their GPUs, and draining them."""
        return NodeCommands(self.context)

    def node_usage(self) -> tuple[NodeUsage, ...]:
        """CPU, memory and disk in use on each node."""
        return self.context.engine.node_usage()

    def changes(self, since: str | None = None) -> Changes:
        """The projects and attempts that changed since a cursor, and the next cursor; without one, only the cursor.

        Cheap enough to call every second. A change may be reported twice, and is never left out.
        """
        return ChangeFeed(self.context.records.database).changes(since)

    def running_attempts(self) -> tuple[tuple[Attempt, StageStatus | None], ...]:
        """The attempts that have not ended, each with the status that its runner reports, if it has begun."""
        context = self.context
        return tuple((each, context.engine.status(each.task_id).status) for each in context.records.open_attempts())

    @property
    def queue(self) -> QueueCommands:
        """The run queue: what waits, why and until when; priorities and holds."""
        return QueueCommands(self.context)

    def services(self) -> tuple[RunningService, ...]:
        """The processes of the services; none if they are not running."""
        return running_services(self.settings)

    def versions(self) -> dict[str, str]:
        """Program -> version, of what the control plane consists of."""
        return versions()

    def diagnose(self) -> Iterator[Finding]:
        """Check everything that an installation needs, and say what is missing and how to get it."""
        return findings(self.context)

    @property
    def _pool(self) -> Pool:
        return self.pool.files
