"""What came of a stage's declared checks, as Dagster's asset check events.

A stage's op yields them after its materialization; Dagster keeps them also where the op belongs to no asset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetKey


class CheckVerdict(Protocol):
    """What is read of a check's result."""

    @property
    def name(self) -> str:
        """The check's name in its stage."""

    @property
    def passed(self) -> bool:
        """Whether the outputs are as they should be."""

    @property
    def severity(self) -> str:
        """`error` or `warn`."""

    @property
    def blocking(self) -> bool:
        """Whether nothing that follows begins while it is not passed."""

    @property
    def message(self) -> str:
        """What was found, for a person."""

    @property
    def file(self) -> str:
        """Where, or empty."""

    @property
    def observed(self) -> Mapping[str, str | float]:
        """The figures that were looked at."""


def check_evaluations(
    pipeline: str, stage: str, project: str | None, verdicts: Iterable[CheckVerdict]
) -> Iterator[AssetCheckEvaluation]:
    """One event for each verdict, on the stage's asset in the project's partition."""
    for verdict in verdicts:
        metadata: dict[str, str | float] = dict(verdict.observed)
        if verdict.file:
            metadata["file"] = verdict.file
        yield AssetCheckEvaluation(
            asset_key=AssetKey([pipeline, stage]),
            check_name=verdict.name,
            passed=verdict.passed,
            severity=AssetCheckSeverity.WARN if verdict.severity == "warn" else AssetCheckSeverity.ERROR,
            description=verdict.message or None,
            metadata=metadata,
            # Not `blocking`: Dagster would fail the step, whose outputs are there to be looked at. It is
            # `StageDecider.after` that holds back what follows.
            partition=project,
        )
