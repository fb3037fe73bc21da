"""The answer that a person gave to a stage's question."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from winslow_dagster.storage.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one stage's question; `version` counts from 1 in the project, pipeline and stage.

    `manifest` is what the stage reads: `answer.json` and the files that came with it. `variables` are templates. An
    answer that is not `accepted` rejects an earlier result: no stage runs with it.
    """

    project: str
    pipeline: str
    stage: str
    manifest: Manifest
    given_by: str
    form: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    accepted: bool = True
    given_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    version: int = 0
