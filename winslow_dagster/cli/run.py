"""`winslow run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from winslow_dagster.cli.follow_run import follow
from winslow_dagster.cli.output import json_option
from winslow_dagster.cli.run_options import pairs, secret_option, stage_settings, variables, warn_of_damage

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.run import Run
    from winslow_dagster.projects.installation import Installation


@click.command("run")
@click.argument("pipeline")
@click.option("--project", required=True, help="Project name; the project is created if it does not exist.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=PATH", help="A file for an input of the pipeline.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Variable of a new project, or of this run.")
@secret_option("a new project, or of this run")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="STAGE.FIELD=VALUE",
    help="Override a setting for this run: detect.env.THRESHOLD=0.4, detect.memory=8GiB, detect.args='-v --fast'.",
)
@click.option(
    "--start-from",
    multiple=True,
    metavar="STAGE",
    help="First stage to run; earlier stages keep their outputs.",
)
@click.option("--stop-after", metavar="STAGE", help="Last stage to run.")
@click.option("--use", multiple=True, metavar="STAGE=ATTEMPT", help="Use the outputs of this attempt.")
@click.option("--reuse", is_flag=True, help="Reuse the outputs of an identical attempt of any project.")
@click.option("--tag", "tags", multiple=True, help="Tag of a new project.")
@click.option("--reason", default="", help="Reason, for the project's history.")
@click.option(
    "--pipeline-version",
    type=click.Choice(["pinned", "current"]),
    default="pinned",
    show_default=True,
    help="The version the project was created with, or the current file.",
)
@click.option("--detach", is_flag=True, help="Do not wait for the run; needs `winslow up`.")
@json_option
def command(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    pipeline: str,
    project: str,
    inputs: tuple[str, ...],
    env: tuple[str, ...],
    secrets: tuple[str, ...],
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
    """Run PIPELINE for a project, and follow the run to its end.

    An existing project runs the stages whose outputs are missing or out of date, unless --start-from is given (repeat
    it for several branches). Ctrl-C stops following; `winslow cancel` ends the run. If the services are not running,
    they are started for this command. A run that pauses or waits for a person is not a failure.

    With --json, the project's status is printed at the end, as by `winslow status PROJECT --json`; with --detach,
    {"project", "run_id"}.
    """
    from winslow_dagster.cli.progress import transfer_bars

    files, environment, chosen = pairs(inputs, "--input"), variables(env, secrets), pairs(use, "--use")
    settings = stage_settings(changes)

    def start(winslow: Installation) -> Run:
        if not as_json:
            warn_of_damage(winslow, files)
        with transfer_bars("storing") as bars:
            return winslow.run(
                pipeline,
                project,
                files,
                env=environment,
                start_from=start_from,
                stop_after=stop_after,
                settings=settings,
                use=chosen,
                reuse=reuse,
                pipeline_version=pipeline_version,
                reason=reason,
                tags=tags,
                upload=bars,
            )

    follow(project, start, detach=detach, as_json=as_json)
