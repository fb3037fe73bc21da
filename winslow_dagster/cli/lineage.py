"""`winslow lineage`."""

from __future__ import annotations

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table


@click.command("lineage")
@click.argument("project")
@click.option("--stage", help="Only outputs of this stage.")
@json_option
def command(project: str, stage: str | None, *, as_json: bool) -> None:
    """Show which outputs of PROJECT were made from which, in the order in which their attempts started.

    With --json, {"project", "outputs": [{task_id, pipeline, stage, number, started_at, made_from, current, outdated,
    answered, by_hand, reused_from, removed}, …]}; `made_from` are the task ids of the attempts whose outputs were read.
    """
    from winslow_dagster.formatting import format_time

    with open_installation() as winslow:
        lineage = winslow.project(project).lineage()
    names = {each.task_id: f"{each.stage} {each.number}" for each in lineage.outputs}
    outputs = tuple(each for each in lineage.outputs if stage in {None, each.stage})
    if as_json:
        print_json(lineage.model_copy(update={"outputs": outputs}).model_dump(mode="json"))
        return
    if not outputs:
        console().print("no outputs yet")
        return
    print_table(
        ("outputs", "pipeline", "started", "made from", "state"),
        [
            (
                names[each.task_id],
                each.pipeline,
                format_time(each.started_at),
                ", ".join([*(names[source] for source in each.made_from), *(["an answer"] if each.answered else [])]),
                "; ".join(
                    text
                    for text in (
                        f"out of date: {each.outdated}" if each.outdated else "current" if each.current else "",
                        "made by hand" if each.by_hand else "",
                        f"taken over from {each.reused_from}" if each.reused_from else "",
                        "files removed" if each.removed else "",
                    )
                    if text
                ),
            )
            for each in outputs
        ],
    )
