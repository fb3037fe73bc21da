"""The command `tracker`: one subcommand a stage, all of them in a row, and the simulation."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tracker import __version__
from tracker.contract import Report, StageFiles
from tracker.errors import InputMissing, PersonNeeded, TrackerError
from tracker.parameters import read_parameters
from tracker.stages import STAGES

FILE_OPTIONS = ("input", "output", "resources", "video", "reference_points", "answer", "lanes", "checkpoint")
DISK_FULL_EXIT_CODE = 28


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit code says how it ended."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Only the stage that is asked for is imported: `tracker --help` needs no matplotlib.
    named = words[0].replace("-", "_") if words else ""
    options = vars(_parser(named).parse_args(words))
    report = Report()
    try:
        _run(options.pop("subcommand"), options, report)
    except PersonNeeded as need:
        report.await_input(str(need))
        return need.exit_code
    except TrackerError as error:
        report.error(str(error))
        return error.exit_code
    except OSError as error:
        report.error(f"{error.filename or 'a file'}: {error.strerror or error}")
        return DISK_FULL_EXIT_CODE
    return 0


def _parser(named: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tracker", description="From a drone's video of a road to vehicle trajectories."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for stage, about in STAGES.items():
        command = commands.add_parser(stage.replace("_", "-"), help=about, description=about)
        if stage == named:
            _add_stage_options(command, import_module(f"tracker.stages.{stage}").Parameters)
    run = commands.add_parser("run", help="run all stages, one after the other")
    run.add_argument("--video", type=Path, required=True, metavar="FILE", help="the footage")
    run.add_argument("--reference-points", type=Path, metavar="FILE", help="the points that a person clicked")
    run.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets one directory a stage")
    simulate = commands.add_parser("simulate", help="render footage of a road, and what is true about it")
    simulate.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="gets video.mp4, reference_points.json, truth.csv"
    )
    simulate.add_argument("--scene", default="crossroads", help="crossroads or straight (default %(default)s)")
    simulate.add_argument("--seconds", type=float, default=16.0, help="length (default %(default)s)")
    simulate.add_argument("--fps", type=int, default=15, help="frames a second (default %(default)s)")
    simulate.add_argument("--width", type=int, default=1920, help="pixels; the picture is 16:9 (default %(default)s)")
    simulate.add_argument("--seed", type=int, default=101, help="another seed is other traffic (default %(default)s)")
    simulate.add_argument("--bitrate-mbit-s", type=float, metavar="RATE", help="of the film (default: as it needs)")
    simulate.add_argument("--lens-k1", type=float, default=0.0, help="distortion, Brown model (default %(default)s)")
    simulate.add_argument("--lens-k2", type=float, default=0.0, help="its second coefficient (default %(default)s)")
    simulate.add_argument("--lighting", default="steady", choices=("steady", "clouds"), help="(default %(default)s)")
    simulate.add_argument("--trees", default="still", choices=("still", "swaying"), help="(default %(default)s)")
    simulate.add_argument("--exact-points", action="store_true", help="points not rounded to half a pixel")
    simulate.add_argument("--road-polygon", action="store_true", help="points with a polygon around the road")
    evaluate = commands.add_parser("evaluate", help="compare trajectories with the truth of a simulation")
    evaluate.add_argument("--trajectories", type=Path, required=True, metavar="FILE", help="trajectories.csv")
    evaluate.add_argument("--truth", type=Path, required=True, metavar="FILE", help="truth.csv")
    return parser


def _add_stage_options(command: argparse.ArgumentParser, parameters: type[Any]) -> None:
    files = command.add_argument_group("files")
    files.add_argument(
        "--input", type=Path, metavar="DIR", help="one directory for each earlier stage (WINSLOW_INPUT_DIR)"
    )
    files.add_argument("--output", type=Path, metavar="DIR", help="where to write (WINSLOW_OUTPUT_DIR)")
    files.add_argument(
        "--resources", type=Path, metavar="DIR", help="video/ and reference_points/ (WINSLOW_RESOURCES_DIR)"
    )
    files.add_argument("--video", type=Path, metavar="FILE", help="the footage (WINSLOW_RESOURCE_VIDEO)")
    files.add_argument(
        "--reference-points", type=Path, metavar="FILE", help="clicked points (WINSLOW_RESOURCE_REFERENCE_POINTS)"
    )
    files.add_argument(
        "--answer", type=Path, metavar="FILE", help="what a person answered to await_input.json (WINSLOW_ANSWER_FILE)"
    )
    files.add_argument(
        "--checkpoint", type=Path, metavar="DIR",
        help="keeps what is done, should the stage be ended too early (WINSLOW_CHECKPOINT_DIR; default: --output)",
    )  # fmt: skip
    files.add_argument(
        "--lanes",
        type=Path,
        metavar="FILE",
        help="lanes that replace or rename the found ones (WINSLOW_RESOURCE_LANES)",
    )
    group = command.add_argument_group("parameters, also read from the environment variables in brackets")
    for item in dataclasses.fields(parameters):
        default = "none" if item.default is None else item.default
        about = f"{item.metadata['about']} (default {default}) [{item.name.upper()}]"
        group.add_argument(f"--{item.name.replace('_', '-')}", metavar="VALUE", help=about.replace("%", "%%"))


def _run(subcommand: str, options: dict[str, Any], report: Report) -> None:
    if subcommand == "simulate":
        from tracker.simulation.render import FilmPlan, simulate

        directory, width = options.pop("output"), options.pop("width") // 2 * 2
        height, rate = round(width * 9 / 16 / 2) * 2, options.pop("fps")
        simulate(directory, FilmPlan(width_px=width, height_px=height, rate_fps=rate, **options))
    elif subcommand == "evaluate":
        from tracker.simulation.evaluation import evaluate

        for line in evaluate(options["trajectories"], options["truth"]).lines():
            print(line)
    elif subcommand == "run":
        _run_all(options, report)
    else:
        files = StageFiles.read(os.environ, {name: options.pop(name) for name in FILE_OPTIONS})
        _run_stage(subcommand.replace("-", "_"), files, options, report)


def _run_stage(name: str, files: StageFiles, options: dict[str, Any], report: Report) -> None:
    stage = import_module(f"tracker.stages.{name}")
    if not files.output_dir.parent.is_dir():
        raise InputMissing(
            f"{files.output_dir.parent} is not there", remedy="Name the directory to write to with --output"
        )
    stage.run(files, read_parameters(stage.Parameters, os.environ, options), report)


def _run_all(options: dict[str, Any], report: Report) -> None:
    """Every stage in this process, each into a directory of its own that the later ones read."""
    output: Path = options["output"]
    output.mkdir(parents=True, exist_ok=True)
    given = {name: options[name] for name in ("video", "reference_points") if options[name] is not None}
    for number, name in enumerate(STAGES, 1):
        began = time.monotonic()
        report.say(f"--- {number}/{len(STAGES)} {name}: {STAGES[name]}")
        _run_stage(name, StageFiles(output, output / name, output, given), {}, report)
        report.say(f"--- {name} took {time.monotonic() - began:.1f} s")
