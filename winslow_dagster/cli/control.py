"""`winslow pause | resume | redo | sweep | pick | replace | answer`: what a person does with a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from winslow_dagster.cli.follow_run import follow
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say
from winslow_dagster.cli.run_options import pairs, stage_settings

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.views import QuestionView

reason_option = click.option("--reason", default="", help="A note for the project's history.")
detach_option = click.option("--detach", is_flag=True, help="Do not wait for the end; needs `winslow up`.")


@click.command("pause")
@click.argument("project")
@click.option("--after", metavar="STAGE", help="Hold back only what follows this stage.")
@json_option
def pause(project: str, after: str | None, *, as_json: bool) -> None:
    """Begin no further stage of PROJECT; those that run end first. `winslow resume` goes on.

    With --json, the project's status, as by `winslow status PROJECT --json`.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.database.audit import Actor

    with Winslow(actor=Actor(via="cli")) as winslow:
        winslow.project(project).pause(after)
        status = winslow.status(project)
    if as_json:
        print_json(status.model_dump(mode="json"))
    else:
        say(f"{project} is {status.state}: {status.reason}")


@click.command("resume")
@click.argument("project")
@reason_option
@detach_option
@json_option
def resume(project: str, reason: str, *, detach: bool, as_json: bool) -> None:
    """Go on with PROJECT where it stopped, with what the run that stopped was told.

    With --json, as `winslow run --json`.
    """
    follow(project, lambda winslow: winslow.project(project).resume(reason=reason), detach=detach, as_json=as_json)


