"""The lineage of a project, read from the tables."""

from __future__ import annotations

from winslow_dagster.pipelines.model.pipeline import Pipeline
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.holds import Holds
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.storage.manifest import Manifest


def lineage_of(records: ProjectRecords, project: str, pipeline: Pipeline) -> Lineage:
    """The history of this pipeline in the project. Raises NotFound."""
    answers = Answers(records.database).of_project(project)
    return Lineage(
        pipeline,
        tuple(attempt for attempt in records.attempts(project) if attempt.pipeline == pipeline.name),
        tuple(pick for pick in Holds(records.database).picks(project) if pick.pipeline == pipeline.name),
        records.sweep_runs(project),
        {each.stage: each.manifest.address for each in answers if each.pipeline == pipeline.name and each.accepted},
    )


def outputs_in_use(records: ProjectRecords, lineage: Lineage) -> dict[str, Manifest]:
    """Stage -> its current outputs."""
    task_ids = {stage: attempt.task_id for stage, attempt in lineage.current.items()}
    found = records.manifests(task_ids.values())
    return {stage: found[task_id] for stage, task_id in task_ids.items() if task_id in found}
