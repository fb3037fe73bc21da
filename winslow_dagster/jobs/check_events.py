"""The results of a stage's checks as Dagster's asset check events.

A stage's op yields them after its materialization; Dagster keeps them even though the op belongs to no asset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetKey

from winslow_dagster.stages.task.model import CheckResult


def check_evaluations(
    pipeline: str, stage: str, project: str | None, results: Iterable[CheckResult]
) -> Iterator[AssetCheckEvaluation]:
    """One event per result, on the stage's asset in the project's partition."""
    for result in results:
        metadata: dict[str, str | float] = dict(result.observed)
        if result.file:
            metadata["file"] = result.file
        yield AssetCheckEvaluation(
            asset_key=AssetKey([pipeline, stage]),
            check_name=result.name,
            passed=result.passed,
            severity=AssetCheckSeverity.WARN if result.severity == "warn" else AssetCheckSeverity.ERROR,
            description=result.message or None,
            metadata=metadata,
            # Not `blocking`: Dagster would fail the step, though its outputs exist. `StageDecider.after_stage` holds
            # the stages that follow.
            partition=project,
        )
