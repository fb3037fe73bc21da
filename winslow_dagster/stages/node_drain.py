"""Draining a node: it takes no new stage, and what runs there goes on. A file on the node says so to its runners."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from winslow_dagster.formatting import format_time
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.task.directory import read_value, write_atomically


class Drain(Frozen):
    """Who drained a node, when, and why."""

    by: str
    at: datetime
    reason: str = ""

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"drained by {self.by} on {format_time(self.at)}{why}"


def read_drain(node_dir: Path) -> Drain | None:
    """The drain of the node with this directory; None if it takes stages."""
    return read_value(_file(node_dir), Drain)


def write_drain(node_dir: Path, drain: Drain) -> None:
    """Let the node take no new stage."""
    node_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(_file(node_dir), drain.model_dump_json())


def remove_drain(node_dir: Path) -> bool:
    """Let the node take stages again. Returns False if it was not drained."""
    try:
        _file(node_dir).unlink()
    except FileNotFoundError:
        return False
    return True


def _file(node_dir: Path) -> Path:
    return node_dir / "drain.json"
