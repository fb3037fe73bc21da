"""`winslow demo`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.follow_run import shown
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line, say
from winslow_dagster.errors import InputRejected, NotFound, StageFailed
from winslow_dagster.globs import matches

if TYPE_CHECKING:
    from winslow_dagster.pipelines import Pipeline
    from winslow_dagster.projects.domain.views import ProjectFile
    from winslow_dagster.settings import Settings

PIPELINE = "traffic_analysis"
PROGRAM = "tracker"
RESULT = "trajectories.csv"
SIMULATED = {"video": "video.mp4", "reference_points": "reference_points.json"}
"""What `tracker simulate` writes, by the input of the pipeline it is for."""


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
    """Analyze a short film from start to finish, and print where the results are.

    With --json, {"project", "run_id", "state", "files": […]}, the files as by `winslow files --json`.
    """
    from winslow_dagster.cli.progress import transfer_bars
    from winslow_dagster.settings import Settings

    if points is not None and video is None:
        raise InputRejected(
            "reference points were given without a film",
            expected="--video as well, or neither",
            remedy="Without both, the demo renders a film",
        )
    settings = with_pipeline(Settings.read())
    if video is None:
        rendered = render(settings.home / "demo")
        inputs = {name: rendered / file for name, file in SIMULATED.items()}
    else:
        inputs = {"video": video} | ({} if points is None else {"reference_points": points})
    with open_installation(settings) as winslow:
        name = project or free_name({each.project for each in winslow.projects()})
        if not as_json:
            say(f"pipeline {PIPELINE}, project {name}")
        with transfer_bars("storing") as bars:
            run = winslow.run(PIPELINE, name, inputs, upload=bars)
        status = shown(run, quiet=as_json)
        run.raise_if_failed(status)
        questions = winslow.project(name).questions()
        files = winslow.project(name).files(pipeline=PIPELINE)
        pipeline = winslow.project(name).pipeline()
    if as_json:
        whole = [file.model_dump(mode="json") for file in files]
        print_json({"project": name, "run_id": run.run_id, "state": status.state, "files": whole})
    else:
        show_results(pipeline, name, files, settings.address)
        for question in questions:
            say(f"\n{question.stage} is waiting for you: {question.message}")
            say(f"  `{command_line('answer', name)}` shows how to answer")


def with_pipeline(settings: Settings) -> Settings:
    """The settings, with the shipped pipelines if the configured directory lacks that of the demo."""
    from winslow_dagster.defaults import default_file
    from winslow_dagster.pipelines import pipeline_names

    if PIPELINE in pipeline_names(settings.pipelines_dir):
        return settings
    return settings.model_copy(update={"pipelines_dir": default_file("pipeline_configs")})


def render(directory: Path) -> Path:
    """A directory with a rendered film and its reference points, created if necessary.

    Raises NotFound if the program is missing, StageFailed if it fails.
    """
    if all((directory / file).exists() for file in SIMULATED.values()):
        return directory
    beside = Path(sys.executable).with_name(PROGRAM)
    program = str(beside) if beside.exists() else shutil.which(PROGRAM)
    if program is None:
        raise NotFound(
            f"the program {PROGRAM}, which renders the film, is not installed",
            remedy="Run `make setup`, or pass a film with --video and --points",
        )
    say("rendering a short film of a crossroads ...")
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    rendered = subprocess.run(
        [program, "simulate", "--road-polygon", "--output", str(unfinished)],
        capture_output=True,
        text=True,
        check=False,
    )
    if rendered.returncode != 0:
        raise StageFailed(f"rendering the film failed: {rendered.stderr.strip()[-2000:]}", where=f"{PROGRAM} simulate")
    unfinished.replace(directory)
    return directory


def free_name(taken: set[str]) -> str:
    """`demo`, or the first of `demo-2`, `demo-3`, … that is free."""
    name, number = "demo", 1
    while name in taken:
        number += 1
        name = f"demo-{number}"
    return name


def show_results(pipeline: Pipeline, project: str, files: tuple[ProjectFile, ...], address: str) -> None:
    """Print the path of the trajectories, and of the files that the pipeline highlights."""
    trajectories = [file for file in files if Path(file.path).name == RESULT]
    globs = {stage.name: [highlight.glob for highlight in stage.highlights] for stage in pipeline.stages}
    others = [
        file
        for file in files
        if file not in trajectories and any(matches(file.path, glob) for glob in globs[file.stage])
    ]
    say("\nresults:")
    for file in (*trajectories, *others):
        print_line(f"  {file.local_path or f'{file.stage}/{file.path}'}")
    say(f"\nall files: {command_line('files', project)}\nthe web interface: {command_line('up')}, then {address}")
