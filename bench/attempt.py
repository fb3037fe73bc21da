"""A single stage attempt: its overhead compared with a bare container, and where the time goes."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.installation import bench_image
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.launchers.docker import containers  # noqa: F401  # preloaded by the fork server
from winslow_dagster.stages.launchers.process import processes  # noqa: F401  # preloaded by the fork server
from winslow_dagster.stages.runner.service import serve
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageTask

ROUNDS = 15
GOAL = 1.8
"""Goal for nine stages relative to nine bare `docker run`, including Dagster; a single attempt must stay well below."""


def figures() -> Iterator[Figure]:
    image = bench_image()
    with tempfile.TemporaryDirectory() as home:
        rounds = [
            (bare_s(image), bare_s(image, "--network=none"), attempt_s(Path(home), image), attempt_s(Path(home), None))
            for _ in range(ROUNDS)
        ]
    bare, without_network, contained, process = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = contained / bare
    yield Figure("attempt_in_a_container_against_docker_run", ratio, "ratio", f"<= {GOAL}", ratio <= GOAL)
    yield Figure(
        "attempt_in_a_container_against_docker_run_without_network", contained / without_network, "ratio", "", None
    )
    yield Figure("attempt_in_a_container", contained, "s", "", None)
    yield Figure("attempt_as_a_process", process, "s", "", None)


def bare_s(image: str, *options: str) -> float:
    began = time.perf_counter()
    subprocess.run(["docker", "run", "--rm", *options, image, "true"], check=True)
    return time.perf_counter() - began


def attempt_s(home: Path, image: str | None) -> float:
    """From start to end of a runner forked from the fork server."""
    task_id = f"{uuid.uuid4().hex}.true.1"
    task = StageTask(
        task_id=task_id,
        project="bench",
        pipeline="bench",
        stage="true",
        run_id=task_id.partition(".")[0],
        image=image,
        command=("true",),
        args=("true",) if image else (),
        mode="docker" if image else "process",
        output_address=f"projects/bench/true/{task_id}/output",
        log_address=f"projects/bench/true/{task_id}/log",
        store_url=(home / "store").as_uri(),
        log_rules=LogRules(),
    )
    node = NodeSettings(node_dir=home)
    directory = TaskDirectory.of(node.tasks_dir, task_id)
    directory.write_task(task)
    began = time.perf_counter()
    runner = os.fork()
    if runner == 0:
        os._exit(serve(directory.path, node))
    code = os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])
    took_s = time.perf_counter() - began
    result = directory.result()
    if code != 0 or result is None or result.outcome != "succeeded":
        raise RuntimeError(f"the attempt did not succeed: {result.message if result else code}")
    return took_s
