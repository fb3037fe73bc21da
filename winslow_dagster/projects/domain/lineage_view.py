"""Which outputs of a project were made from which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from winslow_dagster.projects.domain.attempts import numbers_of
from winslow_dagster.projects.domain.lineage import ANSWER, Lineage
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.views import View


class OutputNode(View):
    """The outputs of one attempt. `made_from` are the task ids of the attempts whose outputs it read.

    `current`: they are the stage's outputs now, and `outdated` is then why they are out of date. `answered`: it read an
    answer that a person gave. `removed`: they were deleted by retention rules.
    """

    task_id: str
    pipeline: str
    stage: str
    number: int
    started_at: datetime
    made_from: tuple[str, ...] = ()
    current: bool = False
    outdated: str = ""
    answered: bool = False
    by_hand: bool = False
    reused_from: str | None = None
    removed: bool = False


class ProjectLineage(View):
    """All outputs of a project, in the order in which their attempts started."""

    project: str
    outputs: tuple[OutputNode, ...]


def project_lineage(
    project: str, attempts: Iterable[Attempt], lineages: Mapping[str, Lineage], runs: Iterable[str]
) -> ProjectLineage:
    """The lineage of all outputs. `lineages`: by pipeline; what is not of `runs` was made by hand."""
    known, known_runs = tuple(attempts), set(runs)
    numbers = numbers_of(known)
    current = {each.task_id: name for name, lineage in lineages.items() for each in lineage.current.values()}
    made: defaultdict[tuple[str, str], list[Attempt]] = defaultdict(list)
    nodes = []
    for attempt in known:
        if attempt.outcome != "succeeded" or attempt.output_address is None:
            continue
        sources = [
            # Equal work that was taken over has the same address: what stood last before is what was read.
            made[stage, address][-1].task_id
            for stage, address in attempt.inputs.items()
            if (stage, address) in made
        ]
        made[attempt.stage, attempt.output_address].append(attempt)
        lineage = lineages.get(current.get(attempt.task_id, ""))
        nodes.append(
            OutputNode(
                task_id=attempt.task_id,
                pipeline=attempt.pipeline,
                stage=attempt.stage,
                number=numbers[attempt.task_id],
                started_at=attempt.started_at,
                made_from=tuple(sources),
                current=lineage is not None,
                outdated="" if lineage is None else lineage.outdated.get(attempt.stage, ""),
                answered=ANSWER in attempt.inputs,
                by_hand=attempt.run_id not in known_runs,
                reused_from=attempt.reused_from,
                removed=attempt.outputs_removed_at is not None,
            )
        )
    return ProjectLineage(project=project, outputs=tuple(nodes))
