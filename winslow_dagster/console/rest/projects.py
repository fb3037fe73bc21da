"""Lists of projects, what waits for a person, and actions on many projects."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel, Field

from winslow_dagster.console.caller import CallerOf, Front, require
from winslow_dagster.console.counters import FrameCounters, FrameCounts
from winslow_dagster.console.listing import PAGE_SIZE, ListingAsked
from winslow_dagster.console.room import Room
from winslow_dagster.projects.commands.many import MOST_AT_ONCE
from winslow_dagster.projects.domain.views import (
    ActResult,
    FilterWords,
    ManyAct,
    Needs,
    ProjectGroup,
    ProjectProgress,
    ProjectSort,
    ProjectState,
    SavedView,
)

room = Room(tags=["projects"])

MOST_SKIPPED = 1_000_000_000


class ProjectRow(BaseModel):
    """A project of a list, and how far it has come."""

    project: str
    pipeline: str
    state: ProjectState
    reason: str
    tags: tuple[str, ...]
    run_id: str | None
    changed_at: datetime
    created_by: str
    owner: str
    progress: ProjectProgress


class ProjectRows(BaseModel):
    """One page of projects. `total` counts those on all pages, and `groups` those of each group."""

    projects: list[ProjectRow]
    total: int
    groups: dict[str, int]


class Acts(BaseModel):
    """An action, and the projects that it is for. `tags` are for `tag` and `untag`, `reason` is for `delete`."""

    act: ManyAct
    projects: list[str] = Field(min_length=1, max_length=MOST_AT_ONCE)
    tags: list[str] = Field(default_factory=list, max_length=100)
    reason: str = ""


class ActResults(BaseModel):
    """What came of it, for each project."""

    results: tuple[ActResult, ...]


class ViewToSave(BaseModel):
    """A list of projects to save under a name; one of the same name is replaced."""

    name: str
    filter: str = ""
    sort: ProjectSort = "created_at"
    descending: bool = True
    group: ProjectGroup | None = None
    shared: bool = False


class SavedViewList(BaseModel):
    """One's own saved lists, and those that others share."""

    views: tuple[SavedView, ...]


@room.route_for("/projects", role="viewer")
def projects(
    front: Front,
    listing: ListingAsked,
    size: Annotated[int, Query(ge=1, le=1000)] = PAGE_SIZE,
    offset: Annotated[
        int | None, Query(ge=0, le=MOST_SKIPPED, description="How many to skip; without it, the pages before `page`.")
    ] = None,
) -> ProjectRows:
    """One page of the projects that a filter selects."""
    query = listing.query(size)
    found = front.find_projects(query if offset is None else query.model_copy(update={"offset": offset}))
    progress = front.progress_of(each.project for each in found.projects)
    rows = [
        ProjectRow(**each._asdict(), progress=progress[each.project])
        for each in found.projects
        if each.project in progress
    ]
    return ProjectRows(projects=rows, total=found.total, groups=found.groups)


@room.route_for("/progress", role="viewer")
def progress(
    front: Front, project: Annotated[list[str], Query(min_length=1, max_length=MOST_AT_ONCE)]
) -> dict[str, ProjectProgress]:
    """How far these projects have come. Unknown ones are left out."""
    return front.progress_of(project)


@room.route_for("/filter-words", role="viewer")
def words(front: Front) -> FilterWords:
    """The values that the words of a filter can have."""
    return front.filter_words()


@room.route_for("/needs", role="viewer")
def needs(front: Front, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Needs:
    """What waits for a person, the latest first."""
    return front.needs(limit)


@room.route_for("/counters", role="viewer")
def counters(request: Request) -> FrameCounters:
    """How many projects and files wait for a person, how many projects run and have failed, and the disk left."""
    counts: FrameCounts = request.app.state.counters
    return counts.read()


@room.route_for("/acts", role="operator", method="POST")
def act(front: Front, acts: Acts) -> ActResults:
    """Do the same to many projects. Each succeeds or fails for itself."""
    return ActResults(results=front.act_on(acts.projects, acts.act, acts.tags, reason=acts.reason))


@room.route_for("/views", role="viewer")
def views(front: Front) -> SavedViewList:
    """One's own saved lists of projects, and those that others share."""
    return SavedViewList(views=front.saved_views())


@room.route_for("/views", role="viewer", method="POST")
def save_view(front: Front, caller: CallerOf, view: ViewToSave) -> SavedView:
    """Save a list of projects. To share it, one has to be an operator."""
    if view.shared:
        require(caller, "operator", "/views")
    return front.save_view(SavedView(owner=caller.name, **view.model_dump()))


@room.route_for("/views", role="viewer", method="DELETE", status_code=204)
def delete_view(front: Front, name: str) -> None:
    """Delete one of one's own saved lists."""
    front.delete_view(name)
