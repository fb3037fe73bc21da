"""Tags each run with its project when it is queued, and with the person who started it in Dagit."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dagster import DagsterRun, QueuedRunCoordinator, SubmitRunContext

from winslow_dagster.jobs.tags import ENDED_BEFORE_A_STAGE, tags_of_person
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG
from winslow_dagster.projects.domain.actor import Actor

SHORT = 8
"""Characters of a run id where Dagit shows it."""


@runtime_checkable
class PersonsRequest(Protocol):
    """Dagster's context of a request of a person; None for a request of the services themselves."""

    @property
    def person(self) -> Actor | None:
        """Who sends the request."""


class ProjectRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue, and the tags that a run from Dagit lacks."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run, then queue it."""
        run = context.dagster_run
        tags: dict[str, str] = {}
        if isinstance(context.workspace, PersonsRequest) and context.workspace.person is not None:
            # They replace what the person may have written as tags of the same names.
            tags |= tags_of_person(context.workspace.person)
        project = run.run_config.get("project")
        if isinstance(project, str) and project:
            tags[PROJECT_TAG] = project
        if run.parent_run_id is not None:
            # Dagit copies the tags of the run that it re-executes, and no tag can be removed.
            tags |= {
                key: f"in run {run.parent_run_id[:SHORT]}" for key in ENDED_BEFORE_A_STAGE.values() if key in run.tags
            }
        if tags:
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)
