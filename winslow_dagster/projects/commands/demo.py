"""The demo: the shipped pipeline for a film that is rendered on the spot."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from winslow_dagster.errors import NotFound, StageFailed

PIPELINE = "traffic_analysis"
PROGRAM = "tracker"
# Small and short, so that the demo is over soon, but with vehicles that turn, queue and park.
FILM = ("--road-polygon", "--width", "1600", "--seconds", "12", "--seed", "10")
SIMULATED = {"video": "video.mp4", "reference_points": "reference_points.json"}
"""What `tracker simulate` writes, by the input of the pipeline it is for."""


@contextlib.contextmanager
def rendering(home: Path, report: Callable[[str], None]) -> Iterator[Callable[[], Mapping[str, Path]]]:
    """Render a short film of a crossroads and its reference points in the background, once for a home.

    Gives a function that waits for them: input -> its file; it raises StageFailed. `report` is told when the rendering
    begins. Raises NotFound if the program is missing.
    """
    directory = home / "demo"
    inputs = {name: directory / file for name, file in SIMULATED.items()}
    if all(path.exists() for path in inputs.values()):
        yield lambda: inputs
        return
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
    words = [program, "simulate", *FILM, "--output", str(unfinished)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors) as process,
    ):

        def wait() -> Mapping[str, Path]:
            if process.wait() != 0:
                errors.seek(0)
                message = errors.read().decode(errors="replace").strip()[-2000:]
                raise StageFailed(f"rendering the film failed: {message}", where=f"{PROGRAM} simulate")
            unfinished.replace(directory)
            return inputs

        try:
            yield wait
        finally:
            process.terminate()


def free_name(taken: Collection[str]) -> str:
    """`demo`, or the first of `demo-2`, `demo-3`, … that is free."""
    name, number = "demo", 1
    while name in taken:
        number += 1
        name = f"demo-{number}"
    return name
