"""Winslow's overhead: between stages, before the first one, with many pipelines, and in memory.

Compared with stock Dagster: its multiprocess executor and dagster-docker's `execute_docker_container`, in the same run.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bench.figure import Figure
from bench.installation import bench_image, services, winslow_home
from winslow_dagster import Winslow
from winslow_dagster.errors import StageFailed
from winslow_dagster.jobs.launcher import PINNED_VERSION
from winslow_dagster.jobs.worker import worker_pid
from winslow_dagster.pipelines import keep_version
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.services.instance import installation_id
from winslow_dagster.settings import Settings

STAGES = 9
# Docker starts a container under its CPU limit: with a small one, that takes longer. All containers here have the same.
CPUS = 1
REPEATS = 5
PIPELINES = 500
WATCHED = 20
STOCK_JOB = Path(__file__).with_name("stock_dagster.py")


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark."""
    image = bench_image()
    yield from stages_and_launch(image)
    yield pipelines_cost()
    yield worker_memory(image)


def chain(name: str, image: str, count: int, program: str, *, side_by_side: bool = False) -> str:
    """A pipeline file with `count` stages that each run `program`; stages side by side share the CPUs of one."""
    cpus = CPUS / count if side_by_side else CPUS
    after = "    after: []\n" if side_by_side else ""
    stages = "".join(
        f"  - name: s{number}\n    args: {json.dumps(program.split())}\n{after if number else ''}"
        for number in range(count)
    )
    return f"name: {name}\nimage: {image}\ndefaults: {{cpus: {cpus:g}}}\nstages:\n{stages}"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def docker_run(image: str) -> None:
    subprocess.run(["docker", "run", "--rm", "--cpus", f"{CPUS:g}", image, "true"], check=True)


def stages_and_launch(image: str) -> Iterator[Figure]:
    """Nine stages compared with nine bare `docker run` and with stock Dagster, in turns; and the time to the first one.

    The stages' time is that of the run, from start to end as recorded by Dagster; likewise for stock Dagster.
    """
    bare, ours, stock, launches = [], [], [], []
    with winslow_home({"nine": chain("nine", image, STAGES, "true")}) as settings, services(settings) as running:
        winslow, dagit = Winslow(settings), DagsterClient(running.address, installation_id(settings))
        winslow.run("nine", project="warm-up").wait()
        for repeat in range(REPEATS):
            bare.append(seconds(lambda: [docker_run(image) for _ in range(STAGES)]))
            launched_at = time.time()
            run = winslow.run("nine", project=f"repeat-{repeat}")
            run.wait()
            launches.append(first_container_start(launched_at, f"repeat-{repeat}") - launched_at)
            ended = dagit.run(run.run_id)
            assert ended.status == "SUCCESS", ended
            ours.append((ended.ended_at - ended.started_at).total_seconds())
            stock.append(stock_run_s(image))
    ratio = statistics.median(ours) / statistics.median(bare)
    yield Figure("nine_stages_vs_nine_docker_run", round(ratio, 2), "ratio", "<= 1.15", ratio <= 1.15)
    peer = statistics.median(stock) / statistics.median(bare)
    yield Figure("stock_dagster_nine_stages_vs_nine_docker_run", round(peer, 2), "ratio", "", None)
    launch = statistics.median(launches)
    yield Figure("launch_to_first_container", round(launch, 2), "s", "<= 1.0", launch <= 1.0)


def first_container_start(since: float, project: str) -> float:
    """When the project's first container started, by Docker's clock, in seconds since the epoch."""
    events = subprocess.run(
        [
            *(
                "docker",
                "events",
                "--since",
                f"{since:.3f}",
                "--until",
                f"{time.time():.3f}",
                "--format",
                "{{.TimeNano}}",
            ),
            *("--filter", "event=start", "--filter", f"label=winslow.project={project}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return int(events[0]) / 1e9


def stock_run_s(image: str) -> float:
    """The same nine containers with stock Dagster, in a separate process that prints the run's duration."""
    done = subprocess.run([sys.executable, str(STOCK_JOB), image], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


LOAD = "from winslow_dagster.definitions import winslow; winslow.get_job('p000')"


def pipelines_cost() -> Figure:
    """What 500 pipelines of nine stages add to the start of a run worker, which loads one of them."""

    names = [f"p{number:03}" for number in range(PIPELINES)]
    many = {name: chain(name, "none:0", STAGES, "true") for name in names}
    with winslow_home({"p000": many["p000"]}) as one_home, winslow_home(many) as many_home:
        one, several = [], []
        for _ in range(REPEATS):  # in turns, so that both see the same machine
            one.append(worker_load_s(one_home))
            several.append(worker_load_s(many_home))
    added = statistics.median(several) - statistics.median(one)
    return Figure("added_worker_start_of_500_pipelines", round(added, 3), "s", "<= 0.3", added <= 0.3)


def worker_load_s(settings: Settings) -> float:
    """Time for a process to import the definitions and get the job of a run of `p000`."""
    digest = keep_version(settings.pipelines_dir / "p000.yaml", settings.versions_dir)
    environment = {
        **os.environ,
        PINNED_VERSION: f"p000=p000={digest}",
        "WINSLOW_HOME": str(settings.home),
        "WINSLOW_PIPELINES_DIR": str(settings.pipelines_dir),
    }
    return seconds(lambda: subprocess.run([sys.executable, "-c", LOAD], env=environment, check=True))


def worker_memory(image: str) -> Figure:
    """Resident memory of a run worker that watches twenty stages."""
    text = chain("watched", image, WATCHED, "sleep 20", side_by_side=True)
    with winslow_home({"watched": text}) as settings, services(settings):
        run = Winslow(settings).run("watched", project="watched")
        wait_for_containers("watched", WATCHED)
        pid = worker_pid(settings.home / "runs" / f"{run.run_id}.lock")
        resident_mb = psutil.Process(pid).memory_info().rss / 1e6
        run.cancel()
        with contextlib.suppress(StageFailed):  # the state of a cancelled run
            run.wait()
    return Figure("run_worker_memory_watching_20_stages", round(resident_mb, 1), "MB", "<= 100", resident_mb <= 100)


def wait_for_containers(project: str, count: int) -> None:
    """Wait until this many containers of the project are running."""
    command = ["docker", "ps", "-q", "--filter", f"label=winslow.project={project}"]
    deadline = time.monotonic() + 120
    while len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()) < count:
        if time.monotonic() > deadline:
            sys.exit(f"fewer than {count} containers after 120 s")
        time.sleep(0.2)
