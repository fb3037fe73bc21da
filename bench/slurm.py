"""Stages on a Slurm cluster, compared with the engine of one machine and the same store, in turns.

Needs root and Debian's packages slurm-wlm and munge. The store is the S3 server of WINSLOW_TEST_S3_ENDPOINT, if that is
set, otherwise a directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psutil

from bench.figure import Figure
from bench.installation import bench_image, free_port, services, winslow_home
from bench.orchestration import STAGES, chain, first_container_start
from winslow_dagster import Winslow
from winslow_dagster.engines.slurm.agent_keys import AgentKeys
from winslow_dagster.engines.slurm.control_plane import ControlPlane
from winslow_dagster.engines.slurm.desk import FASTEST_S, REPORTS_PER_S, SLOWEST_S
from winslow_dagster.engines.slurm.ledger import Ledger, Submission
from winslow_dagster.engines.slurm.messages import Hello, LogPiece, Report
from winslow_dagster.engines.slurm.node_facts import NodeFacts
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.dagster_api.connection import dagster_client
from winslow_dagster.services.instance import installation_id
from winslow_dagster.settings import Settings
from winslow_dagster.stages.log.lines import stamped
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageStatus, StageTask

SCRIPT = Path(__file__).parents[1] / "deploy" / "services" / "slurm.sh"
NODES = ("s1", "s2", "s3")
REPEATS = 5
MOST_RATIO = 1.5
MOST_LAUNCH_S = 4.0
PIPELINE = "nine"
AGENTS = 500
MOST_SHARE = 20.0
TALKING, TURNS, IDLE_S = 50, 10, 5.0
LINES = stamped(b"frame 1 of 1000\n" * 10, "stdout", 0)


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark."""
    if os.geteuid() != 0 or not shutil.which("slurmctld"):
        why_not = "needs root and Debian's package slurm-wlm"
        yield Figure("nine_stages_on_slurm_vs_local", None, "ratio", f"<= {MOST_RATIO}", None, why_not)
        return
    pipelines = {PIPELINE: chain(PIPELINE, bench_image(), STAGES, "true")}
    ratios, launches, seconds = [], [], []
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(cluster())
        store = stack.enter_context(common_store(host))
        local = stack.enter_context(winslow_home(pipelines, store))
        port = free_port()
        facts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="winslow-bench-nodes-")))
        on_slurm = {
            "WINSLOW_PORT": str(port),
            "WINSLOW_ENGINE": "slurm",
            "WINSLOW_CONTROL_PLANE_URL": f"http://{host}:{port}",
            "WINSLOW_SLURM_NODE_FILE": str(facts / "{node}.toml"),
        }
        remote = stack.enter_context(winslow_home(pipelines, store | on_slurm))
        write_facts(facts, f"http://{host}:{port}")
        for settings in (local, remote):
            stack.enter_context(services(settings))
            run_s(settings, "warm-up")
        for repeat in range(REPEATS):
            local_s, _ = run_s(local, f"repeat-{repeat}")
            remote_s, launch_s = run_s(remote, f"on-slurm-{repeat}")
            ratios.append(remote_s / local_s)
            launches.append(launch_s)
            seconds.append((round(local_s, 2), round(remote_s, 2)))
        print("seconds of nine stages, local and on Slurm:", seconds, file=sys.stderr)
        ratio, launch_s = statistics.median(ratios), statistics.median(launches)
        yield Figure("nine_stages_on_slurm_vs_local", round(ratio, 2), "ratio", f"<= {MOST_RATIO}", ratio <= MOST_RATIO)
        fast = launch_s <= MOST_LAUNCH_S
        yield Figure("launch_to_first_container_on_slurm", round(launch_s, 2), "s", f"<= {MOST_LAUNCH_S}", fast)
        share = share_of_agents(remote)
        cheap = share <= MOST_SHARE
        yield Figure("control_plane_with_500_agents", round(share, 1), "% of a core", f"<= {MOST_SHARE}", cheap)


def share_of_agents(settings: Settings) -> float:
    """How much of a processor the services use for the reports of 500 agents, in percent: that of a report, times the
    rate at which so many are told to report. Each brings a status and some lines of log.
    """
    keys, task_ids = AgentKeys(settings.home), [f"bench.s{number}.1" for number in range(TALKING)]
    for task_id in task_ids:
        directory = TaskDirectory.of(settings.node.tasks_dir, task_id)
        directory.write_task(a_task(settings, task_id))
        Ledger(numbers=1, last=Submission(number=1, at_s=time.time(), job_id="1")).write(directory)
    planes = [ControlPlane(settings.address, None, each, 1) for each in task_ids]
    for plane, task_id in zip(planes, task_ids, strict=True):
        plane.authorize("Bearer", keys.key(task_id, 1))
        plane.say("hello", Hello(job_id="1", node="s1").model_dump_json())
    idle_s = services_s(lambda: time.sleep(IDLE_S))
    begun_s = time.monotonic()
    used_s = services_s(lambda: report_all(planes, task_ids))
    took_s = time.monotonic() - begun_s
    for task_id in task_ids:
        shutil.rmtree(TaskDirectory.of(settings.node.tasks_dir, task_id).path)
    each_s = (used_s - idle_s * took_s / IDLE_S) / (TURNS * TALKING)
    return 100 * each_s * AGENTS / min(max(AGENTS / REPORTS_PER_S, FASTEST_S), SLOWEST_S)


