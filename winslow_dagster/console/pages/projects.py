"""Projects: a list that is filtered, sorted and grouped by its URL, and actions on many of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

from fastapi import Form, Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import Undo, done
from winslow_dagster.console.caller import CallerOf, Front, require
from winslow_dagster.console.listing import GROUPS, NEEDING, NEWEST_FIRST, PAGE_SIZE, PATH, Listing, ListingAsked
from winslow_dagster.console.pictures import picture_response
from winslow_dagster.console.rendering import page as rendered
from winslow_dagster.console.room import THUMBNAILS, Room
from winslow_dagster.errors import FilterInvalid
from winslow_dagster.projects.domain.views import (
    ActResult,
    ManyAct,
    ProjectGroup,
    ProjectPage,
    ProjectProgress,
    ProjectSummary,
    SavedView,
)
from winslow_dagster.projects.installation import Installation

room = Room()
pictures = Room(threads=THUMBNAILS)
SORT_NAMES = {
    NEWEST_FIRST: "newest first",
    "created_at": "oldest first",
    "-changed_at": "last changed first",
    "name": "by name",
    "state": "by state",
    "pipeline": "by pipeline",
    "owner": "by owner",
}
READY: tuple[tuple[str, str], ...] = (
    ("Needing somebody", NEEDING),
    ("Running", "state:running state:pausing"),
    ("Paused", "state:paused"),
    ("Succeeded", "state:succeeded"),
)
"""The lists that everybody has, beside all projects: name, filter."""
PAST: dict[ManyAct, str] = {
    "pause": "Asked to pause",
    "resume": "Resumed",
    "cancel": "Cancelled",
    "tag": "Tagged",
    "untag": "Untagged",
    "delete": "Deleted",
    "restore": "Restored",
    "dismiss": "Noted",
    "undismiss": "Put back",
}
UNDOES: dict[ManyAct, ManyAct] = {"delete": "restore", "dismiss": "undismiss"}
"""What undoes an act."""


@dataclass(frozen=True, slots=True)
class Row:
    """One project of a list. `may_act`: whether the person who sees it may act on it."""

    project: ProjectSummary
    progress: ProjectProgress
    may_act: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Projects that belong together, on one page of `total`. Without groups there is one without a name."""

    name: str
    total: int
    rows: tuple[Row, ...]


class ActForm(BaseModel):
    """An act on projects. `leave`: then show the project, or where it was deleted, the list."""

    act: ManyAct
    project: list[str]
    tag: str = ""
    reason: str = ""
    leave: bool = False


class ViewForm(BaseModel):
    """A list to save under a name."""

    name: str
    filter: str = ""
    sort: str = NEWEST_FIRST
    group: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class ViewLink:
    """A saved list as a link. `view` is None for those that everybody has."""

    name: str
    listing: Listing
    current: bool
    view: SavedView | None = None
    own: bool = False


def rows_of(front: Installation, projects: tuple[ProjectSummary, ...]) -> tuple[Row, ...]:
    """The projects, and how far they have come."""
    names = [each.project for each in projects]
    progress, may_act = front.progress_of(names), front.may_act_on(names)
    return tuple(
        Row(each, progress[each.project], each.project in may_act) for each in projects if each.project in progress
    )


