"""Deleting projects, restoring them, and removing them for good."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.domain.deletion import DeletedProject, Deletion, DeletionEffect, PurgeResult

room = Room(tags=["deleted projects"])


class DeletedProjects(BaseModel):
    """The deleted projects, the last one first."""

    deleted: tuple[DeletedProject, ...]


@room.route_for("/deleted-projects", role="viewer")
def deleted_projects(front: Front) -> DeletedProjects:
    """The deleted projects, and when each is removed for good."""
    return DeletedProjects(deleted=front.deleted_projects())


@room.route_for("/deleted-projects/{project}", role="admin", method="DELETE")
def purge(front: Front, project: str) -> PurgeResult:
    """Remove a deleted project for good. What other projects use of it stays."""
    return front.purge(project)


@room.route_for("/projects/{project}/deletion-effect", role="viewer")
def deletion_effect(front: Front, project: str) -> DeletionEffect:
    """What it would mean to delete the project."""
    return front.project(project).deletion_effect()


@room.route_for("/projects/{project}", role="operator", method="DELETE")
def delete(front: Front, project: str, reason: str = "") -> Deletion:
    """Delete the project. It is hidden, and can be restored for a while."""
    return front.project(project).delete(reason)


@room.route_for("/projects/{project}/restore", role="operator", method="POST", status_code=HTTPStatus.NO_CONTENT)
def restore(front: Front, project: str) -> None:
    """Restore a deleted project with everything that it had."""
    front.project(project).restore()
