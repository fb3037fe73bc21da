"""What the services cost while nothing runs: processor time and memory, all of them together.

Memory is the sum of PSS (see `memory.py`): the services are forks of one process and share what they have imported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

from bench.figure import Figure
from bench.installation import bench_image, services, winslow_home
from bench.memory import Memory
from bench.orchestration import STAGES, chain
from winslow_dagster import Winslow
from winslow_dagster.services.readiness import read_state
from winslow_dagster.settings import Settings

SETTLED_S = 30.0
WATCHED_S = 60.0
GOAL_PROCESSOR_PERCENT = 4
GOAL_MEMORY_MB = 450


def figures() -> Iterator[Figure]:
    """After two runs, so that everything that is loaded on demand is loaded."""
    with winslow_home({"nine": chain("nine", bench_image(), STAGES, "true")}) as settings, services(settings):
        with Winslow(settings) as winslow:
            for project in ("first", "second"):
                winslow.run("nine", project=project).wait()
        time.sleep(SETTLED_S)
        processes = service_processes(settings)
        before, began = {process: used_s(process) for process in processes}, time.monotonic()
        time.sleep(WATCHED_S)
        percent = 100 * sum(used_s(each) - before[each] for each in processes) / (time.monotonic() - began)
        memory = Memory.of(process.pid for process in processes)
    goal = f"<= {GOAL_PROCESSOR_PERCENT}"
    yield Figure("idle_services_processor", round(percent, 1), "% of a core", goal, percent <= GOAL_PROCESSOR_PERCENT)
    pss_mb = memory.pss_bytes / 1e6
    yield Figure("idle_services_memory_pss", round(pss_mb), "MB", f"<= {GOAL_MEMORY_MB}", pss_mb <= GOAL_MEMORY_MB)
    yield Figure("idle_services_memory_sum_of_rss", round(memory.rss_bytes / 1e6), "MB", "", None)


def service_processes(settings: Settings) -> list[psutil.Process]:
    """The supervisor, and everything below it."""
    supervisor = psutil.Process(read_state(settings)["pid"])
    return [supervisor, *supervisor.children(recursive=True)]


def used_s(process: psutil.Process) -> float:
    """The processor time that it and its ended children have used."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
