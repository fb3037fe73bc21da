"""`winslow frame`."""

from __future__ import annotations

from pathlib import Path

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line


@click.command("frame")
@click.argument("project")
@click.argument("file")
@click.argument("index", type=click.IntRange(min=0))
@click.option("--width", type=click.IntRange(1, 16384), help="Width in pixels to downscale to.")
@click.option("--attempt", help="Of an output file: the attempt that wrote it, by number or task id.")
@click.option("--pipeline", metavar="NAME", help="Another pipeline that PROJECT ran through.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to save it.")
@json_option
def command(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str,
    file: str,
    index: int,
    width: int | None,
    attempt: str | None,
    pipeline: str | None,
    output: Path | None,
    as_json: bool,  # noqa: FBT001  # as above
) -> None:
    """Save the frame of a video with exactly this INDEX, counted from 0 in the order of showing.

    FILE is STAGE/PATH of an output file, or input:NAME for the input NAME of PROJECT. Without --output, the picture is
    saved as frame-INDEX.jpg in the working directory. Pictures have one frame, 0.

    With --json, {"path", "index", "time_s", "width", "height"}.
    """
    with open_installation() as winslow:
        handle = winslow.project(project)
        found = handle.file_at(file, attempt, pipeline=pipeline)
        frame = handle.frame(found, index, width=width)
    suffix = "jpg" if frame.media_type == "image/jpeg" else "png"
    path = output or Path(f"frame-{index}.{suffix}")
    path.write_bytes(frame.content)
    if as_json:
        print_json(
            {
                "path": str(path),
                "index": frame.index,
                "time_s": frame.time_s,
                "width": frame.width,
                "height": frame.height,
            }
        )
        return
    print_line(f"{path}: frame {frame.index} at {frame.time_s:.3f} s, {frame.width} x {frame.height} pixels")
