"""`winslow delete | restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, say
from winslow_dagster.cli.streams import asked_text
from winslow_dagster.errors import UsageError

if TYPE_CHECKING:
    from winslow_dagster import Winslow
    from winslow_dagster.projects.domain.deletion import DeletionEffect, PurgeResult


@click.command("delete")
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...")
@click.option("--reason", default="", help="Why, for those who look for the project.")
@click.option("--dry-run", is_flag=True, help="Only say what it would mean.")
@click.option("--for-good", is_flag=True, help="Remove the files now. They cannot be restored.")
@click.option("--yes", is_flag=True, help="With --for-good: do not ask for the names.")
@json_option
def delete(  # noqa: PLR0913  # click hands over each option, by name
    projects: tuple[str, ...], reason: str, *, dry_run: bool, for_good: bool, yes: bool, as_json: bool
) -> None:
    """Delete each PROJECT. It is hidden, and `winslow restore` restores it for WINSLOW_TRASH_DAYS days.

    After that, or now with --for-good, its files are removed, and its name is free. Outputs that another project uses
    stay. `winslow list --deleted` lists deleted projects.

    With --json, {"deleted": [{project, pipeline, owner, deleted_at, deleted_by, reason, purged_at}, …]}; with
    --for-good {"purged": [{project, freed_bytes, gone, used_by}, …]}; with --dry-run {"effects": [{project, attempts,
    size_bytes, used_by, kept_days}, …]}.
    """
    if yes and not for_good:
        raise UsageError("--yes is for --for-good")
    with open_installation() as winslow:
        if dry_run:
            effects = [winslow.project(name).deletion_effect() for name in projects]
            if as_json:
                print_json({"effects": [each.model_dump(mode="json") for each in effects]})
            for each in () if as_json else effects:
                say(effect_text(each))
        elif for_good:
            _require_confirmed(projects, yes=yes)
            purged = [_purge(winslow, name, reason) for name in projects]
            if as_json:
                print_json({"purged": [each.model_dump(mode="json") for each in purged]})
            for result in () if as_json else purged:
                say(_purged_text(result))
        else:
            deleted = [winslow.project(name).delete(reason) for name in projects]
            if as_json:
                print_json({"deleted": [each.model_dump(mode="json") for each in deleted]})
            for deletion in () if as_json else deleted:
                say(f"deleted {deletion.project}; `{command_line('restore', deletion.project)}` restores it")


@click.command("restore")
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...")
@json_option
def restore(projects: tuple[str, ...], *, as_json: bool) -> None:
    """Restore each deleted PROJECT, with everything that it had.

    With --json, {"restored": [name, …]}.
    """
    with open_installation() as winslow:
        for name in projects:
            winslow.project(name).restore()
    if as_json:
        print_json({"restored": list(projects)})
    else:
        say(f"restored {', '.join(projects)}")


def effect_text(effect: DeletionEffect) -> str:
    """What it means to delete a project, in a sentence or two."""
    from winslow_dagster.formatting import count_of, format_size

    text = f"{effect.project} has {count_of(effect.attempts, 'attempt')} and {format_size(effect.size_bytes)}."
    if effect.used_by:
        text += f" Its outputs are used by {', '.join(effect.used_by)}: these stay."
    return f"{text} It can be restored for {effect.kept_days:g} days."


def _require_confirmed(projects: tuple[str, ...], *, yes: bool) -> None:
    for name in () if yes else projects:
        if asked_text(f"To remove {name} for good, type its name") != name:
            raise UsageError(f"{name} was not confirmed", expected="the name of the project, or --yes")


def _purge(winslow: Winslow, name: str, reason: str) -> PurgeResult:
    winslow.context.actor.require("admin", f"project {name}")
    winslow.project(name).delete(reason)
    return winslow.purge(name)


def _purged_text(result: PurgeResult) -> str:
    from winslow_dagster.formatting import format_size

    freed = f"freed {format_size(result.freed_bytes)}"
    if result.gone:
        return f"removed {result.project}, and {freed}"
    users = f": {', '.join(result.used_by)} use its outputs" if result.used_by else ""
    return f"{freed}; the rest of {result.project} goes later{users}"
