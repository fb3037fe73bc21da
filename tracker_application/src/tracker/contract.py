"""The interface of a stage: input and output directories, and lines of output.

Standard output: `progress frames 120/375`, `WINSLOW_RESULT: key=value`, and plain text for people. Standard error:
`WARNING: ...` and `ERROR: ...`. A stage that needs input from a person prints `WINSLOW_AWAIT_INPUT: ...`.
"""

from __future__ import annotations

import glob
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tracker.errors import InputMissing

PROGRESS_INTERVAL_S = 0.5
# What drones write beside the parts of a film (telemetry, small copies, pictures) is none of them.
FILM_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".ts", ".m2ts", ".mts"})


@dataclass(frozen=True, slots=True)
class StageFiles:
    """Where a stage reads and writes.

    `input_dir` has a subdirectory for each earlier stage, `resources_dir` one for each input of the project.
    `single_files` names single resources directly and takes precedence over `resources_dir`. `checkpoint_dir` is kept
    if the stage is interrupted and started again; without one, a hidden directory in `output_dir` is used.
    """

    input_dir: Path
    output_dir: Path
    resources_dir: Path
    single_files: Mapping[str, Path] = field(default_factory=dict)
    checkpoint_dir: Path | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str], options: Mapping[str, Path | None]) -> StageFiles:
        """From the options (input, output, resources, and single files), then the WINSLOW_* variables."""

        def directory(option: str, variable: str) -> Path:
            return options.get(option) or Path(environ.get(variable, "."))

        files = {}
        for name in ("video", "reference_points", "lanes", "model", "telemetry"):
            path = options.get(name) or environ.get(f"WINSLOW_RESOURCE_{name.upper()}")
            if path:
                files[name] = Path(path)
        answer = options.get("answer") or environ.get("WINSLOW_ANSWER_FILE")
        if answer:
            files["answer"] = Path(answer)
        checkpoint = options.get("checkpoint") or environ.get("WINSLOW_CHECKPOINT_DIR")
        return cls(
            directory("input", "WINSLOW_INPUT_DIR"),
            directory("output", "WINSLOW_OUTPUT_DIR"),
            directory("resources", "WINSLOW_RESOURCES_DIR"),
            files,
            Path(checkpoint) if checkpoint else None,
        )

    @property
    def checkpoint(self) -> Path:
        """Where to keep checkpoints; to be removed when the stage is done."""
        return (self.checkpoint_dir or self.output_dir) / ".checkpoint"

    def output(self, name: str) -> Path:
        """Path of an output file; creates its parent directories."""
        path = self.output_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def upstream(self, stage: str, name: str) -> Path:
        """A file written by an earlier stage. Raises InputMissing."""
        path = self.input_dir / stage / name
        if not path.is_file():
            remedy = (
                f"Run `tracker {stage.replace('_', '-')}` first, or point --input at the directory that holds {stage}/"
            )
            raise InputMissing(f"{path} does not exist", remedy=remedy)
        return path

    def resource(self, name: str) -> Path | None:
        """An input file of the project, or None."""
        if name in self.single_files:
            path = self.single_files[name]
            if not path.is_file():
                raise InputMissing(f"{name} is set to {path}, but this file does not exist")
            return path
        found = [path for path in sorted((self.resources_dir / name).glob("*")) if path.is_file()]
        if len(found) > 1:
            raise InputMissing(
                f"{self.resources_dir / name} contains {len(found)} files",
                remedy="Keep only one of them",
            )
        return found[0] if found else None

    def answer(self) -> Path | None:
        """A person's answer, or None if there is none."""
        path = self.resources_dir / "answer" / "answer.json"
        return self.resource("answer") if "answer" in self.single_files else path if path.is_file() else None

    def videos(self) -> tuple[Path, ...]:
        """The footage: one file, or the parts of one film in the order of the numbers in their names.

        Raises InputMissing.
        """
        found = self._files_of("video")
        films = [path for path in found if path.suffix.lower() in FILM_SUFFIXES] if len(found) > 1 else found
        if not films:
            remedy = "Name it with --video or WINSLOW_RESOURCE_VIDEO, or put it in video/ of --resources"
            raise InputMissing("there is no video", remedy=remedy)
        return tuple(sorted(films, key=_by_number))

    def telemetry(self) -> tuple[Path, ...]:
        """The .SRT files that the drone wrote: those given, or those beside the footage."""
        film = self.single_files.get("video", self.resources_dir / "video")
        beside = film.parent.glob(f"{glob.escape(film.stem)}.*") if film.is_file() else film.glob("[!.]*")
        found = self._files_of("telemetry") or [path for path in beside if is_telemetry(path)]
        return tuple(sorted(found, key=_by_number))

    def _files_of(self, name: str) -> list[Path]:
        """The file or the files of a resource, which may be a directory."""
        place = self.single_files.get(name, self.resources_dir / name)
        if name in self.single_files and not place.exists():
            raise InputMissing(f"{name} is set to {place}, but this file does not exist")
        # Names that begin with a dot are what some systems leave beside each file.
        return [place] if place.is_file() else [path for path in place.glob("[!.]*") if path.is_file()]


def is_telemetry(path: Path) -> bool:
    """Whether it is named like a drone's subtitles."""
    return path.suffix.lower() == ".srt"


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sorts DJI_2 before DJI_10."""
    pieces = re.split(r"(\d+)", path.name.lower())
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]


class Report:
    """Writes the output lines of a stage."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def progress(self, subject: str, current: int, total: int) -> None:
        """Progress of a subject; printed about twice a second, and always at the end."""
        now = time.monotonic()
        if current < total and now - self._last.get(subject, -PROGRESS_INTERVAL_S) < PROGRESS_INTERVAL_S:
            return
        self._last[subject] = now
        self.say(f"progress {subject} {current}/{total}")

    def result(self, key: str, value: object) -> None:
        """A result to show for the stage."""
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        self.say(f"WINSLOW_RESULT: {key}={text}")

    def say(self, text: str) -> None:
        """A line for people."""
        print(text, flush=True)

    def warning(self, text: str) -> None:
        """A problem that does not stop the stage."""
        print(f"WARNING: {text}", file=sys.stderr, flush=True)

    def error(self, text: str) -> None:
        """Why the stage failed."""
        print(f"ERROR: {text}", file=sys.stderr, flush=True)

    def await_input(self, text: str) -> None:
        """What a person is asked to do."""
        self.say(f"WINSLOW_AWAIT_INPUT: {text}")
