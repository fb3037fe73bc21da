"""`winslow run`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from winslow_dagster.cli.output import json_option, print_json, say, say_if_services_start
from winslow_dagster.errors import InputRejected, ServiceUnavailable

if TYPE_CHECKING:
    from winslow_dagster.projects.results import ProjectStatus
    from winslow_dagster.projects.runs import Run

FIELDS = ("args", "image", "cpus", "memory", "timeout")
DETACHED_EXIT_CODE = 130


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
@click.option("--start-from", metavar="STAGE", help="Earlier stages hand on what they have stored.")
@click.option("--stop-after", metavar="STAGE", help="Later stages do not run.")
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
    start_from: str | None,
    stop_after: str | None,
    pipeline_version: Literal["pinned", "current"],
    *,
    detach: bool,
    as_json: bool,
) -> None:
    """Run PIPELINE for a project, and follow it to its end.

    A project that exists goes on with its first stage that is missing or out of date, unless --start-from says
    otherwise. Ctrl-C leaves the run alone; `winslow cancel` ends it. Where no services run, they are started, and end
    with the command.

    With --json, the project's status is printed at the end, as by `winslow status PROJECT --json`; with --detach,
    {"project", "run_id"}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.cli.progress import transfer_bars

    given = {name: Path(path) for name, path in pairs(inputs, "--input").items()}
    settings = stage_settings(changes)
    with Winslow() as winslow:
        if detach and not winslow.services_run:
            raise ServiceUnavailable(
                "no services run that would look after a detached run",
                remedy="Start them with `winslow up` in another terminal, or leave out --detach",
            )
        if not as_json:
            say_if_services_start(winslow)
        with transfer_bars("storing") as bars:
            run = winslow.run(
                pipeline,
                project,
                given,
                env=pairs(env, "--env"),
                start_from=start_from,
                stop_after=stop_after,
                settings=settings,
                pipeline_version=pipeline_version,
                upload=bars,
            )
        if not detach:
            status = follow(run, quiet=as_json)
            if as_json:
                print_json(status.model_dump(mode="json"))
            run.raise_unless_succeeded(status)
            if not as_json:
                say(f"`winslow files {project}` lists what it made")
        elif as_json:
            print_json({"project": project, "run_id": run.run_id})
        else:
            say(f"run {run.run_id} is queued; `winslow status {project}` says how it stands")


def follow(run: Run, *, quiet: bool) -> ProjectStatus:
    """Show the run until its end, whatever that is. Ctrl-C leaves the run alone, and ends the program."""
    from winslow_dagster.cli.progress import run_display

    try:
        with run_display(quiet=quiet) as shows:
            return run.ended(shows)
    except KeyboardInterrupt:
        say(
            f"detached: the run goes on. `winslow status {run.project}` says how it stands, "
            f"`winslow cancel {run.project}` ends it; `winslow up` looks after it."
        )
        raise SystemExit(DETACHED_EXIT_CODE) from None


def pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping. Raises InputRejected."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputRejected(f"{option} {text!r} is no pair", expected="NAME=VALUE")
        found[name] = value
    return found


def stage_settings(changes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`STAGE.FIELD=VALUE` texts as the settings of stages. Raises InputRejected."""
    settings: dict[str, dict[str, Any]] = {}
    for path, value in pairs(changes, "--set").items():
        stage, _, field = path.partition(".")
        changed = settings.setdefault(stage, {})
        if field.startswith("env.") and field != "env.":
            changed.setdefault("env", {})[field.removeprefix("env.")] = value
        elif field in FIELDS:
            changed[field] = _value(field, value)
        else:
            raise InputRejected(
                f"--set {path}={value} names no setting of a stage",
                expected=f"STAGE.env.NAME=VALUE, or STAGE.FIELD=VALUE with one of {', '.join(FIELDS)}",
            )
    return settings


def _value(field: str, text: str) -> Any:
    try:
        if field == "cpus":
            return float(text)
        if field == "args":
            return json.loads(text) if text.startswith("[") else shlex.split(text)
    except ValueError as error:
        raise InputRejected(f"--set {field}={text}: {error}", expected="a number" if field == "cpus" else "") from error
    return text
