"""The `tracker` command: a subcommand for each stage, for all stages in order, and for ground truth."""

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

FILE_OPTIONS = (
    "input", "output", "resources", "video", "reference_points", "answer", "lanes", "telemetry", "checkpoint"
)  # fmt: skip
DISK_FULL_EXIT_CODE = 28


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Import only the requested stage: `tracker --help` does not need matplotlib.
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
        report.error(f"{error.filename or 'file error'}: {error.strerror or error}")
        return DISK_FULL_EXIT_CODE
    return 0


def _parser(named: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tracker", description="Turn a drone video of a road into vehicle trajectories."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for stage, about in STAGES.items():
        command = commands.add_parser(stage.replace("_", "-"), help=about, description=about)
        if stage == named:
            _add_stage_options(command, import_module(f"tracker.stages.{stage}").Parameters)
    run = commands.add_parser("run", help="run all stages in order")
    run.add_argument(
        "--video",
        type=Path,
        required=True,
        metavar="FILE",
        help="the footage, or a directory with the parts of one film",
    )
    run.add_argument("--reference-points", type=Path, metavar="FILE", help="reference points marked by a person")
    run.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="output directory; each stage gets a subdirectory"
    )
    simulate = commands.add_parser("simulate", help="render footage of a road, with ground truth")
    simulate.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="output directory for video.mp4, reference_points.json and truth.csv",
    )
    simulate.add_argument("--scene", default="crossroads", help="crossroads or straight (default %(default)s)")
    simulate.add_argument("--seconds", type=float, default=16.0, help="duration (default %(default)s)")
    simulate.add_argument("--fps", type=int, default=15, help="frames per second (default %(default)s)")
    simulate.add_argument(
        "--width", type=int, default=1920, help="width in pixels; the aspect ratio is 16:9 (default %(default)s)"
    )
    simulate.add_argument("--seed", type=int, default=101, help="random seed for the traffic (default %(default)s)")
    simulate.add_argument(
        "--bitrate-mbit-s", type=float, metavar="RATE", help="bit rate of the video (default: variable)"
    )
    simulate.add_argument(
        "--lens-k1", type=float, default=0.0, help="lens distortion, Brown model (default %(default)s)"
    )
    simulate.add_argument(
        "--lens-k2", type=float, default=0.0, help="second distortion coefficient (default %(default)s)"
    )
    simulate.add_argument(
        "--lighting",
        default="steady",
        choices=("steady", "clouds"),
        help="clouds dim light and shadows at times (default %(default)s)",
    )
    simulate.add_argument(
        "--trees",
        default="still",
        choices=("still", "swaying"),
        help="whether trees sway in the wind (default %(default)s)",
    )
    simulate.add_argument("--exact-points", action="store_true", help="do not round reference points to half a pixel")
    simulate.add_argument(
        "--road-polygon", action="store_true", help="add a polygon around the road to the reference points"
    )
    annotate = commands.add_parser("annotate", help="label vehicles of a real film on a web page, to evaluate it")
    annotate.add_argument(
        "--input", type=Path, required=True, metavar="DIR", help="outputs of `tracker run`, whose tracks are corrected"
    )
    annotate.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="directory for labels.json and truth.csv"
    )
    annotate.add_argument("--every", type=int, metavar="FRAMES", help="label one of so many frames (default 10)")
    annotate.add_argument("--from-s", type=float, metavar="SECONDS", help="where to begin (default 0)")
    annotate.add_argument("--seconds", type=float, help="how much to label (default: all)")
    annotate.add_argument("--port", type=int, default=0, help="port of the page on this machine (default: a free one)")
    evaluate = commands.add_parser("evaluate", help="compare trajectories with ground truth")
    evaluate.add_argument("--trajectories", type=Path, required=True, metavar="FILE", help="trajectories.csv")
    evaluate.add_argument("--truth", type=Path, required=True, metavar="FILE", help="truth.csv")
    return parser


def _add_stage_options(command: argparse.ArgumentParser, parameters: type[Any]) -> None:
    files = command.add_argument_group("files")
    files.add_argument(
        "--input",
        type=Path,
        metavar="DIR",
        help="directory with the outputs of the earlier stages, one subdirectory each (WINSLOW_INPUT_DIR)",
    )
    files.add_argument("--output", type=Path, metavar="DIR", help="output directory (WINSLOW_OUTPUT_DIR)")
    files.add_argument(
        "--resources",
        type=Path,
        metavar="DIR",
        help="directory with video/ and reference_points/ (WINSLOW_RESOURCES_DIR)",
    )
    files.add_argument(
        "--video",
        type=Path,
        metavar="FILE",
        help="the footage, or a directory with the parts of one film (WINSLOW_RESOURCE_VIDEO)",
    )
    files.add_argument(
        "--reference-points", type=Path, metavar="FILE", help="reference points (WINSLOW_RESOURCE_REFERENCE_POINTS)"
    )
    files.add_argument(
        "--answer", type=Path, metavar="FILE", help="a person's answer to await_input.json (WINSLOW_ANSWER_FILE)"
    )
    files.add_argument(
        "--checkpoint", type=Path, metavar="DIR",
        help="directory for checkpoints, used if the stage is interrupted (WINSLOW_CHECKPOINT_DIR; default: --output)",
    )  # fmt: skip
    files.add_argument(
        "--lanes",
        type=Path,
        metavar="FILE",
        help="lanes that replace or rename the detected ones (WINSLOW_RESOURCE_LANES)",
    )
    files.add_argument(
        "--telemetry",
        type=Path,
        metavar="FILE",
        help="the .SRT of the drone: checks the height, gives the lens if not set (WINSLOW_RESOURCE_TELEMETRY)",
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
    elif subcommand == "annotate":
        from tracker.annotation.command import annotate

        annotate(options.pop("input"), options.pop("output"), report, **options)
    elif subcommand == "run":
        _run_all(options, report)
    else:
        files = StageFiles.read(os.environ, {name: options.pop(name) for name in FILE_OPTIONS})
        _run_stage(subcommand.replace("-", "_"), files, options, report)


def _run_stage(name: str, files: StageFiles, options: dict[str, Any], report: Report) -> None:
    stage = import_module(f"tracker.stages.{name}")
    if not files.output_dir.parent.is_dir():
        raise InputMissing(
            f"{files.output_dir.parent} does not exist", remedy="Name the output directory with --output"
        )
    stage.run(files, read_parameters(stage.Parameters, os.environ, options), report)


def _run_all(options: dict[str, Any], report: Report) -> None:
    """Run every stage in this process. Each writes to its own subdirectory, which later stages read."""
    output: Path = options["output"]
    output.mkdir(parents=True, exist_ok=True)
    named_files = {name: options[name] for name in ("video", "reference_points") if options[name] is not None}
    for number, name in enumerate(STAGES, 1):
        began = time.monotonic()
        report.say(f"--- {number}/{len(STAGES)} {name}: {STAGES[name]}")
        _run_stage(name, StageFiles(output, output / name, output, named_files), {}, report)
        report.say(f"--- {name} took {time.monotonic() - began:.1f} s")
