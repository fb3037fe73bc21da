"""The stages that several projects have in common: what can be compared between the projects."""

from __future__ import annotations

from collections.abc import Sequence

from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.comparison.compare import SharedStage
from winslow_dagster.projects.comparison.service import ComparisonService
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.lineage import in_order

SEVERAL = 2


def shared_stages(context: Context, projects: Sequence[str]) -> tuple[SharedStage, ...]:
    """The stages with outputs in at least two of the projects, in the order of their pipelines. Raises NotFound."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(projects):
        project = context.records.project(name)
        pipeline = context.resources.pipeline_version(project.pipeline, project.pipeline_digest)
        lineage = lineage_of(context.records, name, pipeline)
        for stage in in_order(pipeline):
            if stage.name in lineage.current:
                found.setdefault(stage.name, []).append(lineage.current[stage.name].task_id)
    shared = {stage: task_ids for stage, task_ids in found.items() if len(task_ids) >= SEVERAL}
    wanted = [task_id for task_ids in shared.values() for task_id in task_ids]
    facts = {each.task_id: each for each in ComparisonService(context.records, context.store).facts(wanted)}
    return tuple(
        SharedStage(stage=stage, attempts=tuple(facts[task_id] for task_id in task_ids))
        for stage, task_ids in shared.items()
    )
