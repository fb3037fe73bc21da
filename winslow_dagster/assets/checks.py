"""What pipeline files demand of outputs, as checks of the asset graph.

The stage's runner evaluates them, and its op reports them project by project (`jobs/check_events.py`). Run from Dagit,
a check is not evaluated again, for outputs never change: the verdicts on the latest outputs of all projects become one.
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

CHECK_JOB = "_verdicts"
"""No pipeline's name begins with an underscore."""
MOST_NAMED = 10


def check_definitions(pipeline: Pipeline) -> tuple[AssetChecksDefinition, ...]:
    """The checks of each stage that has some."""
    return tuple(_checks_of(pipeline, stage) for stage in pipeline.stages if stage.checks)


def check_job(assets: Sequence[AssetsDefinition], checks: Sequence[AssetsDefinition]) -> JobDefinition:
    """The job in which all checks are."""
    job = define_asset_job(
        CHECK_JOB,
        selection=AssetSelection.all_asset_checks(),
        description="Makes one verdict of those on the latest outputs of all projects",
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
            yield _over_all(selected, found)

    return report


def _over_all(key: AssetCheckKey, found: Mapping[str, tuple[CheckResult, ...]]) -> AssetCheckResult:
    """One verdict for all projects: passed where it is passed by each that has one."""
    said = {project: check for project, checks in found.items() for check in checks if check.name == key.name}
    failing = {project: check for project, check in said.items() if not check.passed}
    named = ", ".join(list(failing)[:MOST_NAMED]) + (" and more" if len(failing) > MOST_NAMED else "")
    only_warns = failing and all(check.severity == "warn" for check in failing.values())
    return AssetCheckResult(
        passed=not failing,
        asset_key=key.asset_key,
        check_name=key.name,
        severity=AssetCheckSeverity.WARN if only_warns else AssetCheckSeverity.ERROR,
        description=f"not passed by {named}" if failing else f"passed by all {len(said)} projects",
        metadata={"projects": len(said), "not_passed": len(failing), "without_verdict": len(found) - len(said)},
    )
