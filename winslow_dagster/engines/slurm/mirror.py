"""Writes what a node says of a task into the task's directory here: whoever reads that finds what a local task has."""

from __future__ import annotations

import contextlib
import os
import re

from winslow_dagster.engines.slurm.messages import LogPiece, Report
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_quickly
from winslow_dagster.storage.manifest import Manifest

CHECKPOINT = "checkpoint_manifest.json"
PART = ".part"
STATUS_FILES = ("status.json", "usage.json", "outcome.json")


def begin_serving(directory: TaskDirectory, before: int) -> None:
    """Make room for what the next serving says: the log of the one before goes aside."""
    if before and directory.log.exists():
        directory.log.rename(directory.path / f"log.{before}")
    for name in STATUS_FILES:
        (directory.path / name).unlink(missing_ok=True)


def checkpoint_of(directory: TaskDirectory) -> Manifest | None:
    """What the last serving of a task left in the store for one that continues; None if nothing."""
    return read_value(directory.path / CHECKPOINT, Manifest)


def write_report(directory: TaskDirectory, report: Report) -> dict[str, int]:
    """Write everything but the result. Returns the sizes of the growing files that the report has pieces of."""
    sizes: dict[str, int] = {}
    if report.log or report.log_names is not None:
        directory.log.mkdir(exist_ok=True)
    for piece in report.log:
        if piece.grows:
            sizes[piece.name] = _append(directory, piece)
        else:
            _gather(directory, piece)
    if report.log_names is not None:
        # A segment that was compressed, or dropped: only now that what replaces it is here.
        for path in directory.log.iterdir():
            if path.name not in report.log_names and not path.name.endswith(PART):
                path.unlink()
    if report.usage is not None:
        directory.write_usage(report.usage)
    if report.checkpoint is not None:
        write_quickly(directory.path / CHECKPOINT, report.checkpoint.model_dump_json())
    if report.status is not None:
        directory.write_status(report.status)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.utime(directory.path / "status.json")  # Its time says when the agent was last heard.
    return sizes


def _append(directory: TaskDirectory, piece: LogPiece) -> int:
    """Add what is new. A piece that comes twice, or too early, changes nothing."""
    path = directory.log / piece.name
    size = path.stat().st_size if path.exists() else 0
    if piece.offset != size:
        return size
    with path.open("ab") as file:
        return size + file.write(piece.data)


def _gather(directory: TaskDirectory, piece: LogPiece) -> None:
    part = directory.log / f"{piece.name}{PART}"
    with part.open("wb" if piece.offset == 0 else "ab") as file:
        if file.tell() == piece.offset:
            file.write(piece.data)
    if piece.last:
        part.replace(directory.log / piece.name)


def is_name_of_serving(name: str) -> re.Match[str] | None:
    """A directory on a node: its task, and its serving."""
    return re.fullmatch(r"(?P<task>.+)\.s(?P<serving>\d+)", name)
