"""What the runs in the queue have yet to do: their stages, how long each may take, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from sqlalchemy import RowMapping, select

from winslow_dagster.engines.engine import Node, TaskState
from winslow_dagster.errors import NotFound, PipelineInvalid, StoreError
from winslow_dagster.formatting import count_of, format_size
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.lineage_queries import lineages_of
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Lineage, in_order
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.domain.queue_rules import QueueItem
from winslow_dagster.projects.status.durations import ATTEMPTS_CONSIDERED, Durations
from winslow_dagster.projects.status.estimate import latest_durations
from winslow_dagster.projects.status.following import RunHolds, following_stages
from winslow_dagster.projects.status.queue_simulation import RunWork, StageWork
from winslow_dagster.projects.status.unfinished import ReadVersion

UNKNOWN_S = float("inf")
LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StageToDo:
    """A stage that has not ended. `elapsed_s` is None before it runs; `remaining_s` is what it reports itself."""

    name: str
    key: str
    after: tuple[str, ...]
    gpus: int
    elapsed_s: float | None = None
    remaining_s: float | None = None

    def drawn(self, durations: Durations, random: Random) -> StageWork:
        """With a duration that it may have."""
        left_s = self.remaining_s
        if left_s is None:
            left_s = durations.draw(self.key, random, self.elapsed_s or 0.0)
        return StageWork(
            self.name,
            UNKNOWN_S if left_s is None else left_s,
            self.after,
            self.gpus,
            running=self.elapsed_s is not None,
        )


@dataclass(frozen=True, slots=True)
class RunToDo:
    """A run that waits or is in progress. `problem` is why a stage of it cannot run anywhere; empty if all can.

    `submitted_at` is when a stage of it that does not run yet was submitted: the order of the line for GPUs.
    """

    stages: tuple[StageToDo, ...] = ()
    problem: str = ""
    submitted_at: datetime = LAST

    def drawn(self, item: QueueItem, durations: Durations, random: Random, *, in_progress: bool) -> RunWork:
        """With durations that its stages may have."""
        stages = tuple(stage.drawn(durations, random) for stage in self.stages)
        return RunWork(item, stages or (NOTHING_KNOWN,), in_progress)


NOTHING_KNOWN = StageWork("?", UNKNOWN_S, running=True)


class QueueWork:
    """Reads the work of open runs. Runs of which the tables know nothing yet are left out."""

    def __init__(
        self,
        records: ProjectRecords,
        read_version: ReadVersion,
        task_state_of: Callable[[str], TaskState],
        nodes: Sequence[Node],
        now: datetime,
    ) -> None:
        self._records = records
        self._read_version = read_version
        self._task_state_of = task_state_of
        self._nodes = nodes
        self._now = now

    def read(self, run_ids: Iterable[str]) -> dict[str, RunToDo]:
        """Run id -> what it has yet to do."""
        groups: dict[tuple[str, str], list[RowMapping]] = {}
        for row in self._rows(run_ids):
            groups.setdefault((row["pipeline"], row["pipeline_digest"]), []).append(row)
        found: dict[str, RunToDo] = {}
        for version, rows in groups.items():
            try:
                pipeline = self._read_version(*version)
            except (NotFound, StoreError, PipelineInvalid):
                continue  # The run will say so.
            holds = RunHolds.read(self._records, [row["run_id"] for row in rows])
            lineages = lineages_of(self._records, {row["name"]: pipeline for row in rows})
            found |= {row["run_id"]: self._of_run(row, lineages[row["name"]], holds) for row in rows}
        return found

    def durations(self, work: Iterable[RunToDo]) -> Durations:
        """How long the stages of these runs took before."""
        by_pipeline: dict[str, set[str]] = {}
        for pipeline, _, stage in (each.key.partition("/") for run in work for each in run.stages):
            by_pipeline.setdefault(pipeline, set()).add(stage)
        return Durations(
            {
                f"{pipeline}/{stage}": seconds
                for pipeline, stages in by_pipeline.items()
                for stage, seconds in latest_durations(
                    self._records.database, pipeline, stages, ATTEMPTS_CONSIDERED
                ).items()
            }
        )

    def _rows(self, run_ids: Iterable[str]) -> list[RowMapping]:
        projects, runs = schema.projects, schema.runs
        columns = ("run_id", "pipeline", "pipeline_digest", "start_from", "stop_after", "settings")
        query = (
            select(projects.c.name, projects.c.env, *(runs.c[name] for name in columns))
            .join(projects, projects.c.name == runs.c.project)
            .where(runs.c.run_id.in_(list(run_ids)))
        )
        with self._records.database.reading() as connection:
            return list(connection.execute(query).mappings().all())

    def _of_run(self, row: RowMapping, lineage: Lineage, holds: RunHolds) -> RunToDo:
        of_run = [attempt for attempt in lineage.attempts if attempt.run_id == row["run_id"]]
        open_attempts = {attempt.stage: attempt for attempt in of_run if attempt.outcome is None}
        wanted = following_stages(self._records, row, lineage, of_run, holds) | set(open_attempts)
        stages, problem = [], ""
        for stage in in_order(lineage.pipeline):
            if stage.name not in wanted:
                continue
            problem = problem or impossible(stage, self._nodes)
            after = tuple(name for name in stage.after if name in wanted)
            stages.append(self._of_stage(lineage.pipeline, stage, after, open_attempts.get(stage.name)))
        running = {stage.name for stage in stages if stage.elapsed_s is not None}
        lined_up = [each.started_at for name, each in open_attempts.items() if name not in running]
        if not lined_up:
            return RunToDo(tuple(stages), problem)
        return RunToDo(tuple(stages), problem, min(lined_up))

    def _of_stage(self, pipeline: Pipeline, stage: Stage, after: tuple[str, ...], attempt: Attempt | None) -> StageToDo:
        key = f"{pipeline.name}/{stage.name}"
        # One that cannot get its GPUs does not wait for them: it fails, or does without.
        gpus = stage.gpu.count if stage.gpu and _most_fitting(stage, self._nodes) >= stage.gpu.count else 0
        status = None if attempt is None else self._task_state_of(attempt.task_id).status
        if status is None or status.phase not in {"running", "storing", "fetching"}:
            return StageToDo(stage.name, key, after, gpus)
        began = status.started_at or self._now
        reported = [each.remaining_s for each in status.log.progress if each.remaining_s is not None]
        return StageToDo(
            stage.name,
            key,
            after,
            len(status.gpus),
            elapsed_s=max(0.0, (self._now - began).total_seconds()),
            remaining_s=max(reported, default=None),
        )


def impossible(stage: Stage, nodes: Collection[Node]) -> str:
    """Why no machine can run the stage, in one sentence; empty if one can."""
    wanted, gpu = set(stage.node_tags), stage.gpu
    tagged = [node for node in nodes if wanted.issubset(node.tags)]
    if not tagged:
        return f"{stage.name} needs a machine with the tags {', '.join(stage.node_tags)}, and there is none"
    if gpu is None or gpu.optional:
        return ""
    most = _most_fitting(stage, nodes)
    if most >= gpu.count:
        return ""
    kind = f"{gpu.vendor} GPU" if gpu.vendor else "GPU"
    memory = f" with {format_size(gpu.memory_bytes)} each" if gpu.memory_bytes else ""
    return f"{stage.name} needs {count_of(gpu.count, kind)}{memory}, and no machine has more than {most}"


def _most_fitting(stage: Stage, nodes: Collection[Node]) -> int:
    """The GPUs that fit, of the machine with the most of them."""
    gpu, wanted = stage.gpu, set(stage.node_tags)
    if gpu is None:
        return 0
    least_bytes = gpu.memory_bytes or 0
    fitting = [
        # Of a node of a cluster, the memory may be unknown.
        sum(
            one.memory_bytes >= least_bytes or not one.memory_bytes
            for one in node.gpus
            if gpu.vendor in {None, one.vendor}
        )
        for node in nodes
        if wanted.issubset(node.tags)
    ]
    return max(fitting, default=0)


def drawn_runs(
    items: Mapping[str, QueueItem],
    work: Mapping[str, RunToDo],
    waiting: Collection[str],
    durations: Durations,
    random: Random,
) -> list[RunWork]:
    """All runs, with durations that their stages may have: in the line for GPUs, and then in the order of the queue."""
    to_do = {run_id: work.get(run_id, RunToDo()) for run_id in items}
    return [
        each.drawn(items[run_id], durations, random, in_progress=run_id not in waiting)
        for run_id, each in sorted(to_do.items(), key=lambda pair: pair[1].submitted_at)
    ]
