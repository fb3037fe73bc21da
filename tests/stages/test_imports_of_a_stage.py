"""What a stage on a node of a cluster imports: each has a process of its own, and many run for less than that takes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from attempts import Place

HEAVY = {
    "asyncio",
    "botocore",
    "dagster",
    "docker",
    "fsspec",
    "obstore",
    "psutil",
    "requests",
    "s3fs",
    "sqlalchemy",
    "urllib3",
    "yaml",
    "winslow_dagster.engines.engine",
    "winslow_dagster.engines.hardware",
    "winslow_dagster.pipelines.model.form",
    "winslow_dagster.pipelines.model.pipeline",
    "winslow_dagster.stages.launchers.process.processes",
}
AGENT = """
import importlib, sys
from pathlib import Path
from winslow_dagster.engines.slurm import agent
for module in agent.PRELOAD:
    importlib.import_module(module)
before = set(sys.modules)
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.runner.service import serve
serve(Path(sys.argv[1]), NodeSettings(node_dir=sys.argv[2]), ())
print(*sys.modules)
print(*(set(sys.modules) - before))
"""


@pytest.mark.docker
def test_a_stage_in_a_container_imports_nothing_heavy(docker_place: Place) -> None:
    task = docker_place.task("echo done > $WINSLOW_OUTPUT_DIR/file")
    directory = docker_place.directory(task)

    command = [sys.executable, "-c", AGENT, str(directory.path), str(docker_place.home)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    result = directory.result()
    assert result is not None
    assert result.outcome == "succeeded", result.message
    imported, late = (set(line.split()) for line in printed.splitlines())
    assert imported & HEAVY == set()
    # The agent imports everything while the control plane answers: afterwards, the stage would wait for it.
    assert {name for name in late if name.startswith("winslow_dagster.")} == set()
