"""`winslow pause | resume | redo | sweep | pick | replace`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.follow_run import follow
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line, say
from winslow_dagster.cli.run_options import pairs, pipeline_option, secret_option, stage_settings, variables
from winslow_dagster.projects.domain.sweep_values import read_values

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.model import Attempt
    from winslow_dagster.projects.domain.run_plan import RunPlan

reason_option = click.option("--reason", default="", help="Reason, for the project's history.")
detach_option = click.option("--detach", is_flag=True, help="Do not wait for the run; needs `winslow up`.")


@click.command("pause")
@click.argument("project")
@click.option("--after", metavar="STAGE", help="Pause once this stage finishes.")
@json_option
def pause(project: str, after: str | None, *, as_json: bool) -> None:
    """Pause PROJECT once its running stages finish. `winslow resume` continues it.

    With --json, the project's status, as by `winslow status PROJECT --json`.
    """
    with open_installation() as winslow:
        winslow.project(project).pause(after)
        status = winslow.status(project)
    if as_json:
        print_json(status.model_dump(mode="json"))
    else:
        say(f"{project} is {status.state}: {status.reason}")


@click.command("resume")
@click.argument("project")
@click.option("--pipeline", metavar="NAME", help="Continue another pipeline that PROJECT ran through.")
@reason_option
@detach_option
@json_option
def resume(project: str, pipeline: str | None, reason: str, *, detach: bool, as_json: bool) -> None:
    """Continue PROJECT where it stopped, with the settings of the run that stopped.

    With --json, as `winslow run --json`.
    """
    follow(
        project,
        lambda winslow: winslow.project(project).resume(pipeline=pipeline, reason=reason),
        detach=detach,
        as_json=as_json,
    )


@click.command("redo")
@click.argument("project")
@click.argument("stage")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Set a variable of the stage for this run.")
@secret_option("the stage for this run")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="STAGE.FIELD=VALUE",
    help="Override a setting of any stage.",
)
@click.option("--input", "inputs", multiple=True, metavar="NAME=PATH", help="Replace an input of the project.")
@click.option("--use", multiple=True, metavar="STAGE=ATTEMPT", help="Use the outputs of this attempt.")
@click.option("--only", is_flag=True, help="Run only this stage.")
@click.option("--stop-after", metavar="STAGE", help="Do not run later stages.")
@click.option("--reuse", is_flag=True, help="Reuse the outputs of an identical attempt of any project.")
@click.option("--plan", is_flag=True, help="Show what would happen, and start nothing.")
@pipeline_option
@reason_option
@detach_option
@json_option
def redo(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str,
    stage: str,
    env: tuple[str, ...],
    secrets: tuple[str, ...],
    changes: tuple[str, ...],
    inputs: tuple[str, ...],
    use: tuple[str, ...],
    stop_after: str | None,
    pipeline: str | None,
    reason: str,
    *,
    only: bool,
    reuse: bool,
    plan: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Run STAGE of PROJECT and the stages that follow it again, with other settings or other attempts' outputs.

    With --json, as `winslow run --json`; with --plan, {project, pipeline, stages, kept, outdated, questions,
    estimated_s, gpus, runs, busy, text, …}.
    """
    environment, settings = variables(env, secrets), stage_settings(changes)
    files, chosen = pairs(inputs, "--input"), pairs(use, "--use")
    if plan:
        with open_installation() as winslow:
            found = winslow.project(project).plan(
                stage,
                pipeline=pipeline,
                env=environment,
                settings=settings,
                inputs=files,
                use=chosen,
                only=only,
                stop_after=stop_after,
                reuse=reuse,
            )
        _show_plan(found, as_json=as_json)
        return
    follow(
        project,
        lambda winslow: winslow.project(project).redo(
            stage,
            pipeline=pipeline,
            env=environment,
            settings=settings,
            inputs=files,
            use=chosen,
            only=only,
            stop_after=stop_after,
            reuse=reuse,
            reason=reason,
        ),
        detach=detach,
        as_json=as_json,
    )


