"""`winslow usage | prune | pin | unpin | retention`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say
from winslow_dagster.cli.rules import print_preview

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.space import KindUsage
    from winslow_dagster.projects.retention.rules import Removal


@click.command("usage")
@click.argument("project", required=False)
@json_option
def usage(project: str | None, *, as_json: bool) -> None:
    """Show how much space projects and their stages take, or those of PROJECT. Shared files count once.

    Without PROJECT, also by kind: previews, images, uploads and what is in the trash.

    With --json, {"stages": [{"project", "stage", "attempts", "outputs_bytes", "logs_bytes", "leftovers_bytes"}, …],
    "inputs_bytes": {project: bytes}, "cache_bytes"}. Leftovers and cache are those of this node. Without PROJECT, also
    {"kinds": [{"kind", "size_bytes", "measured_at"}, …]}.
    """
    from dataclasses import asdict

    from winslow_dagster.formatting import format_size

    with open_installation() as winslow:
        result = winslow.retention.usage(project)
        kinds: tuple[KindUsage, ...] = ()
        if project is None:
            winslow.space.measure()
            kinds = winslow.space.summary(0).kinds
    if as_json:
        shown = {"kinds": [each.model_dump(mode="json") for each in kinds]} if project is None else {}
        print_json(asdict(result) | shown)
        return
    rows = [
        (
            each.project,
            each.stage,
            str(each.attempts),
            format_size(each.outputs_bytes),
            format_size(each.logs_bytes),
            format_size(each.leftovers_bytes),
        )
        for each in result.stages
    ]
    rows += [(name, "(inputs)", "", format_size(size), "", "") for name, size in result.inputs_bytes.items()]
    print_table(("project", "stage", "attempts", "outputs", "logs", "on this node"), sorted(rows))
    if kinds:
        print_table(("kind", "space"), [(each.kind, format_size(each.size_bytes)) for each in kinds])
    say(f"input cache of this node: {format_size(result.cache_bytes)}")


@click.command("prune")
@click.argument("project", required=False)
@click.option("--yes", is_flag=True, help="Delete the files.")
@click.option("--dry-run", is_flag=True, help="Only list the files, which is the default.")
@json_option
def prune(project: str | None, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """List what the retention rules would delete, of all projects or of PROJECT, and why; --yes deletes it.

    With --json, {"removals": [{"project", "stage", "task_id", "kind", "address", "paths", "size_bytes", "reason",
    "task_ids"}, …], "size_bytes", "freed_bytes"}. kind is outputs, log or leftovers; paths is null if everything is
    deleted; freed_bytes is null without --yes.
    """
    from winslow_dagster.formatting import format_size

    if yes and dry_run:
        raise click.UsageError("--yes and --dry-run cannot be combined")
    with open_installation() as winslow:
        result = winslow.retention.prune(project) if yes else winslow.retention.plan(project)
    if as_json:
        print_json(result.model_dump(mode="json"))
        return
    if result.removals:
        _print_removals(result.removals)
    else:
        console().print("nothing to delete")
    if result.freed_bytes is not None:
        say(f"freed {format_size(result.freed_bytes)}")
    elif result.removals:
        say(f"this would free {format_size(result.size_bytes)}; --yes deletes it")


@click.command("pin")
@click.argument("project")
@click.argument("stage")
@click.argument("attempt")
@click.option("--reason", default="", help="Why it is pinned.")
@json_option
def pin(project: str, stage: str, attempt: str, reason: str, *, as_json: bool) -> None:
    """Keep everything of an attempt of STAGE, whatever the rules say.

    ATTEMPT is a number, count_of from 1 over all runs, or a task id.
    With --json, {"task_id", "project", "pinned_at", "pinned_by", "reason"}.
    """
    with open_installation() as winslow:
        pinned = winslow.retention.pin(project, stage, attempt, reason=reason)
    if as_json:
        print_json(pinned.model_dump(mode="json"))
    else:
        say(f"attempt {attempt} of {project}/{stage} is pinned")


@click.command("unpin")
@click.argument("project")
@click.argument("stage")
@click.argument("attempt")
@json_option
def unpin(project: str, stage: str, attempt: str, *, as_json: bool) -> None:
    """Unpin an attempt of STAGE: the retention rules apply to it again.

    ATTEMPT is a number, count_of from 1 over all runs, or a task id.
    With --json, {"project", "stage", "attempt", "task_id"}.
    """
    with open_installation() as winslow:
        unpinned = winslow.retention.unpin(project, stage, attempt)
    if as_json:
        print_json(unpinned.model_dump(mode="json"))
    else:
        say(f"attempt {attempt} of {project}/{stage} is no longer pinned")


@click.command("retention")
@click.argument("project")
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@click.option("--clear", is_flag=True, help="Delete the project's own rules: only those of its pipeline apply.")
@click.option("--preview", is_flag=True, help="Only say what the rules would remove, and what they would keep.")
@json_option
def retention(project: str, rules: tuple[str, ...], *, clear: bool, preview: bool, as_json: bool) -> None:
    """Show the retention rules that PROJECT has of its own, or replace them. They precede those of its pipeline.

    A RULE is written as in a pipeline file: '{glob: "*.mp4", attempts: 2}'; '{}' keeps everything.

    With --json, {"rules": [{"what", "glob", "attempts", "days"}, …]}; with --preview as `winslow rules preview --json`.
    """
    if clear and rules:
        raise click.UsageError("--clear cannot be combined with rules")
    if preview:
        if not clear and not rules:
            raise click.UsageError("--preview needs rules, or --clear")
        with open_installation() as winslow:
            print_preview(winslow.retention.preview_rules(project, rules), as_json=as_json)
        return
    with open_installation() as winslow:
        change = clear or rules
        result = winslow.retention.set_rules(project, rules) if change else winslow.retention.rules(project)
    if as_json:
        print_json(result.model_dump(mode="json"))
    elif not result.rules:
        console().print(f"{project} has no retention rules of its own")
    else:
        print_table(
            ("what", "files", "attempts", "days"),
            [
                (
                    rule.what,
                    rule.glob if rule.what == "outputs" else "",
                    "" if rule.attempts is None else str(rule.attempts),
                    "" if rule.days is None else f"{rule.days:g}",
                )
                for rule in result.rules
            ],
        )


def _print_removals(removals: tuple[Removal, ...]) -> None:
    from winslow_dagster.formatting import count_of, format_size

    print_table(
        ("project", "stage", "what", "size", "reason"),
        [
            (
                removal.project,
                removal.stage,
                f"{removal.kind} of {removal.task_id}"
                if removal.paths is None
                else f"{count_of(len(removal.paths), 'file')} of {removal.task_id}",
                format_size(removal.size_bytes),
                removal.reason,
            )
            for removal in removals
        ],
    )
