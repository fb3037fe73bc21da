"""The rows of the project tables as frozen values."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines.variables import VariableValue
from winslow_dagster.stages.task.model import Outcome
from winslow_dagster.storage.layout import FILES_SUFFIX, MANIFEST_SUFFIX
from winslow_dagster.storage.manifest import Manifest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

LONGEST_NAME = 63
RESERVED_ENDS = (FILES_SUFFIX, MANIFEST_SUFFIX)
"""Suffixes that the store uses for its own names."""


def checked_name(name: str, what: str = "project name") -> str:
    """The name, if it is valid as directory, Dagster partition key and container label. Raises InputRejected."""
    if NAME.fullmatch(name) is None or ".." in name or name.endswith(RESERVED_ENDS):
        raise InputRejected(
            f"{name!r} is not a valid {what}",
            expected="1 to 63 letters, digits and . _ -, starting with a letter or digit, without two dots in a row, "
            f"not ending in {' or '.join(RESERVED_ENDS)}",
        )
    return name


def valid_name(text: str) -> str:
    """A valid name that is close to the text; empty if nothing of it is left.

    Accents are dropped, runs of other invalid characters become a dash, and the name is cut to the maximum length.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", plain)).lstrip("._-")
    name = name[:LONGEST_NAME].rstrip("._-")
    while name.endswith(RESERVED_ENDS):
        name = name.rpartition(".")[0].rstrip("._-")
    return name


@dataclass(frozen=True, slots=True)
class InputVersion:
    """One version of an input file. `version` counts from 1; the highest one is current."""

    project: str
    name: str
    version: int
    manifest: Manifest
    original_path: str
    added_at: datetime
    added_by: str


@dataclass(frozen=True, slots=True)
class Project:
    """A project, with its current inputs by name.

    Its owner and the members of its group may act on it; without a group, every operator.
    """

    name: str
    pipeline: str
    pipeline_digest: str
    env: dict[str, VariableValue]
    created_at: datetime
    created_by: str
    tags: tuple[str, ...] = ()
    notes: str = ""
    latest_run: str | None = None
    owner: str = ""
    group: str | None = None
    inputs: dict[str, Manifest] = field(default_factory=dict)


RunOutcome = Literal["succeeded", "failed", "cancelled", "paused", "awaiting_input"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What one run was requested to do, and how it ended: `ended_at` and `outcome` are None until it has.

    `settings` is the part of the run config that differs from the pipeline. All runs of a sweep have the same `sweep`.
    Dagster has had no record of the run since `missing_since`; an end with it was only concluded from that.
    `waits_for` is what its worker is waiting for between two stages.
    """

    run_id: str
    project: str
    pipeline: str
    pipeline_digest: str
    launched_at: datetime
    requested_by: str
    start_from: str | None = None
    stop_after: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    via: str = ""
    reason: str = ""
    sweep: str | None = None
    ended_at: datetime | None = None
    outcome: RunOutcome | None = None
    outcome_reason: str = ""
    missing_since: datetime | None = None
    waits_for: str | None = None


def pause_text(asked_by: str, after_stage: str | None) -> str:
    """Who requested a pause."""
    return f"{asked_by} requested a pause{f' after {after_stage}' if after_stage else ''}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one stage, without its log summary and outputs. `outcome` is None until it ends.

    `inputs` are the outputs that it used: upstream stage -> address. `output_address` is the address of its own, None
    if it has none; they are gone after `outputs_removed_at`. `reused_from` is the attempt whose outputs it took over.
    """

    task_id: str
    project: str
    pipeline: str
    pipeline_digest: str
    stage: str
    attempt: int
    run_id: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    message: str
    node: str
    mode: str | None
    image_digest: str | None
    inputs: dict[str, str] = field(default_factory=dict)
    output_address: str | None = None
    fingerprint: str | None = None
    reused_from: str | None = None
    outputs_removed_at: datetime | None = None

    @property
    def usable(self) -> bool:
        """Whether later stages can use its outputs."""
        return self.outcome == "succeeded" and self.outputs_removed_at is None