@room.route_for(PATH, role="viewer")
def projects(request: Request, front: Front, listing: ListingAsked) -> HTMLResponse:
    """A list of projects."""
    wrong = None
    try:
        found = front.find_projects(listing.query())
    except FilterInvalid as error:
        wrong, found = error, ProjectPage(projects=(), total=0)
    return rendered(
        request,
        "projects.html",
        listing=listing,
        wrong=wrong,
        total=found.total,
        pages=max(1, -(-found.total // PAGE_SIZE)),
        groups=_groups(rows_of(front, found.projects), listing.group, found.groups),
        views=_views(front, listing),
        sorts=SORT_NAMES | {listing.sort: _sort_name(listing.sort)},
        group_names=GROUPS,
    )


@room.route_for(f"{PATH}/acts", role="operator", method="POST")
def act(request: Request, front: Front, form: Annotated[ActForm, Form()]) -> Response:
    """Do the same to many projects, and say what came of it."""
    tags = form.tag.split(",") if form.act in {"tag", "untag"} else ()
    results = front.act_on(form.project, form.act, tags, reason=form.reason)
    failed = [each for each in results if not each.done]
    undone_by = UNDOES.get(form.act) if len(failed) < len(results) else None
    if len(results) == 1:
        (result,) = results
        text = f"{result.project}: {result.text}"
        if failed:
            return done(text, tone="bad")
        undo = Undo(f"{PATH}/acts", {"act": undone_by, "project": result.project}) if undone_by else None
        place = PATH if form.act == "delete" else f"{PATH}/{result.project}"
        return done(text, undo=undo, go_to=place if form.leave else "")
    return rendered(
        request,
        "parts/act_summary.html",
        title=_summary(form.act, results),
        results=failed,
        undone_by=undone_by,
        acted_on=[each.project for each in results if each.done],
    )


@room.route_for("/views", role="viewer", method="POST")
def save_view(front: Front, caller: CallerOf, view: Annotated[ViewForm, Form()]) -> Response:
    """Save a list under a name."""
    if view.shared:
        require(caller, "operator", "/views")
    listing = Listing(view.filter, view.sort, view.group)
    front.save_view(listing.view(view.name.strip(), shared=view.shared))
    return Response(status_code=204, headers={"HX-Redirect": listing.address()})


@room.route_for("/views/delete", role="viewer", method="POST")
def delete_view(front: Front, name: Annotated[str, Form()]) -> Response:
    """Delete a saved list."""
    front.delete_view(name)
    return Response(status_code=204, headers={"HX-Redirect": PATH})


@pictures.route_for(f"{PATH}/{{name}}/picture", role="viewer")
def picture(front: Front, name: str) -> Response:
    """A small picture of the project's outputs."""
    return picture_response(front, name)


def _groups(rows: tuple[Row, ...], by: str, totals: dict[str, int]) -> tuple[Group, ...]:
    if not by:
        return (Group("", len(rows), rows),)
    members: list[tuple[str, list[Row]]] = [
        (value, list(each)) for value, each in groupby(rows, lambda row: _group_of(row.project, by))
    ]
    return tuple(Group(value or "without a tag", totals.get(value, 0), tuple(each)) for value, each in members)


def _group_of(project: ProjectSummary, by: str) -> str:
    kind: dict[ProjectGroup, str] = {
        "pipeline": project.pipeline,
        "state": project.state,
        "owner": project.owner,
        "tag": project.tags[0] if project.tags else "",
    }
    return next(value for name, value in kind.items() if name == by)


def _sort_name(sort: str) -> str:
    """Such as `by name`, and `by name, reversed`."""
    opposite = sort[1:] if sort.startswith("-") else f"-{sort}"
    return SORT_NAMES.get(sort) or f"{SORT_NAMES.get(opposite, sort)}, reversed"


def _views(front: Installation, listing: Listing) -> tuple[ViewLink, ...]:
    here, who = listing.address(page=1), front.context.actor.who
    ready = ((name, Listing(filter=text), None) for name, text in (("All", ""), *READY))
    saved = ((view.name, Listing.of(view), view) for view in front.saved_views())
    return tuple(
        ViewLink(name, each, each.address() == here, view, own=view is not None and view.owner == who)
        for name, each, view in (*ready, *saved)
    )


def _summary(act: ManyAct, results: tuple[ActResult, ...]) -> str:
    done = sum(each.done for each in results)
    text = f"{PAST[act]}: {done} of {len(results)} projects."
    return text if done == len(results) else f"{text} The others were left as they were:"
