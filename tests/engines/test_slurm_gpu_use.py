"""What is in use of the GPUs of a cluster: said by the agents whose jobs have them, whatever a driver does."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from engine_drivers import a_task
from gpu_drivers import Busy, Crashing, Hanging
from installation import cmdline
from patience import until
from slurm_cluster import SlurmCluster
from slurm_installation import slurm_installation

from winslow_dagster.engines.engine import GpuUsage
from winslow_dagster.engines.gpu_processes import MOST_PROCESSES, GpuUser
from winslow_dagster.engines.node_usage import GpuProcess
from winslow_dagster.engines.slurm.gpu_watch import GpuWatch
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.stages.launchers.process.processes import SupervisorRecord
from winslow_dagster.stages.process_supervisor import create_time_s
from winslow_dagster.stages.task.directory import TaskDirectory

GONE = 2**22 + 1
"""No process has this number: Linux gives none beyond 2**22."""


def use(uuid: str, percent: float) -> GpuUsage:
    return GpuUsage(uuid=uuid, used_percent=percent, memory_used_bytes=1e9, temperature_c=50.0)


def test_only_the_gpus_of_the_job_are_read_also_beside_a_driver_that_hangs(tmp_path: Path) -> None:
    watch = GpuWatch(["GPU-1"], tmp_path, (Hanging(), Busy("GPU-0", "GPU-1")))
    try:
        found: list[GpuUsage] = []
        until("it has been read", lambda: found.extend(watch.means()) or found)
        assert found == [use("GPU-1", 10.0)]
    finally:
        watch.end()


def test_the_processes_on_a_gpu_are_said_with_their_programs(tmp_path: Path) -> None:
    watch = GpuWatch(["GPU-0"], tmp_path, (Busy("GPU-0", users=(GpuUser(os.getpid(), 5), GpuUser(GONE))),))
    try:
        found: list[GpuUsage] = []
        until("it has been read", lambda: found.extend(watch.means()) or found)
        own = Path("/proc/self/comm").read_text().strip()
        assert found[0].processes == (GpuProcess(pid=os.getpid(), program=own, memory_bytes=5),)
    finally:
        watch.end()


def test_processes_with_long_names_do_not_disturb_the_readings(tmp_path: Path) -> None:
    task = a_task().model_copy(update={"project": "p" * 500})
    directory = TaskDirectory.of(tmp_path, task.task_id)
    directory.write_task(task)
    own = SupervisorRecord(pid=os.getpid(), create_time_s=create_time_s(os.getpid()) or 0.0)
    (directory.work / "process").mkdir(parents=True)
    (directory.work / "process" / "process_supervisor.json").write_text(own.model_dump_json())
    children = [subprocess.Popen(["sleep", "3600"]) for _ in range(MOST_PROCESSES)]
    watch = GpuWatch(["GPU-0"], tmp_path, (Busy("GPU-0", users=tuple(GpuUser(child.pid) for child in children)),))
    try:
        found: list[GpuUsage] = []
        until("it has been read", lambda: found.extend(watch.means()) or found)
        assert found[0].used_percent == 0.0
        assert 0 < len(found[0].processes or ()) < MOST_PROCESSES
        assert {each.project for each in found[0].processes or ()} == {task.project}
    finally:
        watch.end()
        for child in children:
            child.kill()
            child.wait()


def test_a_driver_that_crashes_ends_its_readings_only(tmp_path: Path) -> None:
    watch = GpuWatch(["GPU-1"], tmp_path, (Crashing(), Busy("GPU-1")))
    try:
        until("it has crashed", lambda: not psutil.pid_exists(watch.pid) or is_dead(watch.pid))
        assert watch.means() == ()
    finally:
        watch.end()


def is_dead(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slurm
@pytest.mark.slow
def test_what_a_stage_uses_of_its_gpu_is_shown_on_its_node_and_becomes_a_curve(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    with slurm_installation(slurm_cluster, tmp_path, agent="watching_agent") as home:
        task = a_task(run_id=f"test-{uuid4().hex[:8]}").model_copy(
            update={"gpu": Gpu(vendor="nvidia"), "node_tags": ("big",)}
        )
        home.engine.submit(task)
        until("it is served", lambda: home.engine.status(task.task_id).running)
        serving = home.serving(task.task_id, 1)

        until("its GPU has been read", lambda: any(usage.gpus for usage in home.engine.node_usage()))

        (usage,) = home.engine.node_usage()
        (given,) = usage.gpus
        assert (usage.name, given) in {("s1", use("GPU-0", 0.0)), ("s1", use("GPU-1", 10.0))}
        curves = {each.node: each.gpus for each in home.engine.usage_history("1h")}
        known = {
            uuid: [value for value in each["used_percent"] if value is not None] for uuid, each in curves["s1"].items()
        }
        now = datetime.now(UTC)
        of_attempt = home.engine.gpu_usage("s1", [given.uuid], now - timedelta(minutes=1), now)
        (serving.path / "end").touch()
        until("it has ended", lambda: home.engine.status(task.task_id).result)

    assert set(known) == {"GPU-0", "GPU-1"}
    assert [uuid for uuid, values in known.items() if values] == [given.uuid]
    assert of_attempt is not None
    assert set(of_attempt.gpus) == {given.uuid}
    assert [process.pid for process in psutil.process_iter() if "watching_agent" in cmdline(process)] == []
