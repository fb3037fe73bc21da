"""The outputs that a stage takes from the stages before it, across any chain of re-executions.

They pass through the project tables, not between ops: an op only waits for those before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster import OpExecutionContext

from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.storage.manifest import Manifest


def upstream_outputs(context: OpExecutionContext, records: ProjectRecords, stage: Stage) -> dict[str, Manifest]:
    """What the upstream stages passed on in this run or, if it re-executes a part, in the latest earlier run.

    Raises NotFound if a stage has not passed on anything in any of them.
    """
    return {name: _passed_on(context, records, name) for name in stage.after}


def _passed_on(context: OpExecutionContext, records: ProjectRecords, stage: str) -> Manifest:
    for run_id in _runs(context):
        if (manifest := records.run_outputs(run_id, stage)) is not None:
            return manifest
    raise NotFound(
        f"run {context.run_id} has no outputs of {stage}",
        remedy=f"Start from {stage}, or from an earlier stage",
    )


def _runs(context: OpExecutionContext) -> Iterator[str]:
    """This run, the run that it re-executes, and so on."""
    run_id: str | None = context.run_id
    while run_id is not None:
        yield run_id
        run = context.instance.get_run_by_id(run_id)
        run_id = run.parent_run_id if run else None