@click.command("sweep")
@click.argument("project")
@click.argument("stage")
@click.option(
    "--env",
    multiple=True,
    required=True,
    metavar="NAME=VALUES",
    help='A variable and the values to try: "1, 2, 5", or a range, "0.1..0.5 step 0.1".',
)
@click.option("--set", "changes", multiple=True, metavar="STAGE.FIELD=VALUE", help="Override a setting in all runs.")
@click.option("--use", multiple=True, metavar="STAGE=ATTEMPT", help="Use the outputs of this attempt.")
@click.option("--stop-after", metavar="STAGE", help="Last stage to run; by default, only STAGE runs.")
@click.option("--max-concurrent", type=int, metavar="N", help="Run at most N combinations at once.")
@click.option("--reuse", is_flag=True, help="Reuse the outputs of identical attempts of any project.")
@click.option("--plan", is_flag=True, help="Show what would happen, and start nothing.")
@pipeline_option
@reason_option
@detach_option
@json_option
def sweep(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str,
    stage: str,
    env: tuple[str, ...],
    changes: tuple[str, ...],
    use: tuple[str, ...],
    stop_after: str | None,
    max_concurrent: int | None,
    pipeline: str | None,
    reason: str,
    *,
    reuse: bool,
    plan: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Run STAGE of PROJECT once for each combination of values, side by side.

    Afterwards, `winslow compare PROJECT STAGE` shows the results, and `winslow pick PROJECT STAGE ATTEMPT` chooses one.
    With --json, as `winslow run --json`; with --plan, as `winslow redo --plan --json`.
    """
    values = {name: read_values(text) for name, text in pairs(env, "--env").items()}
    settings, chosen = stage_settings(changes), pairs(use, "--use")
    if plan:
        with open_installation() as winslow:
            found = winslow.project(project).plan(
                stage,
                pipeline=pipeline,
                settings=settings,
                use=chosen,
                stop_after=stop_after,
                reuse=reuse,
                values=values,
                max_concurrent=max_concurrent,
            )
        _show_plan(found, as_json=as_json)
        return
    follow(
        project,
        lambda winslow: winslow.project(project).sweep(
            stage,
            values,
            pipeline=pipeline,
            settings=settings,
            use=chosen,
            stop_after=stop_after,
            reuse=reuse,
            max_concurrent=max_concurrent,
            reason=reason,
        )[-1],
        detach=detach,
        as_json=as_json,
    )


@click.command("pick")
@click.argument("project")
@click.argument("stage")
@click.argument("attempt")
@json_option
def pick(project: str, stage: str, attempt: str, *, as_json: bool) -> None:
    """Use the outputs of ATTEMPT (number or task id) as those of STAGE. `winslow resume` runs the stages that follow.

    With --json, {"project", "stage", "task_id"}.
    """
    with open_installation() as winslow:
        handle = winslow.project(project)
        chosen, own = handle.pick(stage, attempt), handle.pipeline().name
    if as_json:
        print_json({"project": project, "stage": stage, "task_id": chosen.task_id})
    else:
        say(
            f"{stage} now has the outputs of {chosen.task_id}; `{resume_line(chosen, own)}` runs the stages that follow"
        )


@click.command("replace")
@click.argument("project")
@click.argument("stage")
@click.argument("path")
@click.argument("file", type=click.Path(path_type=Path))
@pipeline_option
@reason_option
@json_option
def replace(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str, stage: str, path: str, file: Path, pipeline: str | None, reason: str, *, as_json: bool
) -> None:
    """Replace PATH, an output file of STAGE, with FILE. `winslow resume` runs the stages that follow.

    With --json, {"project", "stage", "task_id"}.
    """
    with open_installation() as winslow:
        handle = winslow.project(project)
        own = handle.pipeline().name
        attempt = handle.replace(stage, path, file, pipeline=pipeline, reason=reason)
    if as_json:
        print_json({"project": project, "stage": stage, "task_id": attempt.task_id})
    else:
        say(f"{attempt.message}; `{resume_line(attempt, own)}` runs the stages that follow")


def _show_plan(plan: RunPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan.model_dump(mode="json"))
        return
    busy = f" It cannot be started now: {plan.busy}." if plan.busy else ""
    print_line(f"{plan.text}{busy}")


def resume_line(attempt: Attempt, own: str) -> str:
    """The command that continues the pipeline of the attempt; `own` is the project's."""
    return command_line("resume", attempt.project, *pipeline_words(attempt.pipeline, own))


def pipeline_words(name: str, own: str) -> tuple[str, ...]:
    """The option that names another pipeline than the project's own."""
    return () if name == own else ("--pipeline", name)
