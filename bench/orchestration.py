"""Winslow's overhead: between stages, before the first one, with many pipelines, and in memory.

Compared with other programs that run stages in a row (`peers/`), in the same run.
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

from bench.figure import Figure
from bench.installation import bench_image, services, winslow_home
from bench.memory import Memory
from bench.peers.environments import PEERS, Peer, PeerUnavailable, seconds_of
from winslow_dagster import Winslow
from winslow_dagster.errors import StageFailed
from winslow_dagster.jobs.launcher import PINNED_VERSION
from winslow_dagster.jobs.worker import worker_pid
from winslow_dagster.pipelines import keep_version
from winslow_dagster.projects.dagster_api.connection import dagster_client
from winslow_dagster.services.instance import installation_id
from winslow_dagster.settings import Settings

STAGES = 9
# Docker starts a container under its CPU limit: with a small one, that takes longer. All containers here have the same.
CPUS = 1
REPEATS = 5
PIPELINES = 500
WATCHED = 20


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark."""
    image = bench_image()
    yield from stages_and_launch(image)
    yield pipelines_cost()
    yield from worker_memory(image)


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


def docker_runs(image: str) -> None:
    for _ in range(STAGES):
        subprocess.run(["docker", "run", "--rm", "--cpus", f"{CPUS:g}", image, "true"], check=True)


def stages_and_launch(image: str) -> Iterator[Figure]:
    """Nine stages compared with nine bare `docker run`, in turns with the peers; and the time to the first one.

    The stages' time is that of the run, from start to end as recorded by Dagster; the peers say theirs.
    """
    ratios: dict[str, list[float]] = {}
    unavailable: dict[str, str] = {}
    launches = []
    with winslow_home({"nine": chain("nine", image, STAGES, "true")}) as settings, services(settings):
        winslow, dagit = Winslow(settings), dagster_client(settings, installation_id(settings))
        winslow.run("nine", project="warm-up").wait()
        for repeat in range(REPEATS):
            bare_s = seconds(lambda: docker_runs(image))
            launched_at = time.time()
            run = winslow.run("nine", project=f"repeat-{repeat}")
            run.wait()
            launches.append(first_container_start(launched_at, f"repeat-{repeat}") - launched_at)
            ended = dagit.run(run.run_id)
            assert ended.status == "SUCCESS", ended
            assert ended.started_at, ended
            assert ended.ended_at, ended
            ratios.setdefault("winslow", []).append((ended.ended_at - ended.started_at).total_seconds() / bare_s)
            for peer in PEERS:
                if peer.name not in unavailable:
                    try:
                        ratios.setdefault(peer.name, []).append(seconds_of(peer, image, STAGES, CPUS) / bare_s)
                    except PeerUnavailable as error:
                        unavailable[peer.name] = str(error)
    ratio = statistics.median(ratios["winslow"])
    yield Figure("nine_stages_vs_nine_docker_run", round(ratio, 2), "ratio", "<= 1.15", ratio <= 1.15)
    yield from (peer_figure(peer, ratios[peer.name], unavailable.get(peer.name, "")) for peer in PEERS)
    launch = statistics.median(launches)
    yield Figure("launch_to_first_container", round(launch, 2), "s", "<= 1.0", launch <= 1.0)


def peer_figure(peer: Peer, ratios: list[float], why_not: str) -> Figure:
    """A peer's ratio; none, and why, if it could not be measured."""
    value = None if why_not else round(statistics.median(ratios), 2)
    note = why_not or ", ".join(peer.requirements)
    return Figure(f"{peer.name}_nine_stages_vs_nine_docker_run", value, "ratio", "", None, note)


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


def worker_memory(image: str) -> Iterator[Figure]:
    """Memory of a run worker that watches twenty stages. It is a fork, and shares much (see `memory.py`)."""
    text = chain("watched", image, WATCHED, "sleep 20", side_by_side=True)
    with winslow_home({"watched": text}) as settings, services(settings):
        run = Winslow(settings).run("watched", project="watched")
        wait_for_containers("watched", WATCHED)
        pid = worker_pid(settings.home / "runs" / f"{run.run_id}.lock")
        assert pid is not None
        memory = Memory.of([pid])
        run.cancel()
        with contextlib.suppress(StageFailed):  # the state of a cancelled run
            run.wait()
    name = f"run_worker_memory_watching_{WATCHED}_stages"
    pss_mb = memory.pss_bytes / 1e6
    yield Figure(f"{name}_pss", round(pss_mb, 1), "MB", "<= 100", pss_mb <= 100)
    yield Figure(f"{name}_uss", round(memory.uss_bytes / 1e6, 1), "MB", "", None)
    yield Figure(f"{name}_rss", round(memory.rss_bytes / 1e6, 1), "MB", "", None)


def wait_for_containers(project: str, count: int) -> None:
    """Wait until this many containers of the project are running."""
    command = ["docker", "ps", "-q", "--filter", f"label=winslow.project={project}"]
    deadline = time.monotonic() + 120
    while len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()) < count:
        if time.monotonic() > deadline:
            sys.exit(f"fewer than {count} containers after 120 s")
        time.sleep(0.2)