@click.command("redo")
@click.argument("project")
@click.argument("stage")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable of the stage, for this run.")
@click.option("--set", "changes", multiple=True, metavar="STAGE.FIELD=VALUE", help="As for `winslow run`.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=PATH", help="Another file the project brings.")
@click.option("--use", multiple=True, metavar="STAGE=ATTEMPT", help="Go on from this attempt's outputs.")
@click.option("--only", is_flag=True, help="This stage, and none that follows it.")
@click.option("--stop-after", metavar="STAGE", help="Later stages do not run.")
@click.option("--reuse", is_flag=True, help="Take the outputs of an equal attempt, of any project, where there is one.")
@reason_option
@detach_option
@json_option
def redo(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str,
    stage: str,
    env: tuple[str, ...],
    changes: tuple[str, ...],
    inputs: tuple[str, ...],
    use: tuple[str, ...],
    stop_after: str | None,
    reason: str,
    *,
    only: bool,
    reuse: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Run STAGE of PROJECT again, and what follows it, with other parameters or on other attempts' outputs.

    With --json, as `winslow run --json`.
    """
    follow(
        project,
        lambda winslow: winslow.project(project).redo(
            stage,
            env=pairs(env, "--env"),
            settings=stage_settings(changes),
            inputs=pairs(inputs, "--input"),
            use=pairs(use, "--use"),
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
    metavar="NAME=VALUE,VALUE,...",
    help="A variable and its values.",
)
@click.option("--stop-after", metavar="STAGE", help="Run so far for each combination; by default, the stage alone.")
@reason_option
@detach_option
@json_option
def sweep(  # noqa: PLR0913  # click hands over each option, by name
    project: str,
    stage: str,
    env: tuple[str, ...],
    stop_after: str | None,
    reason: str,
    *,
    detach: bool,
    as_json: bool,
) -> None:
    """Run STAGE of PROJECT once for every combination of values, side by side.

    Then `winslow compare PROJECT STAGE` shows what came of each, and `winslow pick PROJECT STAGE ATTEMPT` chooses one.
    With --json, as `winslow run --json`.
    """
    values = {name: text.split(",") for name, text in pairs(env, "--env").items()}
    follow(
        project,
        lambda winslow: winslow.project(project).sweep(stage, values, stop_after=stop_after, reason=reason)[-1],
        detach=detach,
        as_json=as_json,
    )


@click.command("pick")
@click.argument("project")
@click.argument("stage")
@click.argument("attempt")
@json_option
def pick(project: str, stage: str, attempt: str, *, as_json: bool) -> None:
    """From now on STAGE of PROJECT has the outputs of ATTEMPT, by its number or task id. `winslow resume` goes on.

    With --json, {"project", "stage", "task_id"}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.database.audit import Actor

    with Winslow(actor=Actor(via="cli")) as winslow:
        chosen = winslow.project(project).pick(stage, attempt)
        left = winslow.status(project).reason
    if as_json:
        print_json({"project": project, "stage": stage, "task_id": chosen.task_id})
    else:
        say(f"{stage} has the outputs of {chosen.task_id} now; {left}")


@click.command("replace")
@click.argument("project")
@click.argument("stage")
@click.argument("path")
@click.argument("file", type=click.Path(path_type=Path))
@reason_option
@json_option
def replace(  # noqa: PLR0913  # click hands over each option, by name
    project: str, stage: str, path: str, file: Path, reason: str, *, as_json: bool
) -> None:
    """Put FILE in the place of PATH among the files that STAGE of PROJECT made. `winslow resume` goes on with it.

    With --json, {"project", "stage", "task_id"}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.database.audit import Actor

    with Winslow(actor=Actor(via="cli")) as winslow:
        made = winslow.project(project).replace(stage, path, file, reason=reason)
    if as_json:
        print_json({"project": project, "stage": stage, "task_id": made.task_id})
    else:
        say(f"{made.message}; `winslow resume {project}` goes on with it")


@click.command("answer")
@click.argument("project")
@click.argument("stage", required=False)
@click.option("--value", "values", multiple=True, metavar="NAME=VALUE", help="A field; JSON is read as JSON.")
@click.option("--file", "files", multiple=True, metavar="NAME=PATH", help="A file field of the form.")
@click.option("--no-resume", "go_on", is_flag=True, flag_value=False, default=True, help="Answer, and run nothing yet.")
@detach_option
@json_option
def answer(  # noqa: PLR0913  # click hands over each option, by name
    project: str,
    stage: str | None,
    values: tuple[str, ...],
    files: tuple[str, ...],
    *,
    go_on: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Answer what STAGE of PROJECT asks, and go on. Without STAGE, show what is asked.

    With --json: without STAGE {"questions": [{stage, message, form}, …]}; else as `winslow run --json`.
    """
    if stage is not None:
        given = {name: _value(text) for name, text in pairs(values, "--value").items()}
        follow(
            project,
            lambda winslow: winslow.project(project).answer(stage, given, pairs(files, "--file"), go_on=go_on),
            detach=detach,
            as_json=as_json,
        )
        return
    from winslow_dagster import Winslow

    with Winslow() as winslow:
        questions = winslow.project(project).questions()
    if as_json:
        print_json({"questions": [question.model_dump(mode="json") for question in questions]})
    elif not questions:
        say(f"{project} asks nothing")
    else:
        for question in questions:
            _show(project, question)


def _show(project: str, question: QuestionView) -> None:
    console().print(f"{question.stage} asks: {question.message}", markup=False)
    if question.form:
        print_table(
            ("field", "kind", "what", "default"),
            [
                (
                    each["name"] + ("" if each.get("required", True) else " (optional)"),
                    each["kind"],
                    each.get("label") or each.get("help") or "",
                    str(each.get("default", "")),
                )
                for each in question.form
            ],
        )
    if question.asked_by_attempt and any(str(each.get("image", "")).startswith("./") for each in question.form):
        pictures = f"winslow files {project} --stage {question.stage} --attempt {question.asked_by_attempt}"
        console().print(f"the pictures: {pictures}", markup=False, soft_wrap=True)
    fields = " ".join(
        f"{'--file' if each['kind'] == 'file' else '--value'} {each['name']}=..." for each in question.form
    )
    console().print(f"winslow answer {project} {question.stage} {fields}".rstrip(), markup=False)


def _value(text: str) -> Any:
    """JSON where the text is some, and the text itself otherwise: `3`, `true`, `[{"x": 1, …}]`, `north`."""
    try:
        return json.loads(text)
    except ValueError:
        return text
