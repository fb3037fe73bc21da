"""Which stages a run has yet to start."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import RowMapping

from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.global_variables import StoredVariables
from winslow_dagster.projects.database.holds import Holds, Pause
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Lineage, upstream_of
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.questions import QuestionContext
from winslow_dagster.projects.domain.run_request import RunRequest, RunScope


@dataclass(frozen=True, slots=True)
class RunHolds:
    """What keeps stages of some runs from starting, by run id."""

    stages: Mapping[str, frozenset[str]]
    pauses: Mapping[str, Pause]

    @classmethod
    def read(cls, records: ProjectRecords, run_ids: Collection[str]) -> RunHolds:
        """Of these runs."""
        holds, stages = Holds(records.database), dict.fromkeys(run_ids, frozenset[str]())
        for hold in holds.holds(run_ids):
            stages[hold.run_id] |= {hold.stage}
        return cls(stages, holds.pauses_of(run_ids))


def following_stages(
    records: ProjectRecords, row: RowMapping, lineage: Lineage, of_run: Iterable[Attempt], holds: RunHolds
) -> set[str]:
    """The stages that the run has yet to start, without those that follow a question, a pause or a failure.

    `row` has the columns of the run, and of its project `name` and `env`. `of_run` are its attempts so far.
    """
    pipeline, run_id = lineage.pipeline, row["run_id"]
    request = RunRequest(
        project=row["name"],
        start_from=tuple(row["start_from"].split(", ")) if row["start_from"] else (),
        stop_after=row["stop_after"],
        use=row["settings"].get("use", {}),
    )
    last = {attempt.stage: attempt for attempt in of_run}
    following = set(RunScope(pipeline, request).running(lineage.current)) - set(last)
    stopped = set(holds.stages[run_id])
    stopped |= {stage for stage, attempt in last.items() if attempt.outcome not in {None, "succeeded"}}
    stopped |= _asking(records, row, lineage, following)
    pause = holds.pauses.get(run_id)
    if pause is not None and pause.after_stage is None:
        return set()
    if pause is not None:
        stopped |= {stage for stage in following if pause.after_stage in upstream_of(pipeline, stage)}
    return {stage for stage in following if not stopped & {stage, *upstream_of(pipeline, stage)}}


def _asking(records: ProjectRecords, row: RowMapping, lineage: Lineage, stages: Iterable[str]) -> set[str]:
    """The stages that are going to ask a person."""
    candidates = [each for each in lineage.pipeline.stages if each.name in set(stages) and each.needs_input]
    if not candidates:
        return set()
    run_env = row["settings"].get("env", {})
    given = StoredVariables(records.database).of(lineage.pipeline.name)
    layers = {each.name: (given, lineage.pipeline.env, each.env, row["env"], run_env) for each in candidates}
    answers = Answers(records.database).of_project(row["name"])
    context = QuestionContext(row["name"], lineage, answers, records.result, row["run_id"], layers)
    return {each.name for each in candidates if context.question(each) is not None}
