"""The output checks of pipeline files, as asset checks.

The stage runner evaluates them, and the stage's op reports them for each project (`jobs/check_events.py`). A check that
is run from Dagit is not evaluated again, since outputs never change: it summarizes the latest results of all projects.
"""

from collections.abc import Iterator, Mapping, Sequence

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetsDefinition,
    AssetSelection,
    Definitions,
    JobDefinition,
    define_asset_job,
    multi_asset_check,
)

from winslow_dagster.assets.graph import stage_key
from winslow_dagster.pipelines import Pipeline, Stage
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.status.results_csv import verdicts
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import CheckResult

CHECK_JOB = "_checks"
"""Cannot be the name of a pipeline, which never begins with an underscore."""
MAX_NAMED = 10


def check_definitions(pipeline: Pipeline) -> tuple[AssetChecksDefinition, ...]:
    """The checks of all stages."""
    return tuple(_checks_of(pipeline, stage) for stage in pipeline.stages if stage.checks)


def check_job(assets: Sequence[AssetsDefinition], checks: Sequence[AssetsDefinition]) -> JobDefinition:
    """The job that contains all checks."""
    job = define_asset_job(
        CHECK_JOB,
        selection=AssetSelection.all_asset_checks(),
        description="Summarizes the check results of the latest outputs of all projects",
    )
    return Definitions(assets=assets, asset_checks=checks, jobs=[job]).resolve_job_def(CHECK_JOB)


def _checks_of(pipeline: Pipeline, stage: Stage) -> AssetChecksDefinition:
    key = stage_key(pipeline.name, stage.name)
    specs = [AssetCheckSpec(check.name, asset=key, blocking=check.blocking) for check in stage.checks]

    @multi_asset_check(specs=specs, name=f"{pipeline.name}__{stage.name}__checks", can_subset=True)
    def report(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        records = ProjectRecords.open(Settings.read().database_url)
        try:
            found = dict(verdicts(records.database, pipeline.name, stage.name))
        finally:
            records.close()
        for selected in sorted(context.selected_asset_check_keys):
            yield _summary(selected, found)

    return report


def _summary(key: AssetCheckKey, found: Mapping[str, tuple[CheckResult, ...]]) -> AssetCheckResult:
    """One result for all projects: passed if all projects that have a result passed."""
    results = {project: check for project, checks in found.items() for check in checks if check.name == key.name}
    failing = {project: check for project, check in results.items() if not check.passed}
    named = ", ".join(list(failing)[:MAX_NAMED]) + (" and more" if len(failing) > MAX_NAMED else "")
    only_warns = failing and all(check.severity == "warn" for check in failing.values())
    return AssetCheckResult(
        passed=not failing,
        asset_key=key.asset_key,
        check_name=key.name,
        severity=AssetCheckSeverity.WARN if only_warns else AssetCheckSeverity.ERROR,
        description=f"failed in {named}" if failing else f"passed in all {len(results)} projects",
        metadata={"projects": len(results), "failed": len(failing), "without_result": len(found) - len(results)},
    )
