"""`winslow views`: saved lists of projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.list import filter_option
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.views import ProjectGroup, ProjectSort

SORTS = ("name", "changed_at", "created_at", "state", "pipeline", "owner")
GROUPS = ("pipeline", "state", "owner", "tag")


@click.group("views", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """List the saved views: your own, and those that others share. `winslow list --view NAME` lists their projects.

    With --json, {"views": [{owner, name, shared, filter, sort, descending, group}, …]}.
    """
    if context.invoked_subcommand is not None:
        return
    with open_installation() as winslow:
        views = winslow.saved_views()
    if as_json:
        print_json({"views": [view.model_dump(mode="json") for view in views]})
    elif not views:
        console().print("no views yet; `winslow views save NAME --filter WORDS` saves one")
    else:
        print_table(
            ("view", "filter", "order", "groups", "owner", "shared"),
            [
                (
                    view.name,
                    view.filter,
                    f"{view.sort}{', reversed' if view.descending else ''}",
                    view.group or "",
                    view.owner,
                    "yes" if view.shared else "",
                )
                for view in views
            ],
        )


@command.command("save")
@click.argument("name")
@filter_option
@click.option("--sort", type=click.Choice(SORTS), default="created_at", show_default=True, help="Its order.")
@click.option("--ascending", is_flag=True, help="The earliest, or the first of the alphabet, first.")
@click.option("--group", type=click.Choice(GROUPS), help="Its groups.")
@click.option("--shared", is_flag=True, help="Others see it, too.")
@json_option
def save(  # noqa: PLR0913  # click hands over each option, by name
    name: str,
    line: str | None,
    sort: ProjectSort,
    group: ProjectGroup | None,
    *,
    ascending: bool,
    shared: bool,
    as_json: bool,
) -> None:
    """Save a list of projects as NAME; one of the same name is replaced.

    With --json, the view.
    """
    from winslow_dagster.projects.domain.views import SavedView

    view = SavedView(
        owner="", name=name, shared=shared, filter=line or "", sort=sort, descending=not ascending, group=group
    )
    with open_installation() as winslow:
        saved = winslow.save_view(view)
    if as_json:
        print_json(saved.model_dump(mode="json"))
    else:
        say(f"saved {name}")


@command.command("delete")
@click.argument("name")
@json_option
def delete(name: str, *, as_json: bool) -> None:
    """Delete your saved view NAME.

    With --json, {"deleted": name}.
    """
    with open_installation() as winslow:
        winslow.delete_view(name)
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"deleted the view {name}")
