"""What a stage is told and what it tells: directories in, lines out.

Lines on standard output: `progress frames 120/375` and `WINSLOW_RESULT: key=value`; plain text is for people.
On standard error: `WARNING: ...` and `ERROR: ...`. A stage that needs a person prints `WINSLOW_AWAIT_INPUT: ...`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tracker.errors import InputMissing

PROGRESS_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True)
class StageFiles:
    """Where a stage reads and writes.

    `input_dir` holds one directory for each earlier stage, `resources_dir` one for each input of the project.
    `given` names single resources directly and goes before `resources_dir`. `checkpoint_dir` is there again when the
    stage is started again after it was ended too early; without one, a hidden directory in `output_dir` is.
    """

    input_dir: Path
    output_dir: Path
    resources_dir: Path
    given: Mapping[str, Path] = field(default_factory=dict)
    checkpoint_dir: Path | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str], options: Mapping[str, Path | None]) -> StageFiles:
        """From the options (input, output, resources, and single files), then the WINSLOW_* variables."""

        def directory(option: str, variable: str) -> Path:
            return options.get(option) or Path(environ.get(variable, "."))

        given = {}
        for name in ("video", "reference_points", "lanes", "model"):
            path = options.get(name) or environ.get(f"WINSLOW_RESOURCE_{name.upper()}")
            if path:
                given[name] = Path(path)
        answer = options.get("answer") or environ.get("WINSLOW_ANSWER_FILE")
        if answer:
            given["answer"] = Path(answer)
        checkpoint = options.get("checkpoint") or environ.get("WINSLOW_CHECKPOINT_DIR")
        return cls(
            directory("input", "WINSLOW_INPUT_DIR"),
            directory("output", "WINSLOW_OUTPUT_DIR"),
            directory("resources", "WINSLOW_RESOURCES_DIR"),
            given,
            Path(checkpoint) if checkpoint else None,
        )

    @property
    def checkpoint(self) -> Path:
        """Where to keep what is done already; to be removed when all is done."""
        return (self.checkpoint_dir or self.output_dir) / ".checkpoint"

    def output(self, name: str) -> Path:
        """A file to write; directories in its name are made."""
        path = self.output_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def upstream(self, stage: str, name: str) -> Path:
        """A file that an earlier stage wrote. Raises InputMissing."""
        path = self.input_dir / stage / name
        if not path.is_file():
            remedy = (
                f"Run `tracker {stage.replace('_', '-')}` first, or point --input at the directory that holds {stage}/"
            )
            raise InputMissing(f"{path} is not there", remedy=remedy)
        return path

    def resource(self, name: str) -> Path | None:
        """A file that the project brings, or None."""
        if name in self.given:
            path = self.given[name]
            if not path.is_file():
                raise InputMissing(f"{name} is to be {path}, and there is no such file")
            return path
        found = [path for path in sorted((self.resources_dir / name).glob("*")) if path.is_file()]
        if len(found) > 1:
            raise InputMissing(
                f"{self.resources_dir / name} holds {len(found)} files", remedy="Leave one of them there"
            )
        return found[0] if found else None

    def answer(self) -> Path | None:
        """What a person answered, or None where nobody was asked."""
        path = self.resources_dir / "answer" / "answer.json"
        return self.resource("answer") if "answer" in self.given else path if path.is_file() else None

    def video(self) -> Path:
        """The footage. Raises InputMissing."""
        path = self.resource("video")
        if path is None:
            remedy = "Name it with --video, WINSLOW_RESOURCE_VIDEO, or put it into video/ of --resources"
            raise InputMissing("there is no video", remedy=remedy)
        return path


class Report:
    """Writes the lines that whoever runs the stage reads."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def progress(self, subject: str, current: int, total: int) -> None:
        """How far a subject is; printed about twice a second, and always at the end."""
        now = time.monotonic()
        if current < total and now - self._last.get(subject, -PROGRESS_INTERVAL_S) < PROGRESS_INTERVAL_S:
            return
        self._last[subject] = now
        self.say(f"progress {subject} {current}/{total}")

    def result(self, key: str, value: object) -> None:
        """A figure worth showing beside the stage."""
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        self.say(f"WINSLOW_RESULT: {key}={text}")

    def say(self, text: str) -> None:
        """A line for people."""
        print(text, flush=True)

    def warning(self, text: str) -> None:
        """Something a person should know, although the stage goes on."""
        print(f"WARNING: {text}", file=sys.stderr, flush=True)

    def error(self, text: str) -> None:
        """Why the stage ends."""
        print(f"ERROR: {text}", file=sys.stderr, flush=True)

    def await_input(self, text: str) -> None:
        """What a person is asked for."""
        self.say(f"WINSLOW_AWAIT_INPUT: {text}")
