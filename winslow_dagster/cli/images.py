"""`winslow images`: the images that the stages run in."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.pipelines import Catalogue

STARTER = "deploy/images/java/java_tracker.yaml"
STARTER_NAME = "java_tracker"
STARTER_IMAGE = "winslow/java-tracker:1.0"


@click.group("images")
def command() -> None:
    """The images that the stages run in; `winslow images java` makes one of your own program."""


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the images that the pipelines name, and whether they are on this machine.

    With --json, {"images": [{"image", "pipelines", "state", "size_bytes"}, …]}; `state` is here, missing, or varies:
    variables of a project or a run decide.
    """
    from winslow_dagster.pipelines import Catalogue, format_size, references
    from winslow_dagster.settings import Settings
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    named = _named(Catalogue.read(Settings.read().pipelines_dir))
    daemon = DockerDaemon.connect()
    sizes = {image: None if references(image) else daemon.image_size_bytes(image) for image in named}
    states = {
        image: "varies" if references(image) else "missing" if size_bytes is None else "here"
        for image, size_bytes in sizes.items()
    }
    if as_json:
        images = [
            {"image": image, "pipelines": pipelines, "state": states[image], "size_bytes": sizes[image]}
            for image, pipelines in named.items()
        ]
        print_json({"images": images})
        return
    rows = [
        (image, states[image], "" if (size := sizes[image]) is None else format_size(size), ", ".join(pipelines))
        for image, pipelines in named.items()
    ]
    print_table(("image", "state", "size", "pipelines"), rows)


@command.command("java")
@click.option("--jar", required=True, type=click.Path(path_type=Path), help="The program.")
@click.option("--tag", required=True, help="What the image is called, such as my/tracker:1.0.")
@click.option("--main-class", default="", help="The class that is run; by default, the one the jar names.")
@click.option("--base-image", default="", help="The image to build on, which has java 9 or newer.")
@click.option(
    "--add",
    "added",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A directory or file that lies beside the jar, under its own name: libraries, models. May be repeated.",
)
@click.option("--java-options", default="", help='What the JVM is told, such as "-Xss4m -Dmodel=small".')
@click.option(
    "--pipeline-out", type=click.Path(path_type=Path), help="Write a commented pipeline to begin with to this file."
)
@json_option
def java(  # noqa: PLR0913, PLR0917  # one parameter an option
    jar: Path,
    tag: str,
    main_class: str,
    base_image: str,
    added: tuple[Path, ...],
    java_options: str,
    pipeline_out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make a stage image of a Java program, which stays as it is.

    With --json, {"image", "digest", "size_bytes", "base_image", "main_class", "missing", "pipeline"}; `missing` are the
    jars that the manifest's Class-Path names and that were not added.
    """
    from winslow_dagster.images.java_archive import JavaArchive
    from winslow_dagster.images.java_image import JavaImage
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    try:
        options = tuple(shlex.split(java_options))
    except ValueError as error:
        raise click.BadParameter(f"{error} in {java_options!r}", param_hint="--java-options") from error
    wanted = JavaImage(JavaArchive.read(jar), tag, main_class, base_image, added, options)
    starter = _starter(pipeline_out, tag) if pipeline_out else b""
    built = wanted.build(DockerDaemon.connect(), say)
    if pipeline_out:
        pipeline_out.write_bytes(starter)
    for entry in built.missing:
        say(f"warning: the jar looks for {entry} beside it, and that was not added")
    if as_json:
        print_json(asdict(built) | {"pipeline": str(pipeline_out) if pipeline_out else None})
        return
    say(f"{tag} is ready")
    if pipeline_out:
        say(f"{pipeline_out} says how it is called: change it until it fits, and then `winslow pipelines check`")
    else:
        say("with --pipeline-out my_tracker.yaml a pipeline to begin with is written")


def _starter(path: Path, tag: str) -> bytes:
    """The pipeline that names this image, and is called as its file. Raises PipelineInvalid, ProjectConflict."""
    from winslow_dagster.defaults import default_file
    from winslow_dagster.errors import ProjectConflict
    from winslow_dagster.pipelines import parse_pipeline

    if path.exists():
        raise ProjectConflict("the file is there already, and is left as it is", where=str(path))
    text = default_file(STARTER).read_text(encoding="utf-8")
    content = text.replace(STARTER_NAME, path.stem).replace(STARTER_IMAGE, tag).replace("THIS_FILE", path.name)
    parse_pipeline(content.encode(), str(path), path.stem)
    return content.encode()


def _named(catalogue: Catalogue) -> dict[str, list[str]]:
    """The pipelines that name each image."""
    named: dict[str, list[str]] = {}
    for name, loaded in catalogue.pipelines.items():
        for image in dict.fromkeys(stage.image for stage in loaded.pipeline.stages if stage.image):
            named.setdefault(image, []).append(name)
    return named
