"""`winslow run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from winslow_dagster.cli.follow_run import follow
from winslow_dagster.cli.output import json_option
from winslow_dagster.cli.run_options import pairs, stage_settings

if TYPE_CHECKING:
    from winslow_dagster import Winslow
    from winslow_dagster.projects.commands.run import Run


@click.command("run")
@click.argument("pipeline")
@click.option("--project", required=True, help="The project's name; it is made where there is none.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=PATH", help="A file the pipeline asks for.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable of the project, or of this run of it.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="STAGE.FIELD=VALUE",
    help="Change a stage for this run: detect.env.THRESHOLD=0.4, detect.memory=8GiB, detect.args='-v --fast'.",
)
@click.option(
    "--start-from",
    multiple=True,
    metavar="STAGE",
    help="Earlier stages hand on what they have stored.",
)
@click.option("--stop-after", metavar="STAGE", help="Later stages do not run.")
@click.option("--use", multiple=True, metavar="STAGE=ATTEMPT", help="Hand on this attempt's outputs, not the latest.")
@click.option("--reuse", is_flag=True, help="Take the outputs of an equal attempt, of any project, where there is one.")
@click.option("--tag", "tags", multiple=True, help="A tag of a project that is made.")
@click.option("--reason", default="", help="A note for the project's history.")
@click.option(
    "--pipeline-version",
    type=click.Choice(["pinned", "current"]),
    default="pinned",
    show_default=True,
    help="The version the project was made with, or the file as it is now.",
)
@click.option("--detach", is_flag=True, help="Do not wait for the end; needs `winslow up`.")
@json_option
def command(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    pipeline: str,
    project: str,
    inputs: tuple[str, ...],
    env: tuple[str, ...],
    changes: tuple[str, ...],
    start_from: tuple[str, ...],
    stop_after: str | None,
    use: tuple[str, ...],
    tags: tuple[str, ...],
    reason: str,
    pipeline_version: Literal["pinned", "current"],
    *,
    reuse: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Run PIPELINE for a project, and follow it to its end.

    A project that exists goes on with what is missing or out of date, unless --start-from says otherwise (repeat it for
    several branches). Ctrl-C leaves the run alone; `winslow cancel` ends it. Where no services run, they are started,
    and end with the command. A run that pauses, or waits for a person, is no failure.

    With --json, the project's status is printed at the end, as by `winslow status PROJECT --json`; with --detach,
    {"project", "run_id"}.
    """
    from winslow_dagster.cli.progress import transfer_bars

    given = pairs(inputs, "--input")
    settings = stage_settings(changes)

    def start(winslow: Winslow) -> Run:
        with transfer_bars("storing") as bars:
            return winslow.run(
                pipeline,
                project,
                given,
                env=pairs(env, "--env"),
                start_from=start_from,
                stop_after=stop_after,
                settings=settings,
                use={stage: winslow.project(project).attempt(stage, which).task_id for stage, which in chosen.items()},
                reuse=reuse,
                pipeline_version=pipeline_version,
                reason=reason,
                tags=tags,
                upload=bars,
            )

    chosen = pairs(use, "--use")
    follow(project, start, detach=detach, as_json=as_json)