def report_all(planes: list[ControlPlane], task_ids: list[str]) -> None:
    """Let each agent report TURNS times."""
    for turn in range(TURNS):
        for plane, task_id in zip(planes, task_ids, strict=True):
            report(plane, task_id, turn)


def report(plane: ControlPlane, task_id: str, turn: int) -> None:
    """What an agent says of a stage that prints a little."""
    status = StageStatus(task_id=task_id, phase="running", reason=f"turn {turn}", updated_at=datetime.now(UTC))
    piece = LogPiece.model_construct(name=f"{1:012d}.log", offset=turn * len(LINES), data=LINES, grows=True, last=False)
    plane.say("report", Report(serving=1, status=status, log=(piece,)).model_dump_json())


def services_s(work: Callable[[], object]) -> float:
    """Processor time of the services while this works, in seconds."""

    def used_s() -> float:
        times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
        return sum(each.user + each.system for each in times)

    before_s = used_s()
    work()
    return used_s() - before_s


def a_task(settings: Settings, task_id: str) -> StageTask:
    _, stage, _ = task_id.split(".")
    return StageTask(
        task_id=task_id,
        project="bench",
        pipeline=PIPELINE,
        stage=stage,
        run_id="bench",
        output_address=f"bench/{stage}/output",
        log_address=f"bench/{stage}/log",
        store_url=settings.store_url,
        log_rules=LogRules(),
    )


def run_s(settings: Settings, project: str) -> tuple[float, float]:
    """How long a run takes from its start to its end, and how long from the order to the first container."""
    launched_at = time.time()
    run = Winslow(settings).run(PIPELINE, project=project)
    run.wait()
    ended = dagster_client(settings, installation_id(settings)).run(run.run_id)
    assert ended.status == "SUCCESS", ended
    assert ended.started_at, ended
    assert ended.ended_at, ended
    launch_s = first_container_start(launched_at, project) - launched_at
    return (ended.ended_at - ended.started_at).total_seconds(), launch_s


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """A cluster on this machine; yields the address by which its nodes reach this machine's services."""
    environment = os.environ | {"WINSLOW_SLURM_DIR": f"/var/tmp/winslow-bench-{uuid4().hex[:8]}"}  # a short path

    def call(verb: str) -> str:
        done = subprocess.run([SCRIPT, verb], env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()

    # Its daemons would hold a pipe open.
    subprocess.run([SCRIPT, "up"], env=environment, stdout=subprocess.DEVNULL, check=True)
    os.environ["SLURM_CONF"] = f"{environment['WINSLOW_SLURM_DIR']}/etc/slurm.conf"
    try:
        yield call("address")
    finally:
        call("down")


@contextlib.contextmanager
def common_store(host: str) -> Iterator[dict[str, str]]:
    """The settings of a fresh store that this machine and the nodes reach under the same name."""
    server = os.environ.get("WINSLOW_TEST_S3_ENDPOINT")
    if not server:
        with tempfile.TemporaryDirectory(prefix="winslow-bench-store-") as folder:
            yield {"WINSLOW_STORE_URL": Path(folder).as_uri()}
        return
    import boto3

    os.environ.setdefault("AWS_ACCESS_KEY_ID", os.environ.get("WINSLOW_TEST_S3_ACCESS_KEY", "dev"))
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", os.environ.get("WINSLOW_TEST_S3_SECRET_KEY", "devsecret"))
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    endpoint = f"http://{host}:{urlsplit(server).port}"
    bucket = boto3.resource("s3", endpoint_url=endpoint).create_bucket(Bucket=f"winslow-bench-{uuid4().hex}")
    try:
        yield {"WINSLOW_STORE_URL": f"s3://{bucket.name}", "WINSLOW_S3_ENDPOINT": endpoint}
    finally:
        bucket.objects.all().delete()
        bucket.delete()


def write_facts(directory: Path, url: str) -> None:
    """The files that nodes get when they join."""
    credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for node in NODES:
        facts = NodeFacts(
            node_dir=directory / node,
            python=Path(sys.executable),
            control_plane_url=url,
            environment=credentials,
        )
        facts.write(directory / f"{node}.toml")
