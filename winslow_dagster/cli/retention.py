"""`winslow usage | prune | pin | unpin | retention`: how much room there is, and what may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.output import console, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster import Winslow
    from winslow_dagster.projects.retention.cleanup import Cleanup, Plan


@click.command("usage")
@click.argument("project", required=False)
@json_option
def usage(project: str | None, *, as_json: bool) -> None:
    """Say how much room projects and their stages take, or those of PROJECT. What attempts share counts once.

    With --json, {"stages": [{"project", "stage", "attempts", "outputs_bytes", "logs_bytes", "leftovers_bytes"}, …],
    "inputs_bytes": {project: bytes}, "cache_bytes"}. Leftovers and cache are those of this node.
    """
    from dataclasses import asdict

    from winslow_dagster import Winslow
    from winslow_dagster.formatting import format_size

    with Winslow() as winslow:
        use = cleanup(winslow).disk_use(project)
    if as_json:
        print_json(asdict(use))
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
        for each in use.stages
    ]
    rows += [(name, "(inputs)", "", format_size(size), "", "") for name, size in sorted(use.inputs_bytes.items())]
    print_table(("project", "stage", "attempts", "outputs", "logs", "on this node"), sorted(rows))
    say(f"this node's cache of inputs: {format_size(use.cache_bytes)}")


@click.command("prune")
@click.argument("project", required=False)
@click.option("--yes", "really", is_flag=True, help="Delete it.")
@click.option("--dry-run", is_flag=True, help="Only say what would go: what it does without --yes, too.")
@json_option
def prune(project: str | None, *, really: bool, dry_run: bool, as_json: bool) -> None:
    """Say what the rules let go, of all projects or of PROJECT, why, and how much that frees; delete it with --yes.

    With --json, {"removals": [{"project", "stage", "task_id", "kind", "address", "paths", "size_bytes", "reason",
    "task_ids"}, …], "size_bytes", "freed_bytes"}; kind is outputs, log or leftovers, paths is null for the whole, and
    freed_bytes is null without --yes.
    """
    from dataclasses import asdict

    from winslow_dagster import Winslow
    from winslow_dagster.formatting import format_size
    from winslow_dagster.projects.domain.actor import Actor

    if really and dry_run:
        raise click.UsageError("--yes and --dry-run are opposites")
    with Winslow(actor=Actor(via="cli")) as winslow:
        keeping_house = cleanup(winslow)
        plan = keeping_house.plan(project)
        freed_bytes = None
        if really:
            freed_bytes = keeping_house.carry_out(plan)
            winslow.context.audit("prune", project, freed_bytes=freed_bytes)
    if as_json:
        removals = [asdict(removal) for removal in plan.removals]
        print_json({"removals": removals, "size_bytes": plan.size_bytes, "freed_bytes": freed_bytes})
        return
    show(plan)
    if freed_bytes is not None:
        say(f"freed {format_size(freed_bytes)}")
    elif plan.removals:
        say(f"{format_size(plan.size_bytes)} would be freed; --yes deletes it")


@click.command("pin")
@click.argument("project")
@click.argument("stage")
@click.argument("attempt", type=click.IntRange(min=1))
@click.option("--reason", default="", help="A note for those who wonder later.")
@json_option
def pin(project: str, stage: str, attempt: int, reason: str, *, as_json: bool) -> None:
    """Keep all of an attempt of STAGE, whatever the rules say. ATTEMPT counts from 1 over all runs.

    With --json, {"task_id", "project", "pinned_at", "pinned_by", "reason"}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.domain.actor import Actor

    with Winslow(actor=Actor(via="cli")) as winslow:
        pinned = cleanup(winslow).pin(project, stage, attempt, by=winslow.actor.who, reason=reason)
        winslow.context.audit("pin", project, stage=stage, attempt=attempt, reason=reason)
    if as_json:
        print_json(
            {
                "task_id": pinned.task_id,
                "project": pinned.project,
                "pinned_at": pinned.pinned_at.isoformat(),
                "pinned_by": pinned.pinned_by,
                "reason": pinned.reason,
            }
        )
    else:
        say(f"attempt {attempt} of {project}/{stage} stays until it is unpinned")


@click.command("unpin")
@click.argument("project")
@click.argument("stage")
@click.argument("attempt", type=click.IntRange(min=1))
@json_option
def unpin(project: str, stage: str, attempt: int, *, as_json: bool) -> None:
    """Let the rules hold again for an attempt of STAGE that was pinned.

    With --json, {"project", "stage", "attempt"}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.domain.actor import Actor

    with Winslow(actor=Actor(via="cli")) as winslow:
        cleanup(winslow).unpin(project, stage, attempt)
        winslow.context.audit("unpin", project, stage=stage, attempt=attempt)
    if as_json:
        print_json({"project": project, "stage": stage, "attempt": attempt})
    else:
        say(f"the rules hold again for attempt {attempt} of {project}/{stage}")


@click.command("retention")
@click.argument("project")
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@click.option("--clear", is_flag=True, help="Take its own rules away: those of the pipeline hold alone.")
@json_option
def retention(project: str, rules: tuple[str, ...], *, clear: bool, as_json: bool) -> None:
    """Print the own rules of PROJECT, or replace them. They are asked before those of its pipeline.

    A RULE is written as in a pipeline file: '{glob: "*.mp4", attempts: 2}'; '{}' keeps everything.

    With --json, {"rules": [{"what", "glob", "attempts", "days"}, …]}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.domain.actor import Actor
    from winslow_dagster.projects.retention.pins import Pins, read_rule

    if clear and rules:
        raise click.UsageError("--clear takes no rules")
    with Winslow(actor=Actor(via="cli")) as winslow:
        winslow.records.project(project)
        keeping = Pins(winslow.records.database)
        if clear or rules:
            given = tuple(read_rule(rule) for rule in rules)
            keeping.set_rules(project, given, winslow.actor.who)
            winslow.context.audit("retention", project, rules=[rule.model_dump(mode="json") for rule in given])
        stands = keeping.rules().get(project, ())
    if as_json:
        print_json({"rules": [rule.model_dump(mode="json") for rule in stands]})
    elif not stands:
        console().print(f"{project} has no rules of its own")
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
                for rule in stands
            ],
        )


def cleanup(winslow: Winslow) -> Cleanup:
    """Of this installation."""
    from winslow_dagster.projects.retention.cleanup import Cleanup

    return Cleanup(winslow.records, winslow.store, winslow.settings, winslow.engine)


def show(plan: Plan) -> None:
    """What would go, for a person."""
    from winslow_dagster.formatting import count_of, format_size

    if not plan.removals:
        console().print("nothing has to go")
        return
    print_table(
        ("project", "stage", "what", "size", "why"),
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
            for removal in plan.removals
        ],
    )
