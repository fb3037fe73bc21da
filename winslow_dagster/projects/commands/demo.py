"""The demo: the shipped pipeline for a film that is rendered on the spot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from winslow_dagster.errors import NotFound, StageFailed

PIPELINE = "traffic_analysis"
PROGRAM = "tracker"
SIMULATED = {"video": "video.mp4", "reference_points": "reference_points.json"}
"""What `tracker simulate` writes, by the input of the pipeline it is for."""


def rendered_inputs(home: Path, report: Callable[[str], None]) -> Mapping[str, Path]:
    """Input -> its file, of a short film of a crossroads. Rendered once for a home; `report` is told when that begins.

    Raises NotFound if the program is missing, StageFailed if it fails.
    """
    directory = home / "demo"
    inputs = {name: directory / file for name, file in SIMULATED.items()}
    if all(path.exists() for path in inputs.values()):
        return inputs
    beside = Path(sys.executable).with_name(PROGRAM)
    program = str(beside) if beside.exists() else shutil.which(PROGRAM)
    if program is None:
        raise NotFound(
            f"the program {PROGRAM}, which renders the film, is not installed",
            remedy="Run `make setup`, or pass a film with --video and --points",
        )
    report("rendering a short film of a crossroads ...")
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    ended = subprocess.run(
        [program, "simulate", "--road-polygon", "--output", str(unfinished)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise StageFailed(f"rendering the film failed: {ended.stderr.strip()[-2000:]}", where=f"{PROGRAM} simulate")
    unfinished.replace(directory)
    return inputs


def free_name(taken: Collection[str]) -> str:
    """`demo`, or the first of `demo-2`, `demo-3`, … that is free."""
    name, number = "demo", 1
    while name in taken:
        number += 1
        name = f"demo-{number}"
    return name
