"""Nine stages in a row with Prefect. A first, empty flow starts its server."""

import os
import subprocess
import sys
import time
from pathlib import Path

os.environ |= {
    "PREFECT_HOME": str(Path.cwd()),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}

from prefect import flow, task

IMAGE, STAGES, CPUS = sys.argv[1], int(sys.argv[2]), sys.argv[3]


@task
def stage() -> None:
    """One stage."""
    subprocess.run(["docker", "run", "--rm", "--cpus", CPUS, IMAGE, "true"], check=True)


@flow
def stages(count: int) -> None:
    """So many stages."""
    for _ in range(count):
        stage()


stages(0)
began = time.perf_counter()
stages(STAGES)
took_s = time.perf_counter() - began
print(took_s, flush=True)
