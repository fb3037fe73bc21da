"""Two hundred stages of mixed needs: each runs once, where what it asks for is, and nothing is given to two at once."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from patience import until
from slurm_cluster import SlurmCluster

from winslow_dagster.engines.slurm.job_request import AGENT_BYTES, sbatch_arguments
from winslow_dagster.pipelines.model.stage_rules import Gpu, LogRules
from winslow_dagster.settings import SlurmSettings
from winslow_dagster.stages.task.model import StageTask

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

STAGES = 200
MB = 1 << 20
CPUS, MEMORY_MB = 8, 8000
"""Of each node of the cluster."""
SCRIPT = """\
#!/bin/sh
begun=$(date +%s%N)
sleep {duration_s}
echo "{name} $(hostname) ${{SLURM_JOB_GPUS:--}} $begun $(date +%s%N)" >>{report}
"""
NEEDS: tuple[dict[str, object], ...] = (
    {"cpus": 1.0},
    {"cpus": 3.5},
    {"cpus": 2.0, "memory_bytes": 3000 * MB},
    {"cpus": 8.0},
    {"gpu": Gpu(vendor="nvidia")},
    {"gpu": Gpu(vendor="nvidia", count=2), "cpus": 2.0},
    {"gpu": Gpu(vendor="amd"), "memory_bytes": 1000 * MB},
    {"gpu": Gpu()},
    {"node_tags": ("big",)},
    {"node_tags": ("big",), "gpu": Gpu(vendor="nvidia"), "memory_bytes": 500 * MB},
)


@dataclass(frozen=True)
class Ran:
    """What a job said of itself."""

    task: StageTask
    node: str
    gpus: tuple[str, ...]
    begun: int
    ended: int


def a_task(number: int, **needs: object) -> StageTask:
    values = {"stage": f"s{number}", "task_id": f"run.s{number}.1", **needs}
    return StageTask(
        project="ulm",
        pipeline="mixed",
        run_id="run",
        output_address="o",
        log_address="l",
        store_url="file:///nowhere",
        log_rules=LogRules(),
        **values,  # type: ignore[arg-type]  # as each need is
    )


@pytest.fixture
def ran(slurm_cluster: SlurmCluster, tmp_path: Path) -> list[Ran]:
    """All of them, after they have run."""
    chance = random.Random(16)
    tasks = {f"job-{number}": a_task(number, **chance.choice(NEEDS)) for number in range(STAGES)}
    report = tmp_path / "report"
    report.touch()

    def submit(name: str) -> None:
        arguments = sbatch_arguments(tasks[name], name, SlurmSettings(), with_gpu=True, without_nodes=())
        script = SCRIPT.format(name=name, report=report, duration_s=chance.choice((0.1, 0.3)))
        slurm_cluster.slurm("sbatch", *arguments, given=script)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit, tasks))
    until("all have ended", lambda: not slurm_cluster.jobs())
    lines = [line.split() for line in report.read_text().splitlines()]
    return [
        Ran(tasks[name], node, tuple(gpus.split(",")) if gpus != "-" else (), int(begun), int(ended))
        for name, node, gpus, begun, ended in lines
    ]


def test_mixed_stages_are_placed_where_they_fit_and_share_nothing(ran: list[Ran]) -> None:
    assert Counter(one.task.task_id for one in ran) == Counter(f"run.s{number}.1" for number in range(STAGES))

    vendors = {"s1": "nvidia", "s2": "amd"}
    for one in ran:
        wanted = one.task.gpu
        assert len(one.gpus) == (wanted.count if wanted else 0)
        assert wanted is None or wanted.vendor in {None, vendors[one.node]}
        assert "big" not in one.task.node_tags or one.node == "s1"

    for node in ("s1", "s2", "s3"):
        here = [one for one in ran if one.node == node]
        moments = sorted({one.begun for one in here})
        for moment in moments:
            now = [one for one in here if one.begun <= moment < one.ended]
            assert sum(-(-one.task.cpus // 1) for one in now) <= CPUS
            assert (
                sum((one.task.memory_bytes or 0) + AGENT_BYTES for one in now if one.task.memory_bytes)
                <= MEMORY_MB * MB
            )
        for gpu in {gpu for one in here for gpu in one.gpus}:
            held = sorted((one.begun, one.ended) for one in here if gpu in one.gpus)
            assert all(earlier[1] <= later[0] for earlier, later in pairwise(held))
    assert {one.node for one in ran} == {"s1", "s2", "s3"}
