"""Failed projects of which a person takes note, so that they no longer wait for one."""

from __future__ import annotations

from http import HTTPStatus

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room

room = Room(tags=["projects"])


@room.route_for("/projects/{project}/dismiss", role="operator", method="POST", status_code=HTTPStatus.NO_CONTENT)
def dismiss(front: Front, project: str) -> None:
    """Take note that its latest run failed: it no longer waits for a person, until it fails again."""
    front.project(project).dismiss()


@room.route_for("/projects/{project}/undismiss", role="operator", method="POST", status_code=HTTPStatus.NO_CONTENT)
def undismiss(front: Front, project: str) -> None:
    """Have its failure wait for a person again."""
    front.project(project).undismiss()
