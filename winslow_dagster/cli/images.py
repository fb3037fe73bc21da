"""`winslow images`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table, say

STARTER = "deploy/images/java/java_tracker.yaml"
STARTER_NAME = "java_tracker"
STARTER_IMAGE = "winslow/java-tracker:1.0"


@click.group("images")
def command() -> None:
    """List the images that stages run in, and build one for a Java program."""


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the images that pipelines name, and whether they are on this machine.

    With --json, {"images": [{"image", "pipelines", "state", "size_bytes"}, …]}; `state` is present, missing, or
    varies (its name contains variables of a project or a run).
    """
    from winslow_dagster.formatting import format_size

    with open_installation() as winslow:
        images = winslow.images()
    if as_json:
        print_json({"images": [asdict(image) for image in images]})
        return
    rows = [
        (
            image.image,
            image.state,
            "" if image.size_bytes is None else format_size(image.size_bytes),
            ", ".join(image.pipelines),
        )
        for image in images
    ]
    print_table(("image", "state", "size", "pipelines"), rows)


@command.command("java")
@click.option("--jar", required=True, type=click.Path(path_type=Path), help="The program as a jar file.")
@click.option("--tag", required=True, help="Name of the image, such as my/tracker:1.0.")
@click.option("--main-class", default="", help="Main class; by default, the one in the jar's manifest.")
@click.option("--base-image", default="", help="Base image with Java 9 or newer.")
@click.option(
    "--add",
    "added",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A directory or file to put beside the jar, such as libraries or models. May be repeated.",
)
@click.option("--java-options", default="", help='Options of the JVM, such as "-Xss4m -Dmodel=small".')
@click.option(
    "--pipeline-out",
    type=click.Path(path_type=Path),
    help="Write a commented pipeline to start from to this file.",
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
    """Build a stage image for an unmodified Java program.

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
        say(f"warning: the jar's manifest refers to {entry}, which was not added")
    if as_json:
        print_json(asdict(built) | {"pipeline": str(pipeline_out) if pipeline_out else None})
        return
    say(f"{tag} is ready")
    if pipeline_out:
        say(f"edit {pipeline_out} to fit your program, then run `{command_line('pipelines', 'check')}`")
    else:
        say("add --pipeline-out my_tracker.yaml to also write a pipeline to start from")


def _starter(path: Path, tag: str) -> bytes:
    """A pipeline that uses this image, named after its file. Raises PipelineInvalid, ProjectConflict."""
    from winslow_dagster.defaults import default_file
    from winslow_dagster.errors import ProjectConflict
    from winslow_dagster.pipelines import parse_pipeline

    if path.exists():
        raise ProjectConflict("the file exists already; it was not changed", where=str(path))
    text = default_file(STARTER).read_text(encoding="utf-8")
    content = text.replace(STARTER_NAME, path.stem).replace(STARTER_IMAGE, tag).replace("THIS_FILE", path.name)
    parse_pipeline(content.encode(), str(path), path.stem)
    return content.encode()
