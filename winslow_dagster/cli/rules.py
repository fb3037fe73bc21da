"""`winslow rules`: the retention rules of the installation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say
from winslow_dagster.cli.streams import text_in

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.retention import RemovalSum, RulesPreview

file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group("rules")
def command() -> None:
    """Show, try and replace the retention rules for all projects."""


@command.command("show")
@json_option
def show(*, as_json: bool) -> None:
    """Print the rules, which apply where no rule of a project or its pipeline does.

    With --json, {"rules": [{"what", "glob", "attempts", "days"}, …], "text", "file", "fault", "in_file", "version",
    "changed_at", "changed_by"}.
    """
    with open_installation() as winslow:
        found = winslow.retention.house_rules()
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if found.fault:
        say(found.fault)
    if found.text:
        console().print(found.text, end="", markup=False, highlight=False)
    say(f"these rules are in {found.file}" if found.in_file else f"version {found.version}")


@command.command("preview")
@file_argument
@json_option
def preview(file: Path, *, as_json: bool) -> None:
    """Say what the rules in FILE would remove in addition to those in force, and what they would keep.

    With --json, {"removed": [{"project", "stage", "kind", "reason", "attempts", "size_bytes"}, …], "kept": […],
    "removed_bytes", "kept_bytes"}.
    """
    text = text_in(file)
    with open_installation() as winslow:
        print_preview(winslow.retention.preview_house_rules(text), as_json=as_json)


def print_preview(found: RulesPreview, *, as_json: bool) -> None:
    """Print what changed rules would do."""
    from winslow_dagster.formatting import format_size

    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if not found.removed and not found.kept:
        say("these rules would remove and keep the same as now")
    for title, sums, size in (
        ("would be removed, in addition", found.removed, found.removed_bytes),
        ("would be kept, and is removed now", found.kept, found.kept_bytes),
    ):
        if sums:
            say(f"{title}: {format_size(size)}")
            _print(sums)


@command.command("set")
@file_argument
@click.option("--version", type=click.IntRange(min=0), help="Only if these are the rules in force, by their version.")
@json_option
def set_(file: Path, version: int | None, *, as_json: bool) -> None:
    """Put the rules in FILE in force, in the place of those that administrators set before.

    With --json, the rules as in `winslow rules show --json`.
    """
    text = text_in(file)
    with open_installation() as winslow:
        seen = winslow.retention.house_rules().version if version is None else version
        saved = winslow.retention.set_house_rules(text, version=seen)
    if as_json:
        print_json(saved.model_dump(mode="json"))
    else:
        say(f"the rules are in force; `{command_line('prune')}` lists what they remove")


def _print(sums: tuple[RemovalSum, ...]) -> None:
    from winslow_dagster.formatting import format_size

    print_table(
        ("project", "stage", "what", "attempts", "size", "reason"),
        [
            (each.project, each.stage, each.kind, str(each.attempts), format_size(each.size_bytes), each.reason)
            for each in sums
        ],
    )
