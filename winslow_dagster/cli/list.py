"""`winslow list`, and how a list of projects is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table
from winslow_dagster.errors import NotFound, UsageError

if TYPE_CHECKING:
    from winslow_dagster import Winslow
    from winslow_dagster.projects.domain.deletion import DeletedProject
    from winslow_dagster.projects.domain.views import ProjectQuery, ProjectSummary, SavedView

AT_ONCE = 1000
filter_option = click.option(
    "--filter", "line", metavar="WORDS", help="List only the projects that these words select."
)


@click.command("list")
@filter_option
@click.option("--view", "name", metavar="NAME", help="List the projects of a saved view, in its order.")
@click.option("--deleted", is_flag=True, help="List the deleted projects.")
@json_option
def command(line: str | None, name: str | None, *, deleted: bool, as_json: bool) -> None:
    """List projects: all, those that a filter or a saved view selects, or the deleted ones.

    WORDS are those of the web interface, such as `state:failed tag:ulm -tag:old pipeline:NAME owner:NAME text`.
    `winslow views` lists the saved views.

    With --json, as `winslow status --json`; with --deleted, {"deleted": [{project, pipeline, owner, deleted_at,
    deleted_by, reason, purged_at, purge_at, size_bytes, used_by}, …]}.
    """
    if sum((line is not None, name is not None, deleted)) > 1:
        raise UsageError("--filter, --view and --deleted exclude each other", expected="one of them")
    with open_installation() as winslow:
        if deleted:
            show_deleted(winslow.deleted_projects(), as_json=as_json)
        elif name is not None:
            show_projects(of_view(winslow, name), filtered=True, as_json=as_json)
        else:
            show_projects(selected(winslow, line), filtered=line is not None, as_json=as_json)


def selected(winslow: Winslow, line: str | None) -> tuple[ProjectSummary, ...]:
    """All projects by name, or those that the filter selects."""
    from winslow_dagster.projects.domain.project_filter import parse_filter
    from winslow_dagster.projects.domain.views import ProjectQuery

    if line is None:
        return winslow.projects()
    return _found(winslow, ProjectQuery(**parse_filter(line).model_dump(), limit=AT_ONCE))


def of_view(winslow: Winslow, name: str) -> tuple[ProjectSummary, ...]:
    """The projects of a saved view, one's own or a shared one."""
    from winslow_dagster.projects.domain.project_filter import parse_filter
    from winslow_dagster.projects.domain.views import ProjectQuery

    view = view_of(winslow, name)
    query = ProjectQuery(
        **parse_filter(view.filter).model_dump(),
        sort=view.sort,
        descending=view.descending,
        group=view.group,
        limit=AT_ONCE,
    )
    return _found(winslow, query)


def view_of(winslow: Winslow, name: str) -> SavedView:
    """The saved view of this name. One's own comes before another's. Raises NotFound."""
    views = winslow.saved_views()
    own = [view for view in views if view.name == name]
    if not own:
        names = ", ".join(dict.fromkeys(view.name for view in views))
        raise NotFound(f"there is no view {name!r}", expected=f"one of {names}" if names else "a saved view")
    return min(own, key=lambda view: view.owner != winslow.context.actor.who)


def show_projects(summaries: tuple[ProjectSummary, ...], *, filtered: bool, as_json: bool) -> None:
    """A list of projects, as a table or as JSON."""
    if as_json:
        print_json({"projects": [_plain(summary) for summary in summaries]})
    elif not summaries and filtered:
        console().print("no project matches the filter")
    elif not summaries:
        console().print("no projects yet; `winslow run PIPELINE --project NAME` creates one")
    else:
        print_table(
            ("project", "pipeline", "state", "tags", "reason"),
            [
                (summary.project, summary.pipeline, summary.state, ", ".join(summary.tags), summary.reason)
                for summary in summaries
            ],
        )


def show_deleted(deleted: tuple[DeletedProject, ...], *, as_json: bool) -> None:
    """The deleted projects, and when each is removed for good."""
    from winslow_dagster.formatting import format_size, format_time

    if as_json:
        print_json({"deleted": [each.model_dump(mode="json") for each in deleted]})
    elif not deleted:
        console().print("no project is deleted")
    else:
        print_table(
            ("project", "deleted", "by", "size", "removed for good", "reason"),
            [
                (
                    each.project,
                    format_time(each.deleted_at),
                    each.deleted_by,
                    format_size(each.size_bytes),
                    "now" if each.purged_at is not None else format_time(each.purge_at),
                    each.reason,
                )
                for each in deleted
            ],
        )


def _found(winslow: Winslow, query: ProjectQuery) -> tuple[ProjectSummary, ...]:
    """All projects that the query selects, page by page."""
    found: list[ProjectSummary] = []
    while True:
        page = winslow.find_projects(query.model_copy(update={"offset": len(found)}))
        found += page.projects
        if len(page.projects) < AT_ONCE:
            return tuple(found)


def _plain(summary: ProjectSummary) -> dict[str, Any]:
    return {**summary._asdict(), "changed_at": summary.changed_at.isoformat()}
