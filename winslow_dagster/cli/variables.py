"""`winslow variables`: variables that the installation gives to pipelines."""

from __future__ import annotations

from pathlib import Path

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say
from winslow_dagster.cli.streams import text_in

file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group("variables")
def command() -> None:
    """Show, try and replace the variables for all pipelines, or for some."""


@command.command("show")
@json_option
def show(*, as_json: bool) -> None:
    """Print the variables, which a pipeline, a stage, a project, an answer or a run overrides.

    With --json, {"variables": {"env", "groups": [{"name", "pipelines", "env"}, …]}, "text", "fault", "version",
    "changed_at", "changed_by"}.
    """
    with open_installation() as winslow:
        found = winslow.variables.view()
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if found.fault:
        say(found.fault)
    if found.text:
        console().print(found.text, end="", markup=False, highlight=False)
    say(f"version {found.version}")


@command.command("preview")
@file_argument
@json_option
def preview(file: Path, *, as_json: bool) -> None:
    """Say what the variables in FILE would change, by pipeline.

    With --json, {"pipelines": [{"pipeline", "added", "changed", "removed", "overridden"}, …]}: names of variables;
    `overridden` are those that the pipeline sets itself.
    """
    text = text_in(file)
    with open_installation() as winslow:
        found = winslow.variables.preview(text)
    if as_json:
        print_json({"pipelines": [each.model_dump(mode="json") for each in found]})
    elif not found:
        say("no pipeline would get other variables")
    else:
        print_table(
            ("pipeline", "added", "changed", "removed", "set by itself"),
            [
                (
                    each.pipeline,
                    *(", ".join(names) for names in (each.added, each.changed, each.removed, each.overridden)),
                )
                for each in found
            ],
        )


@command.command("set")
@file_argument
@click.option("--version", type=click.IntRange(min=0), help="Only if these are in force, by their version.")
@json_option
def set_(file: Path, version: int | None, *, as_json: bool) -> None:
    """Give the variables in FILE to stages that start from now on, in the place of those that were set before.

    With --json, the variables as in `winslow variables show --json`.
    """
    text = text_in(file)
    with open_installation() as winslow:
        seen = winslow.variables.view().version if version is None else version
        saved = winslow.variables.set(text, version=seen)
    if as_json:
        print_json(saved.model_dump(mode="json"))
    else:
        say("stages that start from now on get these variables")
