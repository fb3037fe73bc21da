"""An installation over HTTP: the actions and values of the Python API, on another machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from winslow_dagster.client.compare import ComparisonClient
from winslow_dagster.client.http import Http, part
from winslow_dagster.client.ingest import IngestClient
from winslow_dagster.client.nodes import NodeClient
from winslow_dagster.client.notifications import NotificationClient
from winslow_dagster.client.pipelines import PipelineClient
from winslow_dagster.client.pool import PoolClient
from winslow_dagster.client.project import ProjectClient, Started
from winslow_dagster.client.queue import QueueClient
from winslow_dagster.client.quotas import QuotaClient
from winslow_dagster.client.retention import RetentionClient
from winslow_dagster.client.run import RunClient
from winslow_dagster.client.shares import ShareClient
from winslow_dagster.client.space import SpaceClient
from winslow_dagster.client.tables import ChartClient
from winslow_dagster.client.uploads import UploadClient
from winslow_dagster.client.variables import VariableClient
from winslow_dagster.errors import ProjectDeleted
from winslow_dagster.projects.domain.audit import MOST_SHOWN, AuditEntry, AuditPage, AuditQuery
from winslow_dagster.projects.domain.deletion import DeletedProject, PurgeResult
from winslow_dagster.projects.domain.project_filter import format_filter
from winslow_dagster.projects.domain.views import (
    ActResult,
    Counters,
    FilterWords,
    ManyAct,
    Me,
    Needs,
    PipelineVersion,
    ProjectPage,
    ProjectProgress,
    ProjectQuery,
    ProjectState,
    ProjectStatus,
    ProjectSummary,
    SavedView,
)

TOKEN_VARIABLE = "WINSLOW_TOKEN"  # noqa: S105  # where it is, not what it is
PAGE = 1_000


class _Row(BaseModel):
    project: str
    pipeline: str
    state: ProjectState
    reason: str
    tags: tuple[str, ...]
    run_id: str | None
    changed_at: datetime
    created_by: str
    owner: str


class _Rows(BaseModel):
    projects: tuple[_Row, ...]
    total: int
    groups: dict[str, int]


class _Results(BaseModel):
    results: tuple[ActResult, ...]


class _Views(BaseModel):
    views: tuple[SavedView, ...]


class _Deleted(BaseModel):
    deleted: tuple[DeletedProject, ...]


class _Name(BaseModel):
    project: str


class WinslowClient:
    """An installation at an address, such as `https://winslow.example:3000`. Safe to use from many threads.

    Methods have the names of `Winslow`, return equal values and raise the same errors, also ServiceUnavailable if the
    server does not answer. What they may do depends on the role of the token.
    """

    def __init__(self, address: str, token: str | None = None, *, certificate: str | Path | None = None) -> None:
        """`token` is by default the value of WINSLOW_TOKEN, `certificate` a PEM file with the server's own."""
        token = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        self._http = Http(address, token, None if certificate is None else Path(certificate).expanduser())

    def __repr__(self) -> str:
        return f"WinslowClient({self.address!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def address(self) -> str:
        """URL of the server."""
        return self._http.address

    def me(self) -> Me:
        """Whose token it is, and what its role is."""
        return self._http.get(Me, "/me")

    def versions(self) -> dict[str, str]:
        """Program -> version, of what the control plane consists of."""
        return self._http.get(dict[str, str], "/versions")

    @property
    def pipeline_files(self) -> PipelineClient:
        """Pipeline files, valid or not, with their sources, versions and users."""
        return PipelineClient(self._http)

    @property
    def charts(self) -> ChartClient:
        """The charts that people saved for the results of stages."""
        return ChartClient(self._http)

    @property
    def comparisons(self) -> ComparisonClient:
        """Attempts side by side, part by part."""
        return ComparisonClient(self._http)

    @property
    def notifications(self) -> NotificationClient:
        """Notification channels, and their messages."""
        return NotificationClient(self._http)

    @property
    def retention(self) -> RetentionClient:
        """The retention rules of the installation."""
        return RetentionClient(self._http)

    @property
    def ingest(self) -> IngestClient:
        """Watched folders, and the files found in them."""
        return IngestClient(self._http)

    @property
    def shares(self) -> ShareClient:
        """Links by which somebody without an account downloads one file or one folder."""
        return ShareClient(self._http)

    @property
    def machines(self) -> NodeClient:
        """The machines that run stages: their use over time, who holds their GPUs, and draining them."""
        return NodeClient(self._http)

    @property
    def queue(self) -> QueueClient:
        """The run queue: what waits, why and until when; priorities and holds."""
        return QueueClient(self._http)

    @property
    def variables(self) -> VariableClient:
        """Variables that the installation gives to the stages of all pipelines, or of some."""
        return VariableClient(self._http)

    @property
    def pool(self) -> PoolClient:
        """Files that any project may take as an input, and the trash of those that were deleted."""
        return PoolClient(self._http)

    @property
    def quotas(self) -> QuotaClient:
        """How much space projects and people may take."""
        return QuotaClient(self._http)

    @property
    def space(self) -> SpaceClient:
        """What takes space, by kind, project, owner, stage and age."""
        return SpaceClient(self._http)

    @property
    def uploads(self) -> UploadClient:
        """Files sent to the pool in parts."""
        return UploadClient(self._http)

    # projects

    def projects(self) -> tuple[ProjectSummary, ...]:
        """All projects by name, with their states."""
        found: list[ProjectSummary] = []
        while True:
            page = self.find_projects(ProjectQuery(limit=PAGE, offset=len(found)))
            found += page.projects
            if len(found) >= page.total or not page.projects:
                return tuple(found)

    def find_projects(self, query: ProjectQuery) -> ProjectPage:
        """One page of the projects that match the query, and how many match."""
        rows = self._http.get(
            _Rows,
            "/projects",
            filter=format_filter(query),
            sort=f"{'-' if query.descending else ''}{query.sort}",
            group=query.group,
            size=query.limit,
            offset=query.offset,
        )
        summaries = tuple(ProjectSummary(**row.model_dump()) for row in rows.projects)
        return ProjectPage(projects=summaries, total=rows.total, groups=rows.groups)

    def progress_of(self, projects: Iterable[str]) -> dict[str, ProjectProgress]:
        """How far these projects have come, and when their runs are expected to end. Unknown names are left out."""
        return self._http.get(dict[str, ProjectProgress], "/progress", project=list(projects))

    def project(self, name: str) -> ProjectClient:
        """One project. Raises NotFound. A deleted one can be restored."""
        project = ProjectClient(self._http, name)
        with contextlib.suppress(ProjectDeleted):
            project.tags()
        return project

    def status(self, project: str) -> ProjectStatus:
        """The status of a project. Raises NotFound."""
        return ProjectClient(self._http, project).status()

    def create(  # noqa: PLR0913  # what a person may say about a project; all but the first three by name
        self,
        pipeline: str,
        project: str,
        inputs: Mapping[str, str] | None = None,
        *,
        env: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        notes: str = "",
    ) -> ProjectClient:
        """Create a project without running it. `inputs` are paths on the server, or `pool:NAME`."""
        body = {
            "pipeline": pipeline,
            "project": project,
            "inputs": dict(inputs or {}),
            "env": dict(env or {}),
            "tags": list(tags),
            "notes": notes,
        }
        return ProjectClient(self._http, self._http.post(_Name, "/projects", body).project)

    def run(  # noqa: PLR0913  # what a person may say about a run; all but the first three by name
        self,
        pipeline: str,
        project: str,
        inputs: Mapping[str, str] | None = None,
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
    ) -> RunClient:
        """Run the pipeline for the project, and return the run, which continues in the background. See `Winslow.run`.

        `inputs` are paths on the server, or `pool:NAME`.
        """
        body = {
            "pipeline": pipeline,
            "project": project,
            "inputs": dict(inputs or {}),
            "env": dict(env or {}),
            "start_from": [start_from] if isinstance(start_from, str) else list(start_from or ()),
            "stop_after": stop_after,
            "settings": {stage: dict(each) for stage, each in (settings or {}).items()},
            "use": dict(use or {}),
            "reuse": reuse,
            "pipeline_version": pipeline_version,
            "reason": reason,
            "tags": list(tags),
        }
        started = self._http.post(Started, "/runs", body)
        assert started.run_id is not None  # noqa: S101  # what was queued
        return RunClient(self._http, project, started.run_id)

    def act_on(
        self,
        projects: Iterable[str],
        act: ManyAct,
        tags: Iterable[str] = (),
        *,
        reason: str = "",
    ) -> tuple[ActResult, ...]:
        """Do the same to many projects. Says for each what came of it. Raises InputRejected.

        `tags` are for `tag` and `untag`, and `reason` is for `delete`.
        """
        body = {"act": act, "projects": list(projects), "tags": list(tags), "reason": reason}
        return self._http.post(_Results, "/acts", body).results

    def deleted_projects(self) -> tuple[DeletedProject, ...]:
        """The deleted projects, the last one first, and when each is removed for good."""
        return self._http.get(_Deleted, "/deleted-projects").deleted

    def purge(self, project: str) -> PurgeResult:
        """Remove a deleted project for good. Only administrators may."""
        return self._http.delete(PurgeResult, f"/deleted-projects/{part(project)}")

    def filter_words(self) -> FilterWords:
        """The values that a filter of projects can have."""
        return self._http.get(FilterWords, "/filter-words")

    def saved_views(self) -> tuple[SavedView, ...]:
        """One's own saved lists of projects, and those that others share."""
        return self._http.get(_Views, "/views").views

    def save_view(self, view: SavedView) -> SavedView:
        """Save a list of projects as one's own; one of the same name is replaced."""
        return self._http.post(SavedView, "/views", view.model_dump(mode="json", exclude={"owner"}))

    def delete_view(self, name: str) -> None:
        """Delete one of one's own saved lists. Raises NotFound."""
        self._http.send("DELETE", "/views", query={"name": name})

    # what waits, and what was done

    def needs(self, limit: int = 50) -> Needs:
        """What waits for a person, the latest first."""
        return self._http.get(Needs, "/needs", limit=limit)

    def counters(self) -> Counters:
        """How many projects and files wait for a person, and how many projects run or have failed."""
        return self._http.get(Counters, "/counters")

    def audit(
        self, project: str | None = None, *, who: str | None = None, limit: int = MOST_SHOWN
    ) -> tuple[AuditEntry, ...]:
        """Who did what, the latest first: on all projects or one, of everybody or one person."""
        return self.find_audit_entries(AuditQuery(project=project, who=who, limit=limit)).entries

    def find_audit_entries(self, query: AuditQuery) -> AuditPage:
        """One page of the audit entries that match the query, the latest first."""
        return self._http.get(AuditPage, "/audit", **query.model_dump(mode="json"))
