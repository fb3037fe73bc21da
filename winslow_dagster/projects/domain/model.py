"""What the project tables hold, as frozen values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from winslow_dagster.errors import InputRejected
from winslow_dagster.stages.task.model import Outcome
from winslow_dagster.storage.layout import FILES_SUFFIX, MANIFEST_SUFFIX
from winslow_dagster.storage.manifest import Manifest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

RESERVED_ENDS = (FILES_SUFFIX, MANIFEST_SUFFIX)
"""By these the store tells its own names from an address's."""


def checked_name(name: str) -> str:
    """The name, if it can be a directory, a Dagster partition key and a container label. Raises InputRejected."""
    if NAME.fullmatch(name) is None or ".." in name or name.endswith(RESERVED_ENDS):
        raise InputRejected(
            f"{name!r} cannot be a project's name",
            expected="1 to 63 letters, digits and . _ -, a letter or digit first, no two dots in a row, "
            f"and another end than {' and '.join(RESERVED_ENDS)}",
        )
    return name


@dataclass(frozen=True, slots=True)
class InputVersion:
    """One file a project brought under a name. `version` counts from 1; the highest is the one in use."""

    project: str
    name: str
    version: int
    manifest: Manifest
    original_path: str
    added_at: datetime
    added_by: str


@dataclass(frozen=True, slots=True)
class Project:
    """A project, with the inputs now in use by their names."""

    name: str
    pipeline: str
    pipeline_digest: str
    env: dict[str, str]
    created_at: datetime
    created_by: str
    tags: tuple[str, ...] = ()
    notes: str = ""
    latest_run: str | None = None
    inputs: dict[str, Manifest] = field(default_factory=dict)


RunOutcome = Literal["succeeded", "failed", "cancelled", "paused", "awaiting_input"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What was asked of one run, and how it ended: `ended_at` and `outcome` are None until it has.

    `settings` is the part of the run config that differs from the pipeline. Runs with the same `sweep` belong together.
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one stage, but for its log summary and outputs. `outcome` is None until it ends.

    `inputs` says on which outputs it worked: upstream stage -> their address. `output_address` is that of its own, None
    where it left none; from `outputs_removed_at` on they are gone. `reused_from` is the attempt whose outputs it took.
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
        """Whether later stages can work on its outputs."""
        return self.outcome == "succeeded" and self.outputs_removed_at is None
