"""`winslow demo`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.follow_run import shown
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line, say
from winslow_dagster.errors import InputRejected

if TYPE_CHECKING:
    from winslow_dagster.settings import Settings


@click.command("demo")
@click.option(
    "--video",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own film, instead of a rendered one. Without points, the demo stops where you mark them.",
)
@click.option(
    "--points",
    "--reference-points",
    "points",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Reference points of your film.",
)
@click.option("--project", help="Project name.  [default: demo, demo-2, …]")
@json_option
def command(video: Path | None, points: Path | None, project: str | None, *, as_json: bool) -> None:
    """Analyze a short film from start to finish, and print the address of the project with its results.

    With --json, {"project", "run_id", "state", "files": […]}, the files as by `winslow files --json`.
    """
    from winslow_dagster.cli.progress import transfer_bars
    from winslow_dagster.projects.accounts.tokens import link_address
    from winslow_dagster.projects.commands.demo import PIPELINE, free_name, rendering
    from winslow_dagster.settings import Settings

    if points is not None and video is None:
        raise InputRejected(
            "reference points were given without a film",
            expected="--video as well, or neither",
            remedy="Without both, the demo renders a film",
        )
    settings = with_pipeline(Settings.read())
    with contextlib.ExitStack() as until_end:
        wait_for_film = until_end.enter_context(rendering(settings.home, say)) if video is None else None
        winslow = until_end.enter_context(open_installation(settings))
        # Services that this starts end with it. They start while the film is rendered.
        serving = winslow.services_running
        winslow.context.dagster()
        inputs = {} if video is None else {"video": video}
        if points is not None:
            inputs["reference_points"] = points
        if wait_for_film is not None:
            inputs = dict(wait_for_film())
        name = project or free_name(winslow.context.records.names())
        if not as_json:
            say(f"pipeline {PIPELINE}, project {name}")
        with transfer_bars("storing") as bars:
            run = winslow.run(PIPELINE, name, inputs, upload=bars)
        status = shown(run, quiet=as_json)
        status.raise_if_failed()
        questions = winslow.project(name).questions()
        files = winslow.project(name).files(pipeline=PIPELINE)
        address = winslow.address if serving else settings.address
        key = winslow.accounts.entry_link()
    if as_json:
        whole = [file.model_dump(mode="json") for file in files]
        print_json({"project": name, "run_id": run.run_id, "state": status.state, "files": whole})
    else:
        say("\nopen the project:" if serving else f"\nstart the web interface with `{command_line('up')}`, then open:")
        page = f"/projects/{name}"
        print_line(f"{address}{page}" if key is None else link_address(address, key, page))
        for question in questions:
            say(f"\n{question.stage} is waiting for you: {question.message}")
            say(f"  `{command_line('answer', name)}` shows how to answer")


def with_pipeline(settings: Settings) -> Settings:
    """The settings, with the shipped pipelines if the configured directory lacks that of the demo."""
    from winslow_dagster.defaults import default_file
    from winslow_dagster.pipelines import pipeline_names
    from winslow_dagster.projects.commands.demo import PIPELINE

    if PIPELINE in pipeline_names(settings.pipelines_dir):
        return settings
    return settings.model_copy(update={"pipelines_dir": default_file("pipeline_configs")})
